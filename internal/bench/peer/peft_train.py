"""Trains a LoRA with PyTorch and PEFT when told to, the peer of steps/train/trainbench.

    python peft_train.py MODEL TOKENS ADAPTER THREADS MODE

MODE is f32, bf16 (autocast) or nf4 (bitsandbytes), each with -checkpointing for gradient
checkpointing. ADAPTER is what training starts from: its lora_A is taken, lora_B becomes zero.
All rows of TOKENS, which have one length, are one batch. For every line "update" on standard
input it performs one update and prints the seconds that took; for "memory" it prints its peak
of resident bytes, for "losses" the losses so far.
"""

import pathlib
import sys
import time

import datasets
import peft
import torch
import transformers
from safetensors.torch import load_file


def build(model_dir, adapter, mode):
    """The PEFT model and what to compute its loss under."""
    quantized = mode.startswith("nf4")
    dtype = torch.bfloat16 if mode.startswith("bf16") else torch.float32
    model = transformers.AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    if quantized:
        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if mode.endswith("-checkpointing"):
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    model.config.use_cache = False
    config = peft.LoraConfig.from_pretrained(adapter)
    config.inference_mode = False
    model = peft.get_peft_model(model, config)
    start = load_file(pathlib.Path(adapter) / "adapter_model.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                first = start[name.replace(".default", "")]
                parameter.copy_(first if "lora_A" in name else torch.zeros_like(first))
    scope = torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32)
    return model.train(), scope


def peak():
    """Peak of resident bytes."""
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not say")


def main(model_dir, tokens, adapter, threads, mode):
    torch.set_num_threads(int(threads))
    model, scope = build(model_dir, adapter, mode)
    rows = datasets.load_from_disk(tokens)
    batch = {name: torch.tensor(rows[name][:]) for name in ("input_ids", "attention_mask", "labels")}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    losses = []
    for line in sys.stdin:
        line = line.strip()
        if line == "memory":
            print(peak(), flush=True)
            continue
        if line == "losses":
            print(*losses, flush=True)
            continue
        start = time.perf_counter()
        with scope:
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        print(f"{time.perf_counter() - start:.6f}", flush=True)


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    main(*sys.argv[1:])
