"""Writes steps/internal/lora/testdata/peft: one adapter per LoRA method, as PEFT saves it, with the
logits, the loss and the norm of every gradient that PEFT and torch compute for it.

    cd interop && .venv/bin/python golden/lora.py [NAME…]

The models are those of golden/families.py, whose documents and loss are used too. Each folder holds

    adapter_config.json, adapter_model.safetensors   the adapter, with weights given by a formula
    golden.json                                      the model's name, logits of the first document's last
                                                     tokens, the loss and the gradients' norms
"""

import json
import pathlib
import shutil
import sys

import peft
import torch

from families import OUT as MODELS
from families import documents, gradients, load, lora

OUT = pathlib.Path(__file__).resolve().parents[2] / "steps/internal/lora/testdata/peft"
LAST = 3  # tokens whose logits are kept

# name: (model, options of LoraConfig)
METHODS = {
    "patterns": ("llama-2", dict(
        target_modules=["q_proj", "v_proj", "down_proj"], rank_pattern={"q_proj": 3, r"layers\.1\.mlp\.down_proj": 1},
        alpha_pattern={"v_proj": 7, r".*layers\.0.*down_proj": 1})),
    "regex": ("llama-2", dict(target_modules=r".*layers\.1\..*(q|up)_proj")),
    "layers": ("smollm2", dict(target_modules=["o_proj", "gate_proj"], layers_to_transform=[1])),
    "rslora": ("smollm2", dict(target_modules="all-linear", exclude_modules=["k_proj"], use_rslora=True)),
    "dora": ("smollm2", dict(target_modules="all-linear", use_dora=True)),
    "embed": ("llama-2", dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"])),
    "embed-tied": ("smollm2", dict(target_modules=["q_proj"], modules_to_save=["embed_tokens"])),
    "head": ("llama-2", dict(target_modules=["q_proj"], modules_to_save=["lm_head"])),
    "both-tied": ("smollm2", dict(target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])),
    "tokens": ("llama-2", dict(target_modules=["q_proj"], trainable_token_indices=[20, 7, 3])),
    "tokens-tied": ("gemma2", dict(target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [20, 7, 3]})),
    "tokens-head": ("qwen2-windows", dict(target_modules=["q_proj"], trainable_token_indices=[7], modules_to_save=["lm_head"])),
    "conv1d": ("gpt2", dict(target_modules=["c_attn", "mlp.c_proj"], fan_in_fan_out=True, use_dora=True, modules_to_save=["wte"])),
    "dora-bias": ("qwen2", dict(target_modules="all-linear", use_dora=True, use_rslora=True)),
}


def make(name):
    model, options = METHODS[name]
    path = OUT / name
    shutil.rmtree(path, ignore_errors=True)
    options = dict(r=2, lora_alpha=4, task_type="CAUSAL_LM") | options
    adapted = peft.get_peft_model(load(MODELS / model), peft.LoraConfig(**options)).eval()

    def rename(n):
        n = n.removeprefix("base_model.model.").replace(".default", "").replace(".modules_to_save", "")
        return n.replace("lora_magnitude_vector.weight", "lora_magnitude_vector")

    named = sorted((rename(n), p) for n, p in adapted.named_parameters() if p.requires_grad)
    with torch.no_grad():
        for k, (n, p) in enumerate(named):
            x = lora(k, (p.shape[0], p.numel() // p.shape[0])).reshape(p.shape)
            p.copy_(p * (1 + x) if "magnitude" in n else p + x if "lora_" not in n else x)
    rows = documents(adapted.config.vocab_size)
    with torch.no_grad():
        logits = adapted(torch.tensor([rows[0]])).logits[0, -LAST:].float()
    told = {"model": model, "logits": [[float(f"{v:.7g}") for v in row] for row in logits.tolist()]}
    told |= gradients(adapted, rows, rename)
    adapted.peft_config["default"].base_model_name_or_path = model
    adapted.save_pretrained(path)
    config = json.loads((path / "adapter_config.json").read_text())
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # PEFT writes a set
    (path / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (path / "README.md").unlink(missing_ok=True)
    (path / "golden.json").write_text(json.dumps(told) + "\n")
    print(f"{name}: loss {told['loss']:.5f}, {len(told['norms'])} gradients", flush=True)


def pissa():
    """Losses and gradients at the start of PiSSA, whose adapters fit no model but the changed one."""
    told = {}
    for name, model, options in (("plain", "smollm2", dict(r=2, lora_alpha=4)),
                                 ("rslora", "qwen3", dict(r=3, lora_alpha=5, use_rslora=True))):
        adapted = peft.get_peft_model(load(MODELS / model), peft.LoraConfig(
            target_modules="all-linear", init_lora_weights="pissa", task_type="CAUSAL_LM", **options)).eval()
        rename = lambda n: n.removeprefix("base_model.model.").replace(".default", "")
        told[name] = {"model": model} | gradients(adapted, documents(adapted.config.vocab_size), rename)
    (OUT.parent / "pissa.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:] or METHODS:
        make(name)
    if not sys.argv[1:]:
        pissa()
