"""Makes the vectors of steps/tokenizer: what Hugging Face tokenizers' BpeTrainer learns from texts of our own.

    python golden/bpe_train.py [FILE]
"""

import json
import pathlib
import sys

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

OUT = pathlib.Path(__file__).resolve().parents[2] / "steps/tokenizer/testdata/learnt.json"
WHO = ["the keeper", "a small boat", "my neighbour's cat", "the red lamp", "an old engineer", "she"]
DOES = ["watches", "carried", "doesn't mend", "has been painting", "will find", "re-reads"]
WHAT = ["the harbour", "12 letters", "a café's menu", "3.14 metres of rope", "every wheel", "what we've written"]
ZH = ["灯塔看守人", "小船", "邻居的猫", "工程师"], ["看着", "修理", "写下了", "带来"], ["港口。", "十二封信，", "每一个轮子！", "绳子和灯。"]
CODE = ["func add(a, b int) int {\n\treturn a + b\n}\n", "for i in range(10):\n    total += i * 2\n        # done\n", "if (x == null) {\n    return;\n}\n\n\n",
        "--------------------\n", "aaaaaaa aaaaaaaaa aaa aaaaaaaaaaaaa\n", "// ======== //\n", "x" * 9 + "yx" * 7 + "\n"]
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*%s|\p{{N}}%s| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SHORT = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERNS = {
    "llama3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen3.5": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "gpt4o": CASED % (SHORT, SHORT, "{1,3}"),
    "tekken": CASED % ("", "", ""),
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
CASES = [("gpt2", False, 500, 2, 0), ("gpt2", False, 1500, 1, 0), ("llama3", False, 800, 2, 0), ("qwen2", True, 1000, 3, 0), ("gpt2", False, 700, 2, 5),
         ("qwen3.5", True, 900, 2, 0), ("gpt4o", False, 1200, 1, 0), ("tekken", False, 900, 2, 0)]
SPECIAL = ["<|endoftext|>", "<pad>"]


def texts():
    all = []
    for i, (who, does, what) in enumerate((a, b, c) for a in WHO for b in DOES for c in WHAT):
        all.append(f"{who.capitalize()} {does} {what}, and {WHO[i % 5]} {DOES[i * 7 % 6]} {WHAT[i * 5 % 6]}.")
        if i % 3 == 0:
            all.append(ZH[0][i % 4] + ZH[1][i // 3 % 4] + ZH[2][i // 5 % 4] + ZH[0][i // 7 % 4] + "e\u0301té 🙂")
        if i % 5 == 0:
            all.append(CODE[i % 7] + CODE[i // 5 % 7])
    return all


def train(corpus, pattern, nfc, size, frequency, longest):
    t = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern == "gpt2")
    t.pre_tokenizer = level if pattern == "gpt2" else pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PATTERNS[pattern]), "isolated"), level])
    if nfc:
        t.normalizer = normalizers.NFC()
    t.decoder = decoders.ByteLevel()
    more = {"max_token_length": longest} if longest else {}
    t.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=size, min_frequency=frequency, special_tokens=SPECIAL, show_progress=False,
                                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **more))
    return t


def main():
    corpus = texts()
    tests = corpus[::17] + ["", " ", "Entirely new words, 新的文字 and  spaces\n\n", "<|endoftext|>x<pad>", "aaaaaaaaaaaaaaaaaaaaaaaaa", "e\u0301"]
    cases = []
    for pattern, nfc, size, frequency, longest in CASES:
        t = train(corpus, pattern, nfc, size, frequency, longest)
        model = json.loads(t.to_str())["model"]
        cases.append({"preTokenizer": pattern, "nfc": nfc, "vocabSize": size, "minFrequency": frequency, "maxTokenLength": longest,
                      "pieces": sorted(model["vocab"], key=model["vocab"].get), "merges": model["merges"], "ids": [t.encode(s).ids for s in tests]})
    file = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    file.write_text(json.dumps({"texts": corpus, "tests": tests, "cases": cases}, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
