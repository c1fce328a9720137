"""Makes the vectors of steps/internal/token/regex: what Oniguruma, through tokenizers' Split, matches.

    python golden/regex.py [SEED COUNT]

Known patterns and random ones, on texts of our own."""

import json
import pathlib
import random
import sys

from tokenizers import Regex, pre_tokenizers

OUT = pathlib.Path(__file__).resolve().parents[2] / "steps/internal/token/regex/testdata/vectors.jsonl"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
KNOWN = [
    GPT2, LLAMA3, O200K, r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+", r"\w+½?", r"[\w]+", r"[^\w]", r"\W", r"\b½", r"\s?\p{L}+", r"\s?\p{P}+", r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++\z|\s*[\r\n]|\s+(?!\S)|\s", r"[\p{Han}&&[^日]]+", r"[[:alpha:]&&[^aeiou]]+", r"(?<=a)b", r"(?<!a)b",
    r"^.", r".$", r"\w+|[^\w\s]+", r"(?>a+)b|a", r"\ba\w*", r"(?i)stra|ſ", r"(?i:[k-m]+)", r"(?x) a b # and so on", r"\R", r"\x{e9}|\u65E5", r"[\d-x]+", r"a{2}?", r"a{1,2}?b", r"(?<n>a|b)+c", r"",
]
ATOMS = ["a", "b", "B", "é", "日", " ", r"\n", ".", r"\s", r"\S", r"\w", r"\W", r"\d", r"\p{L}", r"\p{Lu}", r"\P{N}", "[ab]", "[^a]", "[a-c1-3]", r"[^\s\p{L}]", "'", "[[a-z]&&[^b]]", r"\b", "^", "$", r"\z", "(?=a)", "(?!b)", "(?<=a)", "(?<! )"]
REPEATS = ["", "", "", "*", "+", "?", "*?", "+?", "??", "*+", "++", "?+", "{2}", "{1,3}", "{,2}", "{2,}", "{1,2}?"]
CHARS = "aabbcABC123½ \n\t'é日本.٣-ſK_\u2028\u00a0"


def pattern(draw, depth=0):
    parts = []
    for _ in range(draw.randrange(1, 4)):
        roll = draw.random()
        if depth < 2 and roll < 0.3:
            inner = pattern(draw, depth + 1)
            atom = draw.choice(["(%s)", "(?:%s)", "(?i:%s)", "(?>%s)", "(?=%s)", "(?!%s)"]) % inner
        else:
            atom = draw.choice(ATOMS)
        place = atom in (r"\b", "^", "$", r"\z") or atom.startswith(("(?=", "(?!", "(?<"))
        parts.append(atom + ("" if place else draw.choice(REPEATS)))
    if draw.random() < 0.3:
        parts.insert(len(parts) // 2 + 1, "|" + draw.choice(ATOMS))
    return "".join(parts)


def offsets(p, text, behavior, invert):
    return [list(o) for _, o in pre_tokenizers.Split(Regex(p), behavior, invert).pre_tokenize_str(text)]


def main():
    seed, count = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (5, 350)
    draw = random.Random(seed)
    texts = ["", "we'LL see it's 12345 67.\n\n  x y'ſ", "Straße STRASSE ﬁ K é e\u0301 日本語 ab\r\nab\n", "aab abb bba baab", "a\u2028b\u00a0 c\t\n"]
    with open(sys.argv[3] if len(sys.argv) > 3 else OUT, "w") as f:
        for i in range(len(KNOWN) + count):
            p = KNOWN[i] if i < len(KNOWN) else pattern(draw)
            mine = texts + ["".join(draw.choices(CHARS, k=draw.randrange(1, 15))) for _ in range(3)]
            try:
                Regex(p)
            except Exception:
                continue
            try:
                rows = [[t, offsets(p, t, "isolated", False), offsets(p, t, "removed", True)] for t in mine]
            except BaseException:  # it gives up on what takes too many steps, by panicking
                continue
            f.write(json.dumps({"pattern": p, "texts": rows}, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
