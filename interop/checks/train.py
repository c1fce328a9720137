"""Ten updates of LoRA and of all weights, against PyTorch (PEFT) on the same rows."""

import functools
import json

from checks import models, pipe
from checks.report import check, within

UPDATES, WARMUP, DECAY = 10, 2, 0.1


@functools.cache
def made():
    return pipe.Run("train", model=models.base())


def logged(output):
    """Losses and gradient norms from training.jsonl."""
    lines = [json.loads(line) for line in (made()[output] / "training.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines], [line["gradientNorm"] for line in lines]


def batch():
    """All rows of tokens, padded to one length."""
    import datasets
    import torch

    rows = list(datasets.load_from_disk(str(made()["tokens.tokens"])))
    longest = max(len(r["input_ids"]) for r in rows)
    pad = lambda name, value: torch.tensor([r[name] + [value] * (longest - len(r[name])) for r in rows])
    return pad("input_ids", 0), pad("attention_mask", 0), pad("labels", -100)


def losses(model, rate):
    """Trains as train.cue does and returns losses and gradient norms."""
    import torch
    import transformers

    ids, mask, labels = batch()
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [{"params": [p for p in trained if p.dim() > 1], "weight_decay": DECAY},
              {"params": [p for p in trained if p.dim() == 1], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.999), eps=1e-8)
    schedule = transformers.get_constant_schedule_with_warmup(optimizer, WARMUP)
    seen, norms = [], []
    for _ in range(UPDATES):
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(trained, 1.0)))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        seen.append(float(loss))
    return seen, norms


def compare(ours, theirs):
    """Both series relative to PyTorch's."""
    details = []
    for what, limit, got, want in zip(("losses", "gradient norms"), (1e-3, 1e-2), ours, theirs):
        ratio = [g / w for g, w in zip(got, want, strict=True)]
        details.append(within(limit, [ratio], [[1.0] * UPDATES], f"{what}: max relative Δ"))
    return "; ".join(details) + f"; loss {ours[0][0]:.4f} → {ours[0][-1]:.4f}"


@check("peft/lora-ten-losses")
def lora():
    import peft
    import torch
    from safetensors.torch import load_file

    start = load_file(made()["start.adapter"] / "adapter_model.safetensors")
    config = peft.LoraConfig.from_pretrained(str(made()["lora.adapter"]))
    config.inference_mode = False
    model = peft.get_peft_model(models.load(models.base()), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                first = start[name.replace(".default", "")]
                parameter.copy_(first if "lora_A" in name else torch.zeros_like(first))
    return compare(logged("lora.adapter"), losses(model.train(), 1e-2))


@check("torch/full-ten-losses")
def full():
    return compare(logged("full.model"), losses(models.load(models.base()).train(), 1e-3))
