"""Makes testdata/sentencepiece.jsonl of steps/internal/token: small SentencePiece models of every
type and setting, trained on sentences of our own, and what Python's sentencepiece makes of texts.

    python golden/sentencepiece_models.py [SEED FILE]"""

import base64
import io
import json
import pathlib
import random
import sys
import tempfile

import sentencepiece

OUT = pathlib.Path(__file__).resolve().parents[2] / "steps/internal/token/testdata/sentencepiece.jsonl"
CORPUS = ["the rain in the north is colder than the rain in the south", "she sells three thousand small boats, and he mends them all",
          "numbers such as 12, 345 and 6789 stand between words", "der Schnee fällt leise über die Dächer", "日本の冬は寒い 日本の夏は暑い", "a b c   d    e", "ﬁne ① Ａｂｃ"] * 4
PIECES = ["the", " rain", "north", " ", "  ", "\t", "\n", "\u3000", "\u00a0", "é", "e\u0301", "ﬁ", "①", "Ａ", "ABC", "日本", "の", "🙂", "👩‍👧", "▁", "xyz", "12", "<user>", "<u", "th", "in", "\u200b", "\x07", "ſ", "한국", "㌔", ".", ","]
KINDS = [dict(model_type=t, **o) for t in ("unigram", "bpe", "char", "word") for o in (
    {}, dict(byte_fallback=True), dict(normalization_rule_name="identity", remove_extra_whitespaces=False), dict(normalization_rule_name="nfkc_cf"), dict(add_dummy_prefix=False),
    dict(user_defined_symbols=["<user>", "th", "日本", "xyz"]), dict(treat_whitespace_as_suffix=True), dict(normalization_rule_name="nfkc", byte_fallback=True, user_defined_symbols=["<user>", " rain", "in"], add_dummy_prefix=False, remove_extra_whitespaces=False))]


RULES = {"ﬁ": "fi", "①": "1", "Ａ": "A", "\u3000": " ", "\t": " ", "\n": " ", "e\u0301": "é", "㌔": "キロ", "\u200b": "", "\u00a0": " ", "A": "a", "AB": "ab "}


def model(kind, wide):
    """A trained model; without wide, normalization is by a few rules, since the usual ones are large."""
    out = io.BytesIO()
    sizes = dict(unigram=110, bpe=130, char=80, word=60)
    size = sizes[kind["model_type"]] + (256 if kind.get("byte_fallback") else 0) + len(kind.get("user_defined_symbols", []))
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        if not wide and kind.get("normalization_rule_name") != "identity":
            for old, new in RULES.items():
                rules.write(" ".join(f"{ord(c):X}" for c in old) + "\t" + " ".join(f"{ord(c):X}" for c in new) + "\n")
            rules.flush()
            kind = {k: v for k, v in kind.items() if k != "normalization_rule_name"} | dict(normalization_rule_tsv=rules.name)
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS), model_writer=out, vocab_size=size, hard_vocab_limit=False, minloglevel=2, **kind)
    return out.getvalue()


def main():
    draw = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    count = 12 if len(sys.argv) < 3 else 400
    with open(sys.argv[2] if len(sys.argv) > 2 else OUT, "w") as f:
        for kind in KINDS:
            if kind["model_type"] == "word" and kind.get("byte_fallback"):
                continue
            data = model(kind, len(sys.argv) > 2)
            sp = sentencepiece.SentencePieceProcessor(model_proto=data)
            rows = []
            for text in ["", " ", "the rain in the north", "  two  spaces  "] + ["".join(draw.choices(PIECES, k=draw.randrange(1, 9))) for _ in range(count)]:
                ids = sp.encode(text)
                rows.append([text, ids, sp.decode(ids)])
            f.write(json.dumps({"kind": kind, "model": base64.b64encode(data).decode(), "texts": rows}, ensure_ascii=False, separators=(",", ":")) + "\n")


main()
