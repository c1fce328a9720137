"""An adapter that pipe trained, in PEFT; the model that pipe merged it into, in transformers."""

import functools

from checks import models, pipe
from checks.report import check, within


@functools.cache
def made():
    return pipe.Run("merge", model=models.base())


@functools.cache
def adapted():
    """The adapter on its base, by PEFT."""
    import peft

    return peft.PeftModel.from_pretrained(models.load(models.base()), made()["lora.adapter"]).eval()


@functools.cache
def rows():
    return models.ids(models.base())


@check("peft/lora-logits")
def lora_logits():
    got = pipe.logits(models.base(), rows(), made()["lora.adapter"])
    return within(1e-4, got, models.logits(adapted(), rows())) + effect(got)


@check("transformers/merged-logits")
def merged_logits():
    got = pipe.logits(made()["merged.model"], rows())
    return within(1e-4, got, models.logits(models.load(made()["merged.model"]), rows()))


@check("peft/merged-equals-adapter")
def merged_equals_adapter():
    return within(1e-4, pipe.logits(made()["merged.model"], rows()), models.logits(adapted(), rows()))


@check("peft/merged-weights")
def merged_weights():
    """Our merged weights against what PEFT's merge_and_unload leaves."""
    import peft

    from safetensors.numpy import load_file

    base = models.load(models.base())
    theirs = peft.PeftModel.from_pretrained(base, made()["lora.adapter"]).merge_and_unload().state_dict()
    ours = load_file(made()["merged.model"] / "model.safetensors")
    names = sorted(ours)
    return within(1e-6, [ours[n] for n in names], [theirs[n].numpy() for n in names]) + f" over {len(names)} tensors"


def effect(got):
    """How much the adapter changes, so that equality means something."""
    import numpy as np

    plain = pipe.logits(models.base(), rows())
    change = max(float(np.abs(g - p).max()) for g, p in zip(got, plain))
    if change < 0.01:
        raise ValueError(f"the adapter changes logits by {change:.1e} only: nothing is shown")
    return f"; the adapter changes logits by up to {change:.2g}"
