"""Tokens in datasets, their ids and labels against transformers' chat templates, records in pyarrow."""

import functools
import json

from checks import models, pipe
from checks.report import Different, check, equal


@functools.cache
def made():
    return pipe.Run("tokens", model=models.base())


@functools.cache
def read(output):
    import datasets

    return datasets.load_from_disk(str(made()[output]))


@functools.cache
def records(output="chat.records"):
    import pyarrow

    path, = made()[output].glob("*.arrow")
    with pyarrow.memory_map(str(path)) as source:
        try:
            return pyarrow.ipc.open_file(source).read_all()
        except pyarrow.ArrowInvalid:
            return pyarrow.ipc.open_stream(source).read_all()


@check("datasets/tokens")
def tokens():
    return columns("tokens.tokens", {"input_ids": "int32", "attention_mask": "int8", "labels": "int64"})


@check("datasets/packed-tokens")
def packed_tokens():
    return columns("packed.tokens", {"input_ids": "int32", "attention_mask": "int8", "labels": "int64", "position_ids": "int32"})


def columns(output, want):
    """Loads a tokens artifact and compares what datasets says about it."""
    d = read(output)
    equal([(k, d.features[k].feature.dtype) for k in d.features], want.items(), "columns")
    for row in d:
        if len({len(row[k]) for k in want}) != 1:
            raise Different("columns of unequal lengths in one row")
    return f"{len(d)} rows of {', '.join(want)}"


@check("datasets/fingerprint")
def fingerprint():
    """datasets builds on the stored fingerprint: what it says of the rows once loaded is the same every time,
    and the same as for rows of its own saved under that fingerprint."""
    import datasets

    state = json.loads((made()["tokens.tokens"] / "state.json").read_text())
    own = datasets.Dataset.from_list(list(read("tokens.tokens")))
    own._fingerprint = state["_fingerprint"]
    own.save_to_disk(str(pipe.WORK / "fingerprint"))
    again = datasets.load_from_disk(str(pipe.WORK / "fingerprint"))
    equal([read("tokens.tokens")._fingerprint], [again._fingerprint], "fingerprints")
    if read("packed.tokens")._fingerprint == again._fingerprint:
        raise Different("packed and unpacked rows have one fingerprint")
    return f"{state['_fingerprint']} is taken as datasets takes its own"


@check("datasets/map-and-reload")
def reload():
    """datasets can change the rows and save them again."""
    path = pipe.WORK / "resaved"
    import datasets

    read("tokens.tokens").map(lambda row: {"n": len(row["input_ids"])}).save_to_disk(str(path))
    again = datasets.load_from_disk(str(path))
    return equal(again["input_ids"], read("tokens.tokens")["input_ids"], "rows")


@check("pyarrow/records")
def pyarrow_records():
    got = [[(m["role"], m["content"]) for m in row] for row in records()["messages"].to_pylist()]
    want = [[("user", r["instruction"]), ("assistant", r["output"])] for r in models.rows()]
    return equal(got, want, "conversations")


@functools.cache
def expected():
    """Ids and labels of every conversation by transformers: what {% generation %} marks is supervised."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(models.base())
    result = []
    for messages in records()["messages"].to_pylist():
        messages = [{"role": m["role"], "content": m["content"]} for m in messages]
        e = tokenizer.apply_chat_template(
            messages, chat_template=models.CHATML, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
        end = max(i for i, m in enumerate(e["assistant_masks"]) if m) + 1  # pipe leaves out what follows the last answer
        ids, mask = e["input_ids"][:end], e["assistant_masks"][:end]
        result.append((ids, [i if m else -100 for i, m in zip(ids, mask)]))
    return result


@check("transformers/chat-ids")
def chat_ids():
    return equal(read("tokens.tokens")["input_ids"], [ids for ids, _ in expected()], "rows of ids")


@check("transformers/chat-labels")
def chat_labels():
    return equal(read("tokens.tokens")["labels"], [labels for _, labels in expected()], "rows of labels")


@check("transformers/packed-documents")
def packed_documents():
    """Cut where positions start again, packed rows hold the same documents."""
    got = []
    for row in read("packed.tokens"):
        for i, position in enumerate(row["position_ids"]):
            if position == 0:
                got.append(([], []))
            got[-1][0].append(row["input_ids"][i])
            got[-1][1].append(row["labels"][i])
    return equal(sorted(got), sorted(expected()), "documents")


@check("transformers/split-text")
def split_text():
    """Split rows are full but for the last, and together are every text and the token that ends it; what nothing
    precedes in its row is not supervised."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(models.base())
    rows = list(read("split.tokens"))
    equal([len(row["input_ids"]) for row in rows[:-1]], [64] * (len(rows) - 1), "lengths of rows")
    for row in rows:
        want = [i if position else -100 for i, position in zip(row["input_ids"], row["position_ids"])]
        equal(row["labels"], want, "labels of a row")
    want = []
    for text in records("lines.records")["text"].to_pylist():
        want += tokenizer(text)["input_ids"] + [tokenizer.eos_token_id]
    return equal([i for row in rows for i in row["input_ids"]], want, "ids")
