"""Strings that tokenizers are compared on."""

import random
import unicodedata

PIECES = (
    ["a", "the", "ing", "Hello", "WORLD", "don't", "I'LL", "3.14", "1234567", "x_y", "foo(bar)", "://", "==", "'s", "'S", "\u00a0", "camelCase", "HTTPServer", "/**/"]
    + [" ", "  ", "   ", "\n", "\n\n", " \n ", "\t", "\r\n", "\r", "\u3000", "\u2028", "\u200b", "\u0085", "\u1680"]
    + ["é", "e\u0301", "ﬁ", "Å", "ß", "İ", "ſ", "мир", "שלום", "مرحبا", "नमस्ते", "日本語", "中文字符", "한국어", "한", "ไทย", "ǅ", "ʰ"]
    + ["😀", "👩‍👩‍👧", "🇩🇪", "👍🏽", "½", "²", "Ⅷ", "٣", "…", "—", "“", "\x00", "\x7f", "\ufffd", "\U0010ffff", "▁", "Ġ"]
    + ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<think>", "[INST]", "<0x0A>", "[CLS]"]
)
# Stages whose tables are those of an older Unicode in the Hugging Face library: of these, strings
# hold characters of Unicode 3.2 only, or combining marks of it only.
OLD = ["BertNormalizer", "BertPreTokenizer", "Punctuation", "StripAccents", "NFKC", "NFKD", "UnicodeScripts"]
OLD_MARKS = ["NFC", "NFD"]


def known(text, old, marks):
    """Whether the library and pipe agree on what the characters of a text are."""
    for c in text:
        kind, was = unicodedata.category(c), unicodedata.ucd_3_2_0.category(c)
        if c != "\U0010ffff" and (kind == "Cn" or was == "Cn" and (old or marks and kind[0] == "M")):
            return False
    return True


def strings(seed, count, vocabulary=(), file=""):
    """Random mixtures of awkward pieces and of a vocabulary's own, and random characters."""
    draw = random.Random(seed)
    old, marks = (any(f'"{stage}"' in file for stage in stages) for stages in (OLD, OLD_MARKS))
    pieces = [p for p in PIECES if known(p, old, marks)]
    texts = []
    while len(texts) < count:
        kind = draw.randrange(4)
        if kind == 0 or kind == 1 and not vocabulary:
            text = "".join(draw.choices(pieces, k=draw.randrange(1, 12)))
        elif kind == 1:
            text = "".join(draw.choices(vocabulary, k=draw.randrange(1, 8)))
        elif kind == 2:
            text = "".join(draw.choices("aAbB12 .,'\n\té日_-", k=draw.randrange(1, 25)))
        else:
            top = draw.choice([0x80, 0x250, 0x3000, 0x10000, 0x110000])
            text = "".join(chr(p) for p in (draw.randrange(top) for _ in range(draw.randrange(0, 20))) if not 0xD800 <= p < 0xE000)
        if known(text, old, marks):
            texts.append(text)
    return texts
