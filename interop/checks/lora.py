"""Adapters of every LoRA method that pipe trained, in PEFT; models that pipe merged them into, in transformers."""

import functools

from checks import models, pipe
from checks.report import check, within

METHODS = ["patterns", "regex", "exclude", "rslora", "dropout", "plus", "dora", "gaussian", "pissa", "pissa-rslora",
           "embed", "both", "tokens"]


@functools.cache
def made():
    return pipe.Run("lora", model=models.base())


@functools.cache
def rows():
    return models.ids(models.base())


@functools.cache
def plain():
    return models.logits(models.load(models.base()), rows())


def compare(method):
    """pipe's logits of base and adapter against PEFT's, and transformers' of the merged model."""
    import numpy as np
    import peft

    adapter = made()[f"lora-{method}.adapter"]
    theirs = models.logits(peft.PeftModel.from_pretrained(models.load(models.base()), adapter).eval(), rows())
    change = max(float(np.abs(g - p).max()) for g, p in zip(theirs, plain()))
    if change < 0.01:
        raise ValueError(f"the adapter changes logits by {change:.1e} only: nothing is shown")
    told = within(1e-4, pipe.logits(models.base(), rows(), adapter), theirs)
    merged = models.load(made()[f"merged-{method}.model"])
    return f"{told}; merged: {within(1e-4, models.logits(merged, rows()), theirs)}; changed by up to {change:.2g}"


for name in METHODS:
    check(f"peft/{name}")(functools.partial(compare, name))
