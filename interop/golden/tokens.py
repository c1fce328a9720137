"""Makes testdata/random.jsonl of steps/internal/token: small tokenizers of random
components, and what the Hugging Face library makes of texts of our own.

    python golden/tokens.py [SEED COUNT FILE]

Each line is a tokenizer.json with texts: ids without and with special tokens, and what
the former decode to, with and without special tokens. Characters on whose properties
versions of Unicode differ are not in the texts. Special tokens are not normalized: those
whose normalized form is another the library no longer takes for special when it decodes."""

import base64
import io
import json
import pathlib
import random
import struct
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

OUT = pathlib.Path(__file__).resolve().parents[2] / "steps/internal/token/testdata/random.jsonl"
PIECES = ["a", "b", "c", "ab", "the", "The", "rain", "Ünï", "é", "e\u0301", "x", "12", "3", "½", "٣", "日", "本", "日本", "かな", "カー", "ー", "한국", "한", "ﬁ", "ß", "İ", "ſ", "Я", "я",
          "!", ".", ",", "-", "'s", "_", "$", "«", "🙂", "👩‍👧", "🇩🇪", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2028", "\u200b", "\u200d", "\x00", "\x07", "\x7f", "\ufffd", "\ufeff",
          "▁", "Ġ", "##", "</w>", "<s>", "[X]", "w", "W", "ab ab", "नमस्ते", "ไทย", "\u0344", "①", "Ⅳ", "㌔"]
WORDS = ["a", "b", "c", "ab", "abc", "the", "The", "rain", "é", "e", "1", "2", "12", "日", "本", "日本", "!", ".", "▁", "▁a", "▁the", "▁ab", "_", " ", "я", "x", "w", "h", "t", "r", "i", "n", "th", "in",
         "\u0301", "'s", "'", "s", "🙂", "か", "な", "한", "-", "$"]
REGEXES = [r"\s+", r"\p{L}+", r"[aeiou]|\d", r"(?i:THE)", r"\w+|[^\w\s]+", r"(?=a)", r"(?<=b)", r"[^\s]+?\s*", r"\p{N}{1,2}", r"\s+(?!\S)|\s+"]


def charsmap(rules):
    """A Darts double array of a few rules, as sentencepiece stores it."""
    texts, values = b"", {}
    for old, new in rules.items():
        values[old.encode()] = len(texts)
        texts += new.encode() + b"\0"
    units = {0: 0}
    used = {0}

    def place(prefix, at):
        """Puts the children of a node, whose unit is at a place, somewhere free."""
        labels = sorted({k[len(prefix)] if len(k) > len(prefix) else 0 for k in values if k.startswith(prefix)})
        base = 256
        while any((base ^ label) in used for label in labels) or (at ^ base) >= 1 << 21:
            base += 1
        units[at] |= (at ^ base) << 10
        for label in labels:
            used.add(base ^ label)
        for label in labels:
            if label == 0:
                units[at] |= 1 << 8
                units[base] = values[prefix] | 1 << 31
            else:
                units[base ^ label] = label
                place(prefix + bytes([label]), base ^ label)

    place(b"", 0)
    size = max(units) + 256
    array = b"".join(struct.pack("<I", units.get(i, 0)) for i in range(size))
    return struct.pack("<I", len(array)) + array + texts


def normalizer(draw, depth=0):
    N = normalizers
    return draw.choice([
        lambda: N.BertNormalizer(draw.random() < 0.7, draw.random() < 0.7, draw.choice([None, True, False]), draw.random() < 0.5),
        lambda: N.Strip(draw.random() < 0.7, draw.random() < 0.5), N.StripAccents, N.NFC, N.NFD, N.NFKC, N.NFKD, N.Lowercase, N.Nmt, N.ByteLevel,
        lambda: N.Precompiled(charsmap({"ﬁ": "fi", "①": "1", "  ": " ", "\u3000": " ", "e\u0301": "é", "é": "e", "㌔": "キロ", "日": "日", "A": "a", "\u200b": ""})),
        lambda: N.Replace(draw.choice(["a", " ", "日", "the"]), draw.choice(["", "▁", "bb"])),
        lambda: N.Replace(Regex(draw.choice(REGEXES)), draw.choice(["", "▁", "b"])),
        lambda: N.Prepend(draw.choice(["▁", "ab"])),
        lambda: N.Sequence([normalizer(draw, depth + 1) for _ in range(draw.randrange(1, 4))]) if depth < 2 else N.NFC(),
    ])()


def pre_tokenizer(draw, depth=0):
    P = pre_tokenizers
    behavior = lambda: draw.choice(["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"])
    return draw.choice([
        P.BertPreTokenizer, lambda: P.ByteLevel(draw.random() < 0.5, use_regex=draw.random() < 0.5), lambda: P.CharDelimiterSplit(draw.choice("a -")),
        lambda: P.Metaspace(draw.choice("▁_ "), draw.choice(["always", "never", "first"]), draw.random() < 0.6), P.Whitespace, P.WhitespaceSplit,
        lambda: P.Split(draw.choice(["a", " ", "ab"]), behavior(), draw.random() < 0.3), lambda: P.Split(Regex(draw.choice(REGEXES)), behavior(), draw.random() < 0.3),
        lambda: P.Punctuation(behavior()), lambda: P.Digits(draw.random() < 0.5), P.UnicodeScripts, lambda: P.FixedLength(draw.randrange(1, 6)),
        lambda: P.Sequence([pre_tokenizer(draw, depth + 1) for _ in range(draw.randrange(1, 4))]) if depth < 2 else P.Whitespace(),
    ])()


def decoder(draw, depth=0):
    D = decoders
    return draw.choice([
        lambda: D.BPEDecoder(draw.choice(["</w>", "a"])), D.ByteLevel, lambda: D.WordPiece(draw.choice(["##", "a"]), draw.random() < 0.5),
        lambda: D.Metaspace(draw.choice("▁_"), draw.choice(["always", "never", "first"])), lambda: D.CTC("a", "▁", draw.random() < 0.6),
        lambda: D.Replace(draw.choice(["a", "▁"]), draw.choice(["", " "])), lambda: D.Replace(Regex(draw.choice(REGEXES)), "x"), D.Fuse,
        lambda: D.Strip(draw.choice("a▁"), draw.randrange(2), 0), D.ByteFallback,
        lambda: D.Sequence([decoder(draw, depth + 1) for _ in range(draw.randrange(1, 4))]) if depth < 2 else D.Fuse(),
    ])()


def model(draw, spelled):
    words = draw.sample(WORDS, draw.randrange(12, len(WORDS)))
    spell = lambda w: "".join(spelled[b] for b in w.encode()) if spelled else w
    words = list(dict.fromkeys(["<unk>"] + [spell(w) for w in words]))
    kind = draw.choice(["bpe", "bpe", "bpe", "unigram", "wordpiece", "wordlevel"])
    if draw.random() < 0.4 and not spelled:
        words += ["<0x%02X>" % b for b in (range(256) if draw.random() < 0.6 else draw.sample(range(256), 200))]
    if kind == "unigram":
        return models.Unigram([(w, -draw.randrange(1, 12) / 4) for w in words], draw.choice([0, 0, 1]), draw.random() < 0.5)
    if kind == "wordlevel":
        return models.WordLevel({w: i for i, w in enumerate(words)}, "<unk>")
    if kind == "wordpiece":
        words = list(dict.fromkeys(words + ["##" + w for w in words]))
        return models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="<unk>", max_input_chars_per_word=draw.choice([5, 100]))
    prefix, suffix = draw.choice([(None, None)] * 3 + [("##", None), (None, "</w>"), ("##", "</w>")])
    shapes = [w for w in words]
    for w in words[1:]:
        shapes += [(prefix or "") + w, w + (suffix or ""), (prefix or "") + w + (suffix or "")]
    words = list(dict.fromkeys(shapes))
    known = set(words)
    merges = [(l, r) for l in words for r in words if not l.startswith("<0x") and not r.startswith("<0x") and (not prefix or r.startswith(prefix)) and l + r[len(prefix or ""):] in known]
    draw.shuffle(merges)
    if draw.random() < 0.5:  # as a trainer would order them
        merges.sort(key=lambda m: len(m[0]) + len(m[1]))
    return models.BPE({w: i for i, w in enumerate(words)}, merges[:200], unk_token=draw.choice([None, "<unk>"]), fuse_unk=draw.random() < 0.5,
                      continuing_subword_prefix=prefix, end_of_word_suffix=suffix, byte_fallback=draw.random() < 0.5, ignore_merges=draw.random() < 0.3)


def tokenizer(draw):
    spelled = None
    if draw.random() < 0.3:
        printable = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
        rest = iter(range(256))
        spelled = {b: chr(b) if b in printable else chr(256 + next(rest)) for b in range(256)}
    t = Tokenizer(model(draw, spelled))
    if draw.random() < 0.7:
        t.normalizer = normalizer(draw)
    if draw.random() < 0.8:
        t.pre_tokenizer = pre_tokenizer(draw)
    if draw.random() < 0.8:
        t.decoder = decoder(draw)
    if draw.random() < 0.6:
        t.add_special_tokens([AddedToken("<s>", normalized=t.normalizer is None, lstrip=draw.random() < 0.3, rstrip=draw.random() < 0.3)])
    if draw.random() < 0.6:
        flag = lambda p: draw.random() < p
        t.add_tokens([AddedToken(c, single_word=flag(0.3), lstrip=flag(0.3), rstrip=flag(0.3), normalized=flag(0.5)) for c in draw.sample(["[X]", "ab", "W", "  ", "日本"], 2)])
    some = t.id_to_token(1)
    T = processors
    if draw.random() < 0.6:
        t.post_processor = draw.choice([
            lambda: T.BertProcessing((some, 1), ("<unk>", 0)), lambda: T.RobertaProcessing((some, 1), ("<unk>", 0)), T.ByteLevel,
            lambda: T.TemplateProcessing(single=f"{some} {some} $A <unk>", special_tokens=[(some, 1), ("<unk>", 0)]) if " " not in some and ":" not in some and "$" not in some else T.ByteLevel(),
            lambda: T.Sequence([T.ByteLevel(), T.BertProcessing((some, 1), ("<unk>", 0))]),
        ])()
    return t


def main():
    seed, count = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (8, 120)
    with open(sys.argv[3] if len(sys.argv) > 3 else OUT, "w") as f:
        draw, done = random.Random(seed), 0
        while done < count:
            try:
                t = tokenizer(draw)
                rows = []
                for _ in range(8):
                    text = "".join(draw.choices(PIECES, k=draw.randrange(0, 9)))
                    ids = t.encode(text, add_special_tokens=False).ids
                    rows.append([text, ids, t.encode(text).ids, t.decode(ids, skip_special_tokens=False), t.decode(ids)])
            except BaseException as e:  # some combinations make the library panic
                continue
            done += 1
            f.write(json.dumps({"tokenizer": json.loads(t.to_str()), "texts": rows}, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
