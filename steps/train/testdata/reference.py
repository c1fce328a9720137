#!/usr/bin/env python3
"""Trains the tiny model of reference_test.go with PyTorch and prints the losses.

Written against torch 1.13.1 on a CPU. Run it by hand when the test's constants
change:  python3 reference.py > reference.json

Weights are those of the test: element i of tensor t is a hash of (t, i).
Everything else is torch's own: autograd, AdamW, clip_grad_norm_; the schedule is
transformers' get_cosine_schedule_with_warmup, written out.
"""
import hashlib
import json
import math
import struct

import torch

torch.set_num_threads(1)
V, H, I, L, HEADS, KV, D = 48, 32, 64, 2, 4, 2, 8
EPS, THETA = 1e-5, 10000.0
UPDATES, WARMUP, DECAY, CLIP = 10, 2, 0.1, 1.0
RANK, ALPHA, SEED = 4, 8.0, 42


def weight(t, shape):
    n = math.prod(shape)
    i = torch.arange(n, dtype=torch.int64)
    h = ((i + 7919 * t) * 2654435761) & 0xFFFFFFFF
    h = ((h ^ (h >> 15)) * 2246822519) & 0xFFFFFFFF
    h = h ^ (h >> 13)
    x = (h.double() / 2**32 - 0.5) * 0.5
    if len(shape) == 1:
        x = x + 1
    return x.float().reshape(shape)


def tensors():
    out = [("model.embed_tokens.weight", (V, H))]
    for l in range(L):
        p = f"model.layers.{l}."
        out += [(p + "input_layernorm.weight", (H,)), (p + "post_attention_layernorm.weight", (H,))]
        out += [(p + "self_attn.q_proj.weight", (HEADS * D, H)), (p + "self_attn.k_proj.weight", (KV * D, H)),
                (p + "self_attn.v_proj.weight", (KV * D, H)), (p + "self_attn.o_proj.weight", (H, HEADS * D)),
                (p + "mlp.gate_proj.weight", (I, H)), (p + "mlp.up_proj.weight", (I, H)), (p + "mlp.down_proj.weight", (H, I))]
    return out + [("model.norm.weight", (H,))]  # the head is tied


def philox(seed, purpose, n):
    """n words of kernel.Rand(seed, purpose, 0): Philox4x32-10."""
    key = hashlib.sha256(struct.pack("<Q", seed) + purpose.encode()).digest()
    words, block = [], 0
    while len(words) < n:
        k0, k1 = struct.unpack("<II", key[:8])
        c = [block & 0xFFFFFFFF, block >> 32, 0, 0]
        for _ in range(10):
            a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(b >> 32) ^ c[1] ^ k0, b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k1, a & 0xFFFFFFFF]
            k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
        words += c
        block += 1
    return words[:n]


def kaiming(path, shape):
    words = philox(SEED, "train/lora_A/" + path, math.prod(shape))
    u = torch.tensor([w >> 8 for w in words], dtype=torch.float64) * 2.0**-24
    return ((2 * u - 1) / math.sqrt(shape[1])).float().reshape(shape)


def rows():
    """Rows of ids and labels; each id is the one before it plus three."""
    out = []
    for r in range(6):
        ids = [(5 * r + 3 * p) % V for p in range(6 + r)]
        labels = [-100 if p < 3 else ids[p] for p in range(len(ids))]
        out.append((torch.tensor(ids), torch.tensor(labels)))
    return out


def rms(x, g):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * g


def rope(x):
    pos = torch.arange(x.shape[1], dtype=torch.float32)
    inv = 1.0 / THETA ** (torch.arange(0, D, 2, dtype=torch.float32) / D)
    a = torch.outer(pos, inv)
    a = torch.cat([a, a], -1)
    half = torch.cat([-x[..., D // 2:], x[..., : D // 2]], -1)
    return x * a.cos() + half * a.sin()


def nll(lin, w, ids, labels):
    n = len(ids)
    x = w["model.embed_tokens.weight"][ids]
    mask = torch.full((n, n), float("-inf")).triu(1)
    for l in range(L):
        p = f"model.layers.{l}."
        h = rms(x, w[p + "input_layernorm.weight"])
        q = rope(lin(p + "self_attn.q_proj", h).view(n, HEADS, D).transpose(0, 1))
        k = rope(lin(p + "self_attn.k_proj", h).view(n, KV, D).transpose(0, 1))
        v = lin(p + "self_attn.v_proj", h).view(n, KV, D).transpose(0, 1)
        k, v = (t.repeat_interleave(HEADS // KV, 0) for t in (k, v))
        a = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(D) + mask, -1)
        x = x + lin(p + "self_attn.o_proj", (a @ v).transpose(0, 1).reshape(n, HEADS * D))
        h = rms(x, w[p + "post_attention_layernorm.weight"])
        x = x + lin(p + "mlp.down_proj", torch.nn.functional.silu(lin(p + "mlp.gate_proj", h)) * lin(p + "mlp.up_proj", h))
    logits = rms(x, w["model.norm.weight"]) @ w["model.embed_tokens.weight"].T
    return torch.nn.functional.cross_entropy(logits[:-1], labels[1:], reduction="sum", ignore_index=-100)


def rate(i, peak):
    if i < WARMUP:
        return peak * i / WARMUP
    return peak * 0.5 * (1 + math.cos(math.pi * (i - WARMUP) / (UPDATES - WARMUP)))


def train(method, peak):
    w = {name: weight(t, shape) for t, (name, shape) in enumerate(tensors())}
    pairs = {}
    if method == "full":
        for t in w.values():
            t.requires_grad_(True)
        groups = [{"params": [t for t in w.values() if t.dim() > 1], "weight_decay": DECAY},
                  {"params": [t for t in w.values() if t.dim() == 1], "weight_decay": 0.0}]
    else:
        for name, t in w.items():
            if name.endswith("_proj.weight"):
                path = name[: -len(".weight")]
                a, b = kaiming(path, (RANK, t.shape[1])), torch.zeros(t.shape[0], RANK)
                pairs[path] = (a.requires_grad_(True), b.requires_grad_(True))
        groups = [{"params": [t for pair in pairs.values() for t in pair], "weight_decay": DECAY}]

    def lin(path, x):
        y = x @ w[path + ".weight"].T
        if path in pairs:
            a, b = pairs[path]
            y = y + ALPHA / RANK * (x @ a.T) @ b.T
        return y

    params = [t for g in groups for t in g["params"]]
    opt = torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.999), eps=1e-8)
    out = []
    for i in range(UPDATES):
        count = sum(int((labels[1:] != -100).sum()) for _, labels in rows())
        loss = sum(nll(lin, w, ids, labels) for ids, labels in rows()) / count
        opt.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(params, CLIP)
        for g in opt.param_groups:
            g["lr"] = rate(i, peak)
        opt.step()
        out.append({"loss": float(loss), "learningRate": rate(i, peak), "gradientNorm": float(norm), "supervisedTokens": count})
    return out


print(json.dumps({"torch": torch.__version__, "lora": train("lora", 1e-2), "full": train("full", 5e-3)}, indent=1))
