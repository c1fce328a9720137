"""The program under test: build/pipe, and build/interop-peer (steps/internal/interop), which
tells numbers that no command prints."""

import functools
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "interop"
ENVIRONMENT = os.environ | {"PIPE_CACHE": str(WORK / "cache")}


def call(*command, question=None):
    """Runs a program and returns what it printed."""
    text = None if question is None else json.dumps(question)
    child = subprocess.run([str(c) for c in command], input=text, capture_output=True, text=True, env=ENVIRONMENT)
    if child.returncode != 0:
        raise RuntimeError(f"{pathlib.Path(command[0]).name} {command[1]}: {(child.stderr or child.stdout)[-1500:]}")
    return child.stdout


class Run:
    """A pipeline of this folder that has run; run["step.out"] is the path of an output."""

    def __init__(self, name, **tags):
        self.file = ROOT / "interop" / f"{name}.cue"
        self.tags = [word for k, v in tags.items() for word in ("-t", f"{k}={v}")]
        self.name = "-".join([name, *(pathlib.Path(str(v)).name for v in tags.values())])
        call(ROOT / "build" / "pipe", "run", self.file, *self.tags)

    @functools.cache
    def __getitem__(self, output):
        path = WORK / self.name / output
        call(ROOT / "build" / "pipe", "get", self.file, output, path, *self.tags)
        return path


def logits(model, rows, adapter=None, last=False):
    """pipe's logits [tokens, vocab] of each row of ids, or [1, vocab] of its last token."""
    import numpy as np

    where = [model] if adapter is None else [model, adapter]
    answer = json.loads(call(ROOT / "build" / "interop-peer", "last" if last else "logits", *where, question=rows))
    return [np.asarray(row, np.float32) for row in answer]


def encode(model, texts):
    """pipe's ids of texts: plain, special (with what the post-processor adds), decoded."""
    return json.loads(call(ROOT / "build" / "interop-peer", "encode", model, question=texts))


def weights(model, names):
    """The weights of a model as pipe computes with them, flat."""
    import numpy as np

    answer = json.loads(call(ROOT / "build" / "interop-peer", "weights", model, question=names))
    return {name: np.asarray(x, np.float32) for name, x in answer.items()}


def shared(path):
    """A file of the shared data, which is no part of this repository."""
    root = pathlib.Path(os.environ.get("PIPE_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not (root / path).exists():
        raise FileNotFoundError(f"shared data {path} is absent; PIPE_SHARED_DATA names the folder that holds it")
    return root / path
