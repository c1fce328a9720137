"""Tokenizers that pipe learns, beside those that Hugging Face's BpeTrainer learns from the same texts, for every
way to split them: vocabulary, merges and the ids of strings that were not learnt from."""

import importlib.util
import json

from checks import pipe
from checks.report import check, equal
from checks.strings import strings

SIZE = 6000
CASES = {"gpt2": False, "llama3": False, "qwen2": True, "qwen3.5": True, "gpt4o": False, "tekken": False}


def golden():
    """The script that makes the vectors of ordinary tests, for how it trains."""
    spec = importlib.util.spec_from_file_location("bpe_train", pipe.ROOT / "interop" / "golden" / "bpe_train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def corpus():
    """Prose, code and other scripts: this repository's own, and the shared data's where it is there."""
    texts = golden().texts()
    for pattern in ("docs/*.md", "steps/internal/token/*.go", "schemas/*.cue", "interop/checks/*.py"):
        for path in sorted(pipe.ROOT.glob(pattern)):
            texts += path.read_text().split("\n\n")
    for name in ("tinyshakespeare", "tang300"):
        try:
            texts += pipe.shared(f"datasets/text/{name}.txt").read_text().split("\n\n")
        except FileNotFoundError:
            pass
    # special tokens that a text spells out are cut out by pipe and learnt from by BpeTrainer
    return [t for t in texts if t.strip() and "<|endoftext|>" not in t and "<pad>" not in t]


def compare(pattern, nfc):
    import tokenizers

    texts = corpus()
    file = pipe.WORK / "trained.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    run = pipe.Run("tokenizer", texts=file, pattern=pattern, normalizer="nfc" if nfc else "none")
    ours = json.loads((run["own.tokenizer"] / "tokenizer.json").read_text())["model"]
    trained = golden().train(texts, pattern, nfc, SIZE, 2, 0)
    theirs = json.loads(trained.to_str())["model"]
    merges = equal(map(tuple, ours["merges"]), map(tuple, theirs["merges"]), "merges")
    equal(sorted(ours["vocab"].items()), sorted(theirs["vocab"].items()), "pieces")
    tests = strings(pattern, 5000, texts[::7], "NFC" if nfc else "")
    got = pipe.encode(run["own.tokenizer"], tests)["plain"]
    loaded = tokenizers.Tokenizer.from_file(str(run["own.tokenizer"] / "tokenizer.json"))
    equal(zip(tests, got), ((t, e.ids) for t, e in zip(tests, loaded.encode_batch(tests, add_special_tokens=False))), "strings of its own file")
    equal(zip(tests, got), ((t, e.ids) for t, e in zip(tests, trained.encode_batch(tests, add_special_tokens=False))), "strings")
    return f"{len(texts)} texts: {merges}, and ids of {len(tests)} strings"


for pattern, nfc in CASES.items():
    check(f"trained/{pattern}")(lambda pattern=pattern, nfc=nfc: compare(pattern, nfc))
