"""Reads JSON Lines of conversations with datasets and tokenizes them with transformers, in two processes.

Each line of standard input is a path; it is answered with the seconds it took. "tokens PATH" is answered with the number of
tokens. Starting the interpreter and importing the libraries do not count.
"""

import pathlib
import sys
import tempfile
import time

import datasets
import transformers

datasets.disable_progress_bars()
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
PROCESSES = int(sys.argv[2])


def encode(rows):
    texts = [text.rstrip("\n") for text in tokenizer.apply_chat_template(rows["messages"], tokenize=False)]
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return {"input_ids": ids, "attention_mask": [[1] * len(i) for i in ids], "labels": ids}


def tokenize(path, cache):
    rows = datasets.load_dataset("json", data_files=path, split="train", cache_dir=cache)
    return rows.map(encode, batched=True, num_proc=PROCESSES, remove_columns=rows.column_names)


def main():
    for line in sys.stdin:
        path = line.strip().removeprefix("tokens ")
        with tempfile.TemporaryDirectory(dir=pathlib.Path(path).parent) as cache:
            start = time.perf_counter()
            rows = tokenize(path, cache)
            seconds = time.perf_counter() - start
            if line.startswith("tokens "):
                seconds = sum(len(ids) for ids in rows["input_ids"])
        print(seconds, flush=True)


main()
