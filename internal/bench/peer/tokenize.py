"""Encodes texts with other tokenizers when told to, the peer of steps/internal/token/tokenbench.

    python tokenize.py NAME=FOLDER... NAME=TEXTS.json...

FOLDER has a tokenizer.json, or vocab.json and merges.txt of GPT-2's kind. For every line
"PEER TOKENIZER TEXTS" on standard input it encodes all texts once, on one thread, and prints the
seconds of processor time that took. PEER is tokenizers (the faster of encode, encode_batch and
encode_batch_fast), tiktoken (with the ranks and the pattern of the tokenizer), bpe-qwen or rs-bpe
(which has its own vocabulary, cl100k, of Llama 3's pattern). With " ids" behind it prints the
CRC-32 of all ids instead, each as four bytes, the lowest first. For "tokenizers TOKENIZER load" it
prints the seconds that reading the tokenizer takes. -1: the peer cannot do it.
"""

import array
import json
import os
import pathlib
import sys
import tempfile
import time
import zlib

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def huggingface(folder):
    import tokenizers

    if (folder / "tokenizer.json").exists():
        return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = tokenizers.models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tok = tokenizers.Tokenizer(model)
    tok.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tok


def parts(folder):
    """Vocabulary, merges, added tokens and pattern."""
    if not (folder / "tokenizer.json").exists():
        vocab = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        return vocab, (folder / "merges.txt").read_text(encoding="utf-8").split("\n")[1:], [], GPT2
    file = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    merges = [m if isinstance(m, str) else " ".join(m) for m in file["model"]["merges"]]
    pattern = next(p["pattern"]["Regex"] for p in file["pre_tokenizer"]["pretokenizers"] if p["type"] == "Split")
    return file["model"]["vocab"], merges, file["added_tokens"], pattern


def alphabet():
    """The byte each character of the byte-level alphabet stands for."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in shown]
    return {chr(b): b for b in shown} | {chr(0x100 + i): b for i, b in enumerate(hidden)}


def tiktoken_ways(folder):
    import tiktoken

    vocab, merges, _, pattern = parts(folder)
    chars = alphabet()
    # Ranks are the order of merges: in GPT-2's vocabulary ids are not.
    ids = sorted((v, bytes(chars[c] for c in k)) for k, v in vocab.items() if all(c in chars for c in k))
    enc = tiktoken.Encoding("peer", pat_str=pattern, mergeable_ranks={k: v for v, k in ids}, special_tokens={})
    return [lambda texts: [enc.encode_ordinary(t) for t in texts]]


def tokenizers_ways(folder):
    tok = huggingface(folder)

    def ids(encodings):
        return [e.ids for e in encodings]

    return [
        lambda texts: tok.encode_batch_fast(texts, add_special_tokens=False),
        lambda texts: tok.encode_batch(texts, add_special_tokens=False),
        lambda texts: [tok.encode(t, add_special_tokens=False) for t in texts],
    ], ids


def bpe_qwen_ways(folder):
    from bpe_qwen.bpe_qwen import QwenTokenizer

    vocab, merges, added, _ = parts(folder)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        (place / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
        (place / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
        config = {"added_tokens_decoder": {str(a["id"]): a for a in added}}
        (place / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
        tok = QwenTokenizer(str(place))
    return [lambda texts: [tok.encode(t) for t in texts]]


def rs_bpe_ways(_):
    from rs_bpe.bpe import openai

    tok = openai.cl100k_base()
    return [lambda texts: [tok.encode(t) for t in texts], lambda texts: tok.encode_batch(texts)]


MAKERS = {"tokenizers": tokenizers_ways, "tiktoken": tiktoken_ways, "bpe-qwen": bpe_qwen_ways, "rs-bpe": rs_bpe_ways}


class Peers:
    def __init__(self, args):
        self.folders, self.texts, self.made, self.best = {}, {}, {}, {}
        for arg in args:
            name, _, path = arg.partition("=")
            path = pathlib.Path(path)
            if path.is_dir():
                self.folders[name] = path
            else:
                self.texts[name] = json.loads(path.read_text(encoding="utf-8"))

    def ways(self, peer, name):
        if (peer, name) not in self.made:
            try:
                made = MAKERS[peer](self.folders[name])
            except ImportError as e:
                print(f"{peer}: {e}", file=sys.stderr)
                made = None
            self.made[peer, name] = made if isinstance(made, tuple) else (made, list)
        return self.made[peer, name]

    def seconds(self, way, texts):
        start = time.process_time()
        way(texts)
        return time.process_time() - start

    def load(self, name):
        return self.seconds(huggingface, self.folders[name])

    def answer(self, peer, name, corpus, ids=False):
        ways, as_ids = self.ways(peer, name)
        if ways is None:
            return -1
        texts = self.texts[corpus]
        if ids:
            flat = array.array("i", [i for one in as_ids(ways[0](texts)) for i in one])
            return zlib.crc32(flat.tobytes())
        key = peer, name, corpus
        if key not in self.best:
            self.best[key] = min(ways, key=lambda way: self.seconds(way, texts))
        return self.seconds(self.best[key], texts)


def main():
    peers = Peers(sys.argv[1:])
    for line in sys.stdin:
        peer, name, corpus, *rest = line.split()
        if corpus == "load":
            print(f"{peers.load(name):.9f}", flush=True)
            continue
        print(f"{peers.answer(peer, name, corpus, bool(rest)):.9f}", flush=True)


if __name__ == "__main__":
    main()
