"""Runs every group in a process of its own, so that one crash takes down one group only,
prints a table and writes build/interop.json.

    python -m checks [GROUP…]     all groups, or those named
    python -m checks --one GROUP  (internal) one group, its results as JSON on the last line
"""

import importlib
import json
import subprocess
import sys

from checks import pipe, report

GROUPS = ["forward", "families", "merge", "lora", "quantize", "tokens", "tokenizer", "trained", "templates", "train", "gguf"]
TIMEOUT = 600  # seconds for one group


def group(name):
    """Runs one group in a child process."""
    command = [sys.executable, "-m", "checks", "--one", name]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return [report.failure(name, f"not done after {TIMEOUT} s")]
    lines = child.stdout.splitlines()
    if child.returncode == 0 and lines:
        return json.loads(lines[-1])
    why = (child.stderr.strip() or "no message").splitlines()[-1]
    return [report.failure(name, f"the group ended with code {child.returncode}: {why}")]


def main(names):
    results = []
    for name in names or GROUPS:
        for r in group(name):
            results.append(r)
            print(f"{'ok' if r['ok'] else 'NOT OK':6}  {r['name']:38}  {r['detail']}", flush=True)
    path = pipe.ROOT / "build" / "interop.json"
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print(f"{sum(r['ok'] for r in results)} of {len(results)} ok: {path.relative_to(pipe.ROOT)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        importlib.import_module(f"checks.{sys.argv[2]}")
        print(json.dumps(report.run()))
    else:
        main(sys.argv[1:])
