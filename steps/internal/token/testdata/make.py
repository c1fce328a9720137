"""Makes the tokenizers and vectors of this folder. Needs tokenizers 0.23.3.

    python3 make.py

The tokenizers are tiny and trained on the sentences below; the vectors are what
the Hugging Face library answers, so that the Go code is tested against it
without it.
"""
import json, os
from tokenizers import Tokenizer, Regex, AddedToken, models, trainers, normalizers, pre_tokenizers, decoders, processors

CORPUS = """the rain in the north is colder than the rain in the south
she sells three thousand small boats, and he mends them all
we'll see what they've done; it's not what I'd do, you're right
numbers such as 12, 345 and 6789 stand between words
der Schnee fällt leise über die Dächer und über den Fluss
日本の冬は寒い 日本の夏は暑い
def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))
a b c   d    e\tf\r\ng""".split("\n") * 3

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN35 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def bytelevel():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=360, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return t


def llama3():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=340, special_tokens=["<|begin|>", "<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.add_tokens([AddedToken("<tool>", normalized=True, lstrip=True), AddedToken("cat", single_word=True, normalized=False), AddedToken("<tool>s", rstrip=True, normalized=False)])
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(single="<|begin|> $A <|end|>", special_tokens=[("<|begin|>", 0), ("<|end|>", 1)])])
    return t


def sentencepiece():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=150, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False))
    was = json.loads(trained.to_str())["model"]
    keep = [p for p, _ in sorted(was["vocab"].items(), key=lambda x: x[1])]
    pieces = keep[:3] + ["<0x%02X>" % b for b in range(256)] + keep[3:]
    file = json.loads(t.to_str())
    file["model"]["vocab"] = {p: i for i, p in enumerate(pieces)}
    file["model"]["merges"] = [" ".join(m) for m in was["merges"]]
    t = Tokenizer.from_str(json.dumps(file))
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    file = json.loads(t.to_str())
    file["model"]["merges"] = [" ".join(m) for m in was["merges"]]  # the old spelling
    return file


def unknown():
    """No byte fallback: unknown characters, one token each, and Metaspace."""
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    t.decoder = decoders.Metaspace(prepend_scheme="first")
    t.train_from_iterator(CORPUS[:2], trainers.BpeTrainer(vocab_size=60, special_tokens=["<unk>"], show_progress=False))
    return t


TEXTS = ["", " ", "  ", "\n", "the rain", " the rain in  the north ", "we'll SEE what they'VE done", "it's 12345 67 8", "日本の冬", "x é e\u0301 ü ½ Ⅳ ١٢",
         "a\t\tb \n\n c\r\n", "<|im_start|>user\nhi<|im_end|>\n", "<s>the</s> rain", "<unk>", "a <tool> b<tool>s  c", "cat concat cat. _cat", "<|begin|>the", "𝔘nder 👩‍👧 🙂",
         "   leading", "trailing   ", "ſ'ſ 'S", "the" * 60, "the rain in the north " * 30, "▁the ▁▁ x", "\u00a0\u3000x", "don't", "\u0000\u001f", "日" * 70]


def vectors(name, t):
    for text in TEXTS:
        plain = t.encode(text, add_special_tokens=False)
        yield {"tokenizer": name, "text": text, "ids": plain.ids, "special": t.encode(text).ids,
               "decoded": t.decode(plain.ids, skip_special_tokens=False), "skipped": t.decode(plain.ids)}


def components():
    norms = [normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD(), normalizers.Lowercase(), normalizers.Strip(), normalizers.Strip(left=False),
             normalizers.Prepend("▁"), normalizers.Replace("ab", "x"), normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.Strip()])]
    texts = ["", "é e\u0301 ﬁ ½ Å 한글 ｱ", " \tAbC İI ẞ Σς abab ", "\u1e9b\u0323 \u0344", "aab", "  "]
    for n in norms:
        for text in texts:
            t = Tokenizer(models.BPE()); t.normalizer = n
            yield {"stage": "normalizer", "component": json.loads(t.to_str())["normalizer"], "in": text, "out": [n.normalize_str(text)]}
    P = pre_tokenizers
    pres = [P.Digits(), P.Digits(individual_digits=True), P.Whitespace(), P.WhitespaceSplit(), P.Punctuation(), P.Metaspace(), P.Metaspace(prepend_scheme="never"),
            P.Metaspace(prepend_scheme="first", split=False), P.ByteLevel(), P.ByteLevel(add_prefix_space=False), P.ByteLevel(use_regex=False),
            P.Sequence([P.WhitespaceSplit(), P.Metaspace()]), P.Sequence([P.Punctuation(), P.Digits(individual_digits=True)])]
    pres += [P.Punctuation(b) for b in ("removed", "merged_with_previous", "merged_with_next", "contiguous")]
    pres += [P.Split(" ", b, invert) for b in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous") for invert in (False, True)]
    pres += [P.Split(Regex(r), "isolated") for r in (GPT2, LLAMA3, QWEN2, QWEN35)] + [P.Split(Regex(LLAMA3), "removed", True)]
    texts = ["a  b!! 12c, d", " x", "  it's we'LL 'sſ 'ſt 12345½  \n\n  y\r\n z ", "नमस्ते e\u0301!\u0301 \u00a0 b", "...a_b -- «q» $5+6", "\n \n", "'", "日本 1234 ٣٤٥٦"]
    for p in pres:
        for text in texts:
            t = Tokenizer(models.BPE()); t.pre_tokenizer = p
            yield {"stage": "pre_tokenizer", "component": json.loads(t.to_str())["pre_tokenizer"], "in": text, "out": [s for s, _ in p.pre_tokenize_str(text)]}
    D = decoders
    decs = [D.ByteLevel(), D.Fuse(), D.ByteFallback(), D.Strip("x", 2, 0), D.Metaspace(), D.Metaspace(prepend_scheme="never"), D.Replace("a", "bb"),
            D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])]
    lists = [["▁the", "▁a", "x"], ["xxaxxx", "x"], ["<0xE6>", "<0x97>", "<0xA5>", "a", "<0xE6>", "<0x97>"], ["Ġthe", "Ċ", "æĹ", "¥", "æĹ"], []]
    for d in decs:
        for pieces in lists:
            t = Tokenizer(models.BPE()); t.decoder = d
            yield {"stage": "decoder", "component": json.loads(t.to_str())["decoder"], "pieces": pieces, "out": [d.decode(pieces)]}


def main():
    rows = []
    for name, t in (("bytelevel", bytelevel()), ("llama3", llama3()), ("sentencepiece", sentencepiece()), ("unknown", unknown())):
        file = t if isinstance(t, dict) else json.loads(t.to_str())
        os.makedirs(name, exist_ok=True)
        with open(name + "/tokenizer.json", "w") as f:
            json.dump(file, f, ensure_ascii=False, separators=(",", ":"))
            f.write("\n")
        rows += vectors(name, Tokenizer.from_str(json.dumps(file)))
    for path, rows in (("vectors.jsonl", rows), ("components.jsonl", components())):
        with open(path, "w") as f:
            for row in rows:
                f.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
