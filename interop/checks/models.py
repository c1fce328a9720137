"""Small models with random weights, made by transformers, and transformers' logits."""

import json

from checks import pipe

# A chat template that marks, for transformers alone, what the model itself writes.
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def llama(name, dtype="float32", **shape):
    """Writes a llama of the given shape, unless it is there, and returns its directory."""
    return family(name, "Llama", dtype, **(dict(
        vocab_size=320, hidden_size=64, intermediate_size=176, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=256, bos_token_id=1, eos_token_id=2) | shape))


def family(name, kind, dtype="float32", tokens=None, **shape):
    """Writes a model of transformers' class kind, unless it is there, with a tokenizer where one is
    given, and returns its directory."""
    import torch
    import transformers

    path = pipe.WORK / "models" / name
    if path.exists():
        return path
    config = getattr(transformers, kind + ("TextConfig" if kind == "Gemma3" else "Config"))(**shape)
    torch.manual_seed(sum(name.encode()))
    model = getattr(transformers, kind + ("LMHeadModel" if kind == "GPT2" else "ForCausalLM"))(config)
    with torch.no_grad():
        for label, parameter in model.named_parameters():  # large enough that every part matters
            if parameter.dim() > 1:
                fan = parameter.shape[0] if kind == "GPT2" and ".h." in label else parameter.shape[1]
                parameter.normal_(0, 1.5 / fan ** 0.5)
            elif label.endswith("bias"):
                parameter.normal_(0, 0.2)
            elif kind.startswith("Gemma"):  # these add 1
                parameter.uniform_(-0.5, 0.5)
            else:
                parameter.uniform_(0.5, 1.5)
    model.to(getattr(torch, dtype)).save_pretrained(path)
    if tokens is not None:
        tokens.save_pretrained(path)
    return path


def base():
    """A model that also has a tokenizer and a chat template: that of the quickstart, or a random one."""
    quickstart = pipe.ROOT / "examples" / "quickstart" / "base"
    if (quickstart / "config.json").exists():
        return quickstart
    path = pipe.WORK / "models" / "base"
    if not path.exists():
        llama("base", vocab_size=384)
        tokenizer().save_pretrained(path)
    return path


def tokenizer():
    """A byte-level BPE of 384 pieces with the tokens of ChatML."""
    import tokenizers
    import transformers

    t = tokenizers.Tokenizer(tokenizers.models.BPE())
    t.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = tokenizers.decoders.ByteLevel()
    t.train_from_iterator(texts(), tokenizers.trainers.BpeTrainer(
        vocab_size=384, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<|im_end|>", bos_token="<|endoftext|>")
    made.chat_template = CHATML.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    return made


def rows():
    """The instructions of the quickstart."""
    lines = (pipe.ROOT / "examples" / "quickstart" / "data" / "commands.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def texts():
    return [text for row in rows() for text in row.values()]


def ids(model, count=4, length=40):
    """Rows of random ids for a model."""
    import random

    vocab = json.loads((model / "config.json").read_text())["vocab_size"]
    draw = random.Random(7)
    return [[draw.randrange(vocab) for _ in range(length + 13 * i)] for i in range(count)]


def load(path, **options):
    """A model in transformers, computing in float32."""
    import torch
    import transformers

    options = {"dtype": torch.float32, "attn_implementation": "eager"} | options
    return transformers.AutoModelForCausalLM.from_pretrained(path, **options).eval()


def logits(model, rows):
    """The logits [tokens, vocab] of each row of ids, by a model of transformers or PEFT."""
    import torch

    with torch.no_grad():
        return [model(torch.tensor([row])).logits[0].float().numpy() for row in rows]
