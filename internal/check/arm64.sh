#!/bin/sh
# arm64.sh — equal bytes on arm64: golden digests of every step, and a short
# form of the quickstart compared file by file, under qemu's user emulation.
set -eu
GO=${GO:-go}
if ! command -v qemu-aarch64 >/dev/null; then
	echo 'SKIPPED: no qemu-aarch64 (Debian: qemu-user)'
	exit 0
fi
work=$(mktemp -d)
root=$PWD
trap 'rm -rf "$work"' EXIT
export CGO_ENABLED=0

for kind in convert tokenize quantize train evaluate merge; do
	GOARCH=arm64 $GO test -c -o "$work/$kind.test" "./steps/$kind"
	(cd "steps/$kind" && qemu-aarch64 "$work/$kind.test" -test.short -test.run Golden >"$work/log") ||
		{ cat "$work/log"; echo "$kind: other bytes on arm64"; exit 1; }
done
echo 'golden digests hold'

# The same steps by this machine and by the other, each from this one's inputs.
$GO build -o "$work/pipe" ./cmd/pipe
GOARCH=arm64 $GO build -o "$work/pipe-arm64" ./cmd/pipe
cp -R examples/quickstart/base examples/quickstart/data "$work"
cd "$work"
export PIPE_CACHE="$work/cache"
convert='"format":"alpaca","container":"auto","onError":"fail"'
tokenize='"template":"model","maxLength":128,"overLength":"error","packing":false'
quantize='"scheme":"nf4","doubleQuant":true,"blockSize":64'
train='"method":"lora","lora":{"rank":16,"alpha":32,"targets":"all-linear"},"maxUpdates":5,"batchSize":2,"gradientAccumulation":1,"learningRate":0.005,"schedule":"cosine","warmup":{"ratio":0.03},"weightDecay":0,"betas":[0.9,0.999],"epsilon":1e-8,"maxGradNorm":1,"seed":42,"numerics":"f32"'
evaluate='"maxNewTokens":8,"overLength":"error","limit":20'
merge='"dtype":"f32"'
cat >p.cue <<CUE
name: "arm64"
steps: {
	base: {kind: "fetch", as: "model", source: file: path: "base"}
	rows: {kind: "fetch", source: file: path: "data"}
	convert: {kind: "convert", in: files: steps.rows.out.files, $convert}
	tokenize: {kind: "tokenize", in: {records: steps.convert.out.records, model: steps.base.out.model}, $tokenize}
	quantize: {kind: "quantize", in: model: steps.base.out.model, $quantize}
	train: {kind: "train", in: {model: steps.quantize.out.model, tokens: steps.tokenize.out.tokens}, $train}
	evaluate: {kind: "evaluate", in: {model: steps.quantize.out.model, adapter: steps.train.out.adapter, records: steps.convert.out.records}, $evaluate}
	merge: {kind: "merge", in: {model: steps.quantize.out.model, adapter: steps.train.out.adapter}, $merge}
}
CUE
./pipe run p.cue >log || { cat log; exit 1; }

# same KIND PARAMS OUTPUT TYPE [INPUT TYPE STEP]…
same() {
	kind=$1 params=$2 out=$3 type=$4 inputs=
	shift 4
	mkdir -p "$kind/in" "$kind/out/$out" "$kind/tmp" "$kind/state"
	while [ $# -gt 0 ]; do
		./pipe get p.cue "$3" "$kind/in/$1" >/dev/null
		inputs="$inputs${inputs:+,}\"$1\":\"$2\""
		shift 3
	done
	version=$(sed -n "s/.*Define(\"$kind\", \([0-9]*\), .*/\1/p" "$root/steps/$kind"/*.go)
	printf '{"step":"%s","kind":"%s","version":%s,"params":{%s},"inputs":{%s},"outputs":{"%s":"%s"},"threads":2}' \
		"$kind" "$kind" "$version" "$params" "$inputs" "$out" "$type" >"$kind/spec.json"
	qemu-aarch64 ./pipe-arm64 exec-step "$kind" --events "$kind.events" 2>"$kind.log" ||
		{ cat "$kind.log" "$kind.events"; exit 1; }
	./pipe get p.cue "$kind" "$kind/want" >/dev/null
	diff -r "$kind/want" "$kind/out/$out" || { echo "$kind: other bytes on arm64"; exit 1; }
	echo "$kind: equal bytes"
}
same convert "$convert" records records files files rows
same tokenize "$tokenize" tokens tokens records records convert model model base
same quantize "$quantize" model model model model base
same train "$train" adapter adapter model model quantize tokens tokens tokenize
same evaluate "$evaluate" metrics metrics model model quantize adapter adapter train records records convert
same merge "$merge" model model model model quantize adapter adapter train
