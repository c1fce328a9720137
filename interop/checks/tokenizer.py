"""Token ids against Hugging Face tokenizers, string by string."""

import functools
import random

from checks import models, pipe
from checks.report import check, equal

SHARED = {
    "stories260K": "models/stories260K/hf",
    "smollm2": "tokenizers/smollm2-135m-instruct",
    "llama2": "tokenizers/llama2",
    "llama3": "tokenizers/llama3",
    "mistral": "tokenizers/mistral-v01-via-lenml",
    "qwen3": "tokenizers/qwen3",
}
COUNT = 3000
PIECES = (
    ["a", "the", "ing", "Hello", "WORLD", "don't", "I'LL", "3.14", "1234567", "x_y", "foo(bar)", "://", "==", "'s", "\u00a0"]
    + [" ", "  ", "   ", "\n", "\n\n", " \n ", "\t", "\r\n", "\u3000", "\u2028", "\u200b"]
    + ["é", "e\u0301", "ﬁ", "Å", "ß", "İ", "мир", "שלום", "مرحبا", "नमस्ते", "日本語", "中文字符", "한국어", "한", "ไทย"]
    + ["😀", "👩‍👩‍👧", "🇩🇪", "½", "²", "Ⅷ", "٣", "…", "—", "“", "\x00", "\x7f", "\ufffd", "\U0010ffff", "▁", "Ġ"]
    + ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<think>", "[INST]", "<0x0A>"]
)


@functools.cache
def strings():
    """Real rows, random mixtures of awkward pieces, and random characters."""
    draw = random.Random(11)
    texts = models.texts()[: COUNT // 4]
    texts += ["".join(draw.choices(PIECES, k=draw.randrange(1, 12))) for _ in range(COUNT // 2)]
    while len(texts) < COUNT:
        top = draw.choice([0x80, 0x250, 0x3000, 0x10000, 0x110000])
        points = (draw.randrange(top) for _ in range(draw.randrange(0, 20)))
        texts.append("".join(chr(p) for p in points if not 0xD800 <= p < 0xE000))
    return texts


def compare(path):
    import tokenizers

    theirs = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    ours = pipe.encode(path, strings())
    plain = [theirs.encode(t, add_special_tokens=False).ids for t in strings()]
    equal(zip(strings(), ours["plain"]), zip(strings(), plain), "strings")
    equal(ours["special"], [theirs.encode(t).ids for t in strings()], "strings with special tokens")
    equal(ours["decoded"], [theirs.decode(ids, skip_special_tokens=False) for ids in plain], "decoded strings")
    return f"{len(plain)} strings, {sum(map(len, plain))} ids, encoded with and without special tokens and decoded"


@check("tokenizers/base")
def base():
    return compare(models.base())


for name, path in SHARED.items():
    check(f"tokenizers/{name}")(lambda path=path: compare(pipe.shared(path)))
