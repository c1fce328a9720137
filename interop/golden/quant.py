"""Writes steps/internal/quant/testdata/bitsandbytes.json: what bitsandbytes makes of numbers that the
tests of steps/internal/quant make too, in NF4 and FP4. Run it in interop/:

    .venv/bin/python golden/quant.py
"""

import json
import pathlib

import bitsandbytes.functional as bnb
import torch

OUT = pathlib.Path(__file__).resolve().parents[2] / "steps/internal/quant/testdata/bitsandbytes.json"


def numbers(n, seed=12345):
    """A linear congruential generator with an outlier at every 37th number; the same as goldenInput in Go."""
    out = []
    for i in range(n):
        seed = (seed * 1664525 + 1013904223) % 2**32
        v = ((seed >> 8) - 2**23) / 2**23
        out.append(v * 3 if i % 37 == 0 else v)
    return torch.tensor(out, dtype=torch.float32) * 0.05


def case(scheme, n, block, nested):
    codes, state = bnb.quantize_4bit(numbers(n), blocksize=block, quant_type=scheme, compress_statistics=nested)
    made = {"scheme": scheme, "elements": n, "blockSize": block, "nested": nested, "codes": raw(codes), "absmax": raw(state.absmax)}
    if nested:
        made |= {"nestedAbsmax": raw(state.state2.absmax), "nestedOffset": raw(state.offset.reshape(1))}
    made["values"] = raw(bnb.dequantize_4bit(codes, state).flatten()[:64])
    return made


def agreed(block):
    """A number of elements, in more than one block of scales, whose mean scale comes out alike in torch's
    order of summing and in order: that order alone is pipe's own."""
    for blocks in range(270, 400):
        scales = numbers(blocks * block).reshape(blocks, block).abs().amax(1)
        if scales.mean() == scales.double().mean().float():
            return blocks * block


def raw(x):
    return x.contiguous().flatten().numpy().tobytes().hex()


OUT.parent.mkdir(exist_ok=True)
OUT.write_text(json.dumps([
    case(scheme, n, block, nested)
    for scheme in ("nf4", "fp4")
    for n, block, nested in ((256, 64, False), (agreed(32), 32, True))
], indent=1) + "\n")
