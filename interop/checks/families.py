"""Every architecture that pipe computes: its forward pass, an adapter that pipe trained on it, the
model that it merges to, and NF4 in its own layout, against transformers, PEFT and bitsandbytes.

The ordinary tests compare smaller models with what golden/families.py stored; here transformers
writes the files anew, and the rows are longer than every window."""

import functools

from checks import models, pipe
from checks.report import Different, check, within

COMMON = dict(vocab_size=384, hidden_size=64, intermediate_size=176, num_hidden_layers=3, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=1024, bos_token_id=0, eos_token_id=2, pad_token_id=None)
FAMILIES = {
    "mistral": ("Mistral", COMMON | dict(sliding_window=24)),
    "qwen2": ("Qwen2", COMMON | dict(tie_word_embeddings=True, use_sliding_window=True, sliding_window=20, max_window_layers=2)),
    "qwen3": ("Qwen3", COMMON | dict(head_dim=32)),
    "gemma": ("Gemma", COMMON | dict(head_dim=32, num_key_value_heads=1)),
    "gemma2": ("Gemma2", COMMON | dict(head_dim=32, sliding_window=16, query_pre_attn_scalar=24)),
    "gemma3": ("Gemma3", COMMON | dict(head_dim=32, sliding_window=16, num_hidden_layers=7, query_pre_attn_scalar=24)),
    "gpt2": ("GPT2", dict(vocab_size=384, n_embd=64, n_layer=3, n_head=4, n_positions=1024, bos_token_id=0, eos_token_id=2)),
}
ADAPTED = ["qwen3", "gemma3", "gpt2"]


@functools.cache
def made(name):
    kind, shape = FAMILIES[name]
    return models.family(f"family-{name}", kind, tokens=models.tokenizer(), **shape)


@functools.cache
def trained(name):
    """Adapters that pipe trained on the model as it is and in NF4, and what it merged."""
    return pipe.Run("merge", model=made(name))


def forward(name):
    rows = models.ids(made(name))
    return within(1e-4, pipe.logits(made(name), rows), models.logits(models.load(made(name)), rows))


def adapter(name):
    import peft

    rows, run = models.ids(made(name)), trained(name)
    adapted = peft.PeftModel.from_pretrained(models.load(made(name)), run["lora.adapter"]).eval()
    got = pipe.logits(made(name), rows, run["lora.adapter"])
    change = max(abs(g - p).max() for g, p in zip(got, pipe.logits(made(name), rows)))
    if change < 0.01:
        raise Different(f"the adapter changes logits by {change:.1e} only: nothing is shown")
    detail = within(1e-4, got, models.logits(adapted, rows))
    merged = within(1e-4, models.logits(models.load(run["merged.model"]), rows), got)
    return f"{detail}; merged in transformers {merged}; the adapter changes logits by up to {change:.2g}"


for name in FAMILIES:
    check(f"transformers/family-{name}")(lambda name=name: forward(name))
for name in ADAPTED:
    check(f"peft/family-{name}")(lambda name=name: adapter(name))


@check("bitsandbytes/family-gpt2-nf4")
def gpt2_nf4():
    """transformers transposes GPT-2's weights before bitsandbytes quantizes them: so does pipe."""
    import torch
    import transformers

    config = transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32)
    rows, ours = models.ids(made("gpt2")), trained("gpt2")["small.model"]
    theirs = models.load(made("gpt2"), quantization_config=config)
    loaded = models.load(ours)
    linears = [n for n, m in theirs.named_modules() if type(m).__name__ == "Linear4bit"]
    for n in linears:
        a, b = theirs.get_submodule(n).weight, loaded.get_submodule(n).weight
        if not torch.equal(a.data.flatten(), b.data.flatten()):
            raise Different(f"codes of {n}")
    return f"codes of {len(linears)} linears equal; logits " + within(1e-4, pipe.logits(ours, rows), models.logits(loaded, rows))
