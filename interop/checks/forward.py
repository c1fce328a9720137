"""The forward pass of llama models of several shapes, against transformers."""

import json

from checks import models, pipe
from checks.report import check, within

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
SHAPES = {
    "plain-tied": dict(tie_word_embeddings=True),
    "gqa-untied": dict(num_key_value_heads=2, tie_word_embeddings=False),
    "mqa-head-dim": dict(num_key_value_heads=1, head_dim=24),
    "wide-heads": dict(num_attention_heads=2, num_key_value_heads=2, head_dim=64, rms_norm_eps=1e-3),
    "rope-theta": dict(rope_parameters={"rope_type": "default", "rope_theta": 500000.0}),
    "rope-llama3": dict(rope_parameters=LLAMA3 | {"rope_theta": 500000.0}),
    "rope-linear": dict(rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}),
    "biases": dict(attention_bias=True, mlp_bias=True, num_key_value_heads=2),
    "bf16-weights": dict(dtype="bfloat16", num_key_value_heads=2),
    "f16-weights": dict(dtype="float16", num_key_value_heads=2),
}


def compare(path):
    rows = models.ids(path)
    return within(1e-4, pipe.logits(path, rows), models.logits(models.load(path), rows))


for name, shape in SHAPES.items():
    check(f"transformers/forward-{name}")(lambda name=name, shape=shape: compare(models.llama(name, **shape)))


@check("transformers/forward-old-config")
def old_config():
    """config.json as transformers wrote it before version 5."""
    path = models.llama("old-config", **SHAPES["rope-llama3"])
    config = json.loads((path / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config |= {"rope_theta": rope["rope_theta"], "rope_scaling": LLAMA3, "torch_dtype": config.pop("dtype")}
    (path / "config.json").write_text(json.dumps(config))
    return compare(path)


@check("transformers/forward-stories260K")
def stories():
    return compare(pipe.shared("models/stories260K/hf"))
