#!/bin/sh
# run.sh [GROUP…] — compares build/pipe with its Python peers: prints a table, writes build/interop.json.
# Ends with 0 whether they agree or not: the figures say so. PYTHON chooses the interpreter.
set -eu
cd "$(dirname "$0")"
PYTHON=${PYTHON:-python3}

if ! command -v "$PYTHON" >/dev/null; then
	echo '[{"name":"python","ok":false,"detail":"no python3 on this machine"}]' | tee ../build/interop.json
	exit 0
fi

# The environment is made anew only when the pinned versions change.
if ! cmp -s requirements.txt .venv/installed.txt; then
	echo 'installing the peers of requirements.txt into interop/.venv (5.7 GB)'
	if "$PYTHON" -m venv --clear .venv &&
		.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt; then
		cp requirements.txt .venv/installed.txt
	else
		echo 'the peers cannot all be installed: their checks will say so'
	fi
fi
[ ! -x .venv/bin/python ] || PYTHON=.venv/bin/python

rm -rf ../build/interop
CGO_ENABLED=0 ${GO:-go} build -o ../build/interop-peer ../steps/internal/interop
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONWARNINGS=ignore PYTHONDONTWRITEBYTECODE=1
"$PYTHON" -m checks "$@"
