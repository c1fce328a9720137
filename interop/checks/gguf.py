"""GGUF files as pipe reads them, against the gguf package and transformers' own GGUF loading."""

import functools

from checks import models, pipe
from checks.report import check, within

# How a llama model's tensors are called in GGUF.
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}


@functools.cache
def file(kind):
    """A model whose linears are of one ggml type, written by the gguf package: random blocks where it
    cannot quantize itself, so that every bit of a block counts."""
    import gguf
    import numpy as np
    from safetensors.numpy import load_file

    path = pipe.WORK / f"{kind}.gguf"
    model = load_file(models.llama("gguf", hidden_size=256, intermediate_size=512, num_hidden_layers=2,
                                   num_key_value_heads=2) / "model.safetensors")
    draw = np.random.default_rng(5)
    w = gguf.GGUFWriter(path, "llama")
    header(w, model)
    for name, x in model.items():
        if name.endswith("_proj.weight"):
            blocks = quantized(x, gguf.GGMLQuantizationType[kind], draw)
            w.add_tensor(renamed(name), blocks, raw_dtype=gguf.GGMLQuantizationType[kind])
        else:
            w.add_tensor(renamed(name), x)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return path


def header(w, model):
    """The metadata of a llama model with a vocabulary of bytes and nothing else."""
    w.add_block_count(2)
    w.add_context_length(256)
    w.add_embedding_length(256)
    w.add_feed_forward_length(512)
    w.add_head_count(4)
    w.add_head_count_kv(2)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_rope_freq_base(10000.0)
    w.add_vocab_size(320)
    w.add_tokenizer_model("llama")
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    pieces += [f"piece{i}" for i in range(320 - len(pieces))]
    w.add_token_list(pieces)
    w.add_token_scores([0.0] * 320)
    w.add_token_types([2, 3, 3] + [6] * 256 + [1] * (320 - 259))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)


def renamed(name):
    """A tensor's name in GGUF."""
    outside = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
               "lm_head.weight": "output.weight"}
    if name in outside:
        return outside[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def quantized(x, kind, draw):
    """x in blocks of a type; for a type the gguf package only reads, random blocks with small scales."""
    import gguf
    import numpy as np

    try:
        return gguf.quants.quantize(x, kind)
    except NotImplementedError:
        pass
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = draw.integers(0, 256, (x.size // elements, size), dtype=np.uint8)
    scales = {"Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}[kind.name]  # offsets of the half floats
    for at in scales:
        blocks[:, at:at + 2] = draw.normal(0, 0.01, len(blocks)).astype(np.float16)[:, None].view(np.uint8)
    return blocks.reshape(x.shape[0], -1)


def dequantized(path):
    """The tensors of a GGUF file by their Hugging Face names, as the gguf package reads them. In GGUF the
    rows of q and k are interleaved for rotary positions (llama.cpp's convert_hf_to_gguf): undone here."""
    import gguf

    back = {renamed(f"model.layers.{i}.{n}.weight"): f"model.layers.{i}.{n}.weight" for i in range(2) for n in NAMES}
    back |= {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
             "output.weight": "lm_head.weight"}
    tensors = {}
    for t in gguf.GGUFReader(path).tensors:
        x = gguf.quants.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1])
        heads = {"attn_q": 4, "attn_k": 2}.get(t.name.split(".")[-2])
        if heads:
            x = x.reshape(heads, x.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(x.shape)
        tensors[back[t.name]] = x
    return tensors


def compare(kind):
    """Every weight, bit for bit. pipe stores the linears of a quantized file in half floats, so the peer's
    numbers are rounded to what pipe's file holds."""
    from safetensors.torch import load_file
    import torch

    path = file(kind)
    ours = load_file(pipe.Run("gguf", file=path)["model.model"] / "model.safetensors")
    theirs = dequantized(path)
    names = sorted(theirs)
    want = [torch.tensor(theirs[n]).to(ours[n].dtype).float().numpy() for n in names]
    stored = sorted({str(ours[n].dtype).removeprefix("torch.") for n in names if "_proj" in n})
    return within(0, [ours[n].float().numpy() for n in names], want) + f", linears stored in {', '.join(stored)}"


for kind in ("F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"):
    check(f"gguf/{kind.lower()}")(lambda kind=kind: compare(kind))


@check("transformers/gguf-stories260K")
def stories():
    """Weights, configuration and logits as transformers reads the same file."""
    path = pipe.shared("models/stories260K/stories260K-f32.gguf")
    run = pipe.Run("gguf", file=path)
    theirs = models.load(path.parent, gguf_file=path.name)
    state = {n: x.numpy() for n, x in theirs.state_dict().items() if n != "lm_head.weight"}
    ours = pipe.weights(run["model.model"], sorted(state))
    detail = within(0, [ours[n] for n in sorted(state)], [state[n].flatten() for n in sorted(state)], "weights: max |Δ|")
    rows = models.ids(run["model.model"])
    return detail + "; " + within(1e-4, pipe.logits(run["model.model"], rows), models.logits(theirs, rows), "logits: max |Δ|")
