"""Weights in few bits against bitsandbytes and gguf on the CPU, and in transformers, compressed-tensors and PEFT."""

import functools
import itertools
import json

from checks import models, pipe
from checks.report import Different, check, equal, within

DTYPES = ["float32", "bfloat16", "float16"]
SCHEMES = {"nf4": {False: "plain.model", True: "nested.model"}, "fp4": {False: "fplain.model", True: "fnested.model"}}


@functools.cache
def made(dtype):
    """A model stored in dtype, and pipe's quantizations of it."""
    path = models.llama(f"few-{dtype}", dtype=dtype, vocab_size=384, hidden_size=192, intermediate_size=320, num_key_value_heads=2)
    models.tokenizer().save_pretrained(path)
    return path, pipe.Run("quantize", model=path)


def tensors(path):
    from safetensors.torch import load_file

    return load_file(path / "model.safetensors")


def pairs(dtype, nested, scheme="nf4"):
    """Of every linear: its name, pipe's tensors, bitsandbytes' codes and state."""
    import bitsandbytes.functional as bnb

    path, run = made(dtype)
    original = tensors(path)
    ours = tensors(run[SCHEMES[scheme][nested]])
    names = [n for n in original if n.endswith("_proj.weight")]
    for name in names:
        codes, state = bnb.quantize_4bit(original[name], blocksize=64, quant_type=scheme, compress_statistics=nested)
        yield name, {k.removeprefix(name): v for k, v in ours.items() if k.startswith(name)}, codes, state


def codes(scheme):
    """Two weights in a byte, the first in the high nibble: byte for byte."""
    bytes_ = 0
    for dtype in DTYPES:
        for name, ours, theirs, _ in pairs(dtype, False, scheme):
            different = int((ours[""].flatten() != theirs.flatten()).sum())
            if different:
                raise Different(f"{different} of {theirs.numel()} bytes of {name} in {dtype}")
            bytes_ += theirs.numel()
    return f"{bytes_} bytes equal, of weights in {', '.join(DTYPES)}"


def absmax(scheme):
    count = 0
    for dtype in DTYPES:
        for name, ours, _, state in pairs(dtype, False, scheme):
            if not ours[".absmax"].equal(state.absmax) or not ours[".quant_map"].equal(state.code):
                raise Different(f"absmax or quant_map of {name} in {dtype}")
            count += state.absmax.numel()
    return f"{count} scales and the map bit-equal"


for scheme in SCHEMES:
    check(f"bitsandbytes/{scheme}-codes")(functools.partial(codes, scheme))
    check(f"bitsandbytes/{scheme}-absmax")(functools.partial(absmax, scheme))


@check("bitsandbytes/nested-map")
def nested_map():
    for _, ours, _, state in [*pairs("float32", True), *pairs("float32", True, "fp4")]:
        within(0, [ours[".nested_quant_map"]], [state.state2.code])
    return "256 values bit-equal"


@check("bitsandbytes/nested-scales")
def nested_scales():
    """The mean of the scales is a sum in another order: it may differ in its last bits, and then a
    scale that lies between two codes may fall to the other."""
    offset = scale = 0.0
    moved = total = 0
    for name, ours, _, state in [*pairs("float32", True), *pairs("float32", True, "fp4")]:
        ours_state = json.loads(bytes(next(v for k, v in ours.items() if "bitsandbytes__" in k).tolist()))
        offset = max(offset, abs(ours_state["nested_offset"] / float(state.offset) - 1))
        scale = max(scale, float((ours[".nested_absmax"] / state.state2.absmax - 1).abs().max()))
        steps = (ours[".absmax"].int() - state.absmax.flatten().int()).abs()
        if int(steps.max()) > 1:
            raise Different(f"codes of {name} are up to {int(steps.max())} apart")
        moved, total = moved + int(steps.sum()), total + steps.numel()
    detail = f"offset within {offset:.1e}, nested_absmax within {scale:.1e} relative; {moved} of {total} codes one apart"
    if offset > 2.4e-7 or scale > 1e-6 or moved > total // 500:
        raise Different(detail)
    return detail


@check("bitsandbytes/quant-state")
def quant_state():
    """Names, dtypes, shapes and JSON of what is stored, against bitsandbytes' own serialization."""
    seen = []
    for nested, scheme in itertools.product((False, True), SCHEMES):
        for name, ours, _, state in pairs("bfloat16", nested, scheme):
            theirs = {"." + k: v for k, v in state.as_dict(packed=True).items()}
            ours.pop("")
            equal(sorted((k, str(v.dtype), tuple(v.shape)) for k, v in ours.items() if "bitsandbytes__" not in k),
                  sorted((k, str(v.dtype), tuple(v.shape)) for k, v in theirs.items() if "bitsandbytes__" not in k),
                  f"tensors of {name}")
            key = f".quant_state.bitsandbytes__{scheme}"
            got, want = (json.loads(bytes(d[key].tolist())) for d in (ours, theirs))
            for d in (got, want):
                d.pop("nested_offset", None)  # compared in nested-scales
            equal(got.items(), want.items(), f"entries of the quant_state of {name}")
            seen.append(name)
    return f"{len(seen)} weights stored alike"


@check("bitsandbytes/dequantized")
def dequantized():
    """bitsandbytes reads our files and gets the weights that pipe computes with."""
    import bitsandbytes.functional as bnb

    path, run = made("float32")
    details = []
    for output in ("plain.model", "nested.model", "fplain.model", "fnested.model"):
        stored = tensors(run[output])
        names = [n for n in stored if n.endswith("_proj.weight")]
        ours = pipe.weights(run[output], names)
        theirs = []
        for name in names:
            parts = {k: v for k, v in stored.items() if k.startswith(name + ".")}
            state = bnb.QuantState.from_dict(parts, device="cpu")
            theirs.append(bnb.dequantize_4bit(stored[name], state).flatten().numpy())
        details.append(output.split(".")[0] + " " + within(1e-7, [ours[n] for n in names], theirs))
    return "; ".join(details)


def logits(outputs, limit=1e-4):
    """Our quantized directories in transformers, on bitsandbytes' CPU kernels or with compressed-tensors."""
    details = []
    for output in outputs:
        path = made("float32")[1][output]
        rows = models.ids(path)
        details.append(output.split(".")[0] + " " + within(limit, pipe.logits(path, rows), models.logits(models.load(path), rows)))
    return "; ".join(details)


check("transformers/nf4-logits")(lambda: logits(["plain.model", "nested.model"]))
check("transformers/fp4-logits")(lambda: logits(["fplain.model", "fnested.model"]))
check("transformers/dynamic-logits")(lambda: logits(["dynamic.model", "fdynamic.model"]))


@check("transformers/dynamic-bf16-logits")
def dynamic_bf16():
    """The same of a model stored in bfloat16, computed in float32."""
    path = made("bfloat16")[1]["dynamic.model"]
    rows = models.ids(path)
    return within(1e-4, pipe.logits(path, rows), models.logits(in_float32(models.load(path)), rows))


def in_float32(model):
    """The model with its 4-bit weights as they are, but all arithmetic in float32."""
    import torch

    for module in model.modules():
        if hasattr(module, "compute_dtype"):
            module.compute_dtype = module.weight.quant_state.dtype = torch.float32
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.float()
    return model


check("transformers/q8_0-logits")(lambda: logits(["eight.model", "edynamic.model"]))


@check("transformers/dynamic-layers")
def dynamic_layers():
    """The layers that transformers leaves as they are, are those that pipe left."""
    details = []
    for output in ("dynamic.model", "fdynamic.model"):
        path = made("float32")[1][output]
        report = json.loads((path / "quantization.json").read_text())["dynamic"]
        kept = sorted(l["name"] for l in report["layers"] if l["kept"])
        plain = sorted(n for n, m in models.load(path).named_modules()
                       if type(m).__name__ == "Linear" and n != "lm_head")
        equal(plain, kept, "layers left")
        saved = sum(l["extraBytes"] for l in report["layers"] if l["kept"])
        if not kept or saved > report["budgetBytes"]:
            raise Different(f"{len(kept)} layers for {saved} of {report['budgetBytes']} bytes")
        details.append(f"{len(kept)} of {len(report['layers'])} layers for {saved} of {report['budgetBytes']} bytes")
    return "; ".join(details)


@check("gguf/q8_0-blocks")
def blocks():
    """Codes and scales are those of ggml's Q8_0, so that a GGUF file can hold them without loss."""
    import gguf
    import numpy as np

    count = 0
    for dtype in DTYPES:
        path, run = made(dtype)
        ours = tensors(run["eight.model"])
        for name, x in tensors(path).items():
            if not name.endswith("_proj.weight"):
                continue
            theirs = gguf.quantize(x.float().numpy(), gguf.GGMLQuantizationType.Q8_0).reshape(-1, 34)
            scales = ours[name + "_scale"].numpy().reshape(-1, 1).view(np.uint8)
            codes = ours[name].numpy().reshape(-1, 32).view(np.uint8)
            if not np.array_equal(theirs, np.concatenate([scales, codes], axis=1)):
                raise Different(f"blocks of {name} in {dtype}")
            count += len(theirs)
    return f"{count} blocks equal, of weights in {', '.join(DTYPES)}"


@check("peft/qlora-logits")
def qlora():
    """A QLoRA adapter on its 4-bit base in PEFT against the model pipe merged both into, in float32 as
    pipe computes, and for information in the dtype that config.json asks for."""
    import numpy as np
    import peft

    run = pipe.Run("merge", model=models.base())
    rows = models.ids(models.base())
    ours = pipe.logits(run["qmerged.model"], rows)
    theirs = peft.PeftModel.from_pretrained(models.load(run["small.model"]), run["qlora.adapter"]).eval()
    as_stored = max(float(np.abs(o - t).max()) for o, t in zip(ours, models.logits(theirs, rows)))
    detail = within(1e-4, ours, models.logits(in_float32(theirs), rows))
    return f"{detail}; {as_stored:.1e} with the base's own compute dtype"
