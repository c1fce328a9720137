"""Writes steps/internal/decoder/testdata/families: one small random model per architecture and
variant, as transformers stores it, with what transformers, PEFT and torch compute for it.

    cd interop && .venv/bin/python golden/families.py [NAME…]

The versions are those of requirements.txt. Each folder holds

    config.json, model.safetensors   the model
    logits.safetensors               "logits" [tokens of all documents, vocab], float32
    golden.json                      the documents, the greedy continuation of the first one, and the loss
                                     with the norm of every gradient, for full training and for LoRA

LoRA weights are not stored: lora() gives them by a formula that the Go test repeats.
"""

import json
import pathlib
import shutil
import sys

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

OUT = pathlib.Path(__file__).resolve().parents[2] / "steps/internal/decoder/testdata/families"
LENGTHS = [21, 6]  # tokens of the documents; the first exceeds every window
RANK, ALPHA = 2, 4
IGNORED = 4  # leading tokens of each document that are not supervised

LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
BASE = dict(vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=48, bos_token_id=1, eos_token_id=2, pad_token_id=None)
GEMMA = BASE | dict(head_dim=8)
GPT2 = dict(vocab_size=64, n_embd=16, n_layer=2, n_head=4, n_positions=48, bos_token_id=1, eos_token_id=2)

# name: (class, configuration, dtype)
MODELS = {
    "llama-2": ("Llama", BASE | dict(num_key_value_heads=4), "bfloat16"),
    "llama-3.2": ("Llama", BASE | dict(tie_word_embeddings=True, rope_parameters=LLAMA3, head_dim=8), "bfloat16"),
    "llama-bias": ("Llama", BASE | dict(attention_bias=True, mlp_bias=True), "float16"),
    "smollm2": ("Llama", BASE | dict(tie_word_embeddings=True, num_attention_heads=3, num_key_value_heads=1, hidden_size=24,
                                    rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 100000.0}), "float32"),
    "mistral": ("Mistral", BASE | dict(sliding_window=5, rms_norm_eps=1e-5), "bfloat16"),
    "mistral-0.3": ("Mistral", BASE | dict(sliding_window=None, head_dim=6), "bfloat16"),
    "qwen2": ("Qwen2", BASE | dict(tie_word_embeddings=True), "bfloat16"),
    "qwen2-windows": ("Qwen2", BASE | dict(num_hidden_layers=3, use_sliding_window=True, sliding_window=4,
                                           max_window_layers=1), "bfloat16"),
    "qwen3": ("Qwen3", BASE | dict(head_dim=12, tie_word_embeddings=True), "bfloat16"),
    "qwen3-bias": ("Qwen3", BASE | dict(head_dim=8, attention_bias=True, num_hidden_layers=3, use_sliding_window=True,
                                        sliding_window=4, max_window_layers=2), "bfloat16"),
    "gemma": ("Gemma", GEMMA | dict(num_key_value_heads=1), "bfloat16"),
    "gemma2": ("Gemma2", GEMMA | dict(num_hidden_layers=3, sliding_window=5, query_pre_attn_scalar=6,
                                      attn_logit_softcapping=2.0, final_logit_softcapping=3.0), "bfloat16"),
    "gemma3": ("Gemma3", GEMMA | dict(num_hidden_layers=4, sliding_window=4, query_pre_attn_scalar=10,
                                      layer_types=["sliding_attention"] * 3 + ["full_attention"]), "bfloat16"),
    "gemma3-linear": ("Gemma3", GEMMA | dict(
        sliding_window=4, layer_types=["sliding_attention", "full_attention"], final_logit_softcapping=3.0,
        rope_parameters={"full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e6},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 5000.0}}), "float32"),
    "gpt2": ("GPT2", GPT2, "bfloat16"),
    "gpt2-untied": ("GPT2", GPT2 | dict(n_inner=40, tie_word_embeddings=False, activation_function="gelu"), "float32"),
    "gpt2-bare": ("GPT2", GPT2, "float16"),
    "gpt2-nf4": ("GPT2", GPT2 | dict(n_embd=32, n_layer=1), "float32"),
}


def old_spelling(name, config):
    """config.json as it was before transformers 5, for the models that have many such files."""
    rope = config.pop("rope_parameters", None)
    if name == "llama-3.2":
        config |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope}
    elif name == "gemma":  # the first release: legacy name of the activation, no word of tying
        config |= {"hidden_act": "gelu", "hidden_activation": None, "rope_theta": rope["rope_theta"], "rope_scaling": None}
        config.pop("tie_word_embeddings", None)
    elif name == "gemma3":
        config |= {"rope_theta": 1e6, "rope_local_base_freq": 1e4, "rope_scaling": None, "sliding_window_pattern": 4}
        config.pop("layer_types")
    elif name == "qwen2-windows":  # before layer_types
        config |= {"rope_theta": rope["rope_theta"]}
        config.pop("layer_types")
    elif rope is not None:
        config["rope_parameters"] = rope
    return config


def randomize(model, plus_one):
    """Weights large enough that every part matters."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1 and name.endswith("weight"):
                p.uniform_(-0.5, 0.5) if plus_one else p.uniform_(0.5, 1.5)
            elif p.dim() == 1:
                p.normal_(0, 0.3)
            elif "wpe" in name or "embed" in name or "wte" in name:
                p.normal_(0, 1.0 if not plus_one else 0.3)
            else:
                p.normal_(0, 1.2 / min(p.shape) ** 0.5)


def documents(vocab):
    """Ids by a formula, so that nothing depends on a generator's version."""
    return [[(7 + 13 * i * i + 29 * d + 5 * i) % vocab for i in range(n)] for d, n in enumerate(LENGTHS)]


def lora(k, shape):
    """The k-th LoRA matrix in the order of names, [rows, columns]."""
    i = np.arange(shape[0] * shape[1], dtype=np.int64)
    return torch.from_numpy((((i * 7919 + (k + 1) * 104729) % 2003) / 2003 * 0.6 - 0.3).astype(np.float32).reshape(shape))


def loss(model, rows):
    """The mean over all supervised tokens of all documents."""
    total, count = 0, 0
    for row in rows:
        ids = torch.tensor([row])
        predicted = model(ids).logits[0, :-1].float()
        labels = ids[0, 1:].clone()
        labels[:IGNORED - 1] = -100
        total = total + torch.nn.functional.cross_entropy(predicted, labels, ignore_index=-100, reduction="sum")
        count += int((labels != -100).sum())
    return total / count


def gradients(model, rows, rename):
    model.zero_grad()
    value = loss(model, rows)
    value.backward()
    norms = {rename(n): float(f"{p.grad.double().norm():.7g}") for n, p in model.named_parameters() if p.grad is not None}
    return {"loss": float(value), "norms": dict(sorted(norms.items()))}


def train_lora(model, rows):
    import peft

    adapted = peft.get_peft_model(model, peft.LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM",
        fan_in_fan_out=model.config.model_type == "gpt2"))

    def rename(n):
        return n.removeprefix("base_model.model.").replace(".default", "")

    named = sorted((rename(n), p) for n, p in adapted.named_parameters() if "lora_" in n)
    with torch.no_grad():
        for k, (_, p) in enumerate(named):
            p.copy_(lora(k, tuple(p.shape)))
    return gradients(adapted, rows, rename)


def load(path):
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()


def quantize(path):
    """Replaces a model by itself in NF4, as transformers and bitsandbytes store it."""
    config = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                             bnb_4bit_compute_dtype=torch.float32)
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, quantization_config=config)
    shutil.rmtree(path)
    model.save_pretrained(path)


def make(name):
    kind, options, dtype = MODELS[name]
    path = OUT / name
    shutil.rmtree(path, ignore_errors=True)
    suffix = "TextConfig" if kind == "Gemma3" else "Config"
    config = getattr(transformers, kind + suffix)(**options)
    torch.manual_seed(sum(name.encode()))
    model = transformers.AutoModelForCausalLM.from_config(config)
    randomize(model, kind.startswith("Gemma"))
    model.to(getattr(torch, dtype)).save_pretrained(path)
    if name == "gpt2-bare":
        weights = load_file(path / "model.safetensors")
        save_file({k.removeprefix("transformer."): v.contiguous() for k, v in weights.items()},
                  path / "model.safetensors", {"format": "pt"})
    if name.endswith("nf4"):
        quantize(path)
    file = path / "config.json"
    file.write_text(json.dumps(old_spelling(name, json.loads(file.read_text())), indent=1, sort_keys=True) + "\n")
    (path / "generation_config.json").unlink(missing_ok=True)

    rows = documents(config.vocab_size)
    model = load(path)
    golden = {"documents": rows, "ignored": IGNORED, "rank": RANK, "alpha": ALPHA}
    with torch.no_grad():
        every = torch.cat([model(torch.tensor([row])).logits[0].float() for row in rows])
        save_file({"logits": every.contiguous()}, path / "logits.safetensors")
        ids = list(rows[1])
        for _ in range(12):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        golden["greedy"] = ids[len(rows[1]):]
    if not name.endswith("nf4"):
        golden["full"] = gradients(model, rows, lambda n: n)
        golden["lora"] = train_lora(load(path), rows)
    (path / "golden.json").write_text(json.dumps(golden, separators=(",", ":")).replace(',"', ',\n"') + "\n")
    for each in path.iterdir():
        each.chmod(0o644)
    print(f"{name:16} loss {golden.get('full', {}).get('loss', 0):.4f}, "
          f"{sum(f.stat().st_size for f in path.iterdir())} bytes", flush=True)


if __name__ == "__main__":
    for each in sys.argv[1:] or MODELS:
        make(each)
