#!/usr/bin/env bash
# How soon `weir standalone` answers a first question after its start, and what memory it takes when nothing comes: with AS and country
# databases, as `make run` has it, half a minute after the answer. Needs target/release (`make build`).
set -euo pipefail
cd "$(dirname "$0")/.."
export WEIR_HOME="${WEIR_HOME:-$PWD/.weir}"
bin="$(dirname "${WEIR_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/weir}")"
dir="$(mktemp -d)"
up=
stop() {
    [ -z "$up" ] || "$bin/weir-loadtest" stack down --dir "$dir" || true
    rm -rf "$dir"
}
trap stop EXIT

begun=$(date +%s%N)
up=1
"$bin/weir-loadtest" stack up --standalone --databases --free-ports --dir "$dir" --detach >/dev/null
"$bin/weir" --config "$dir/weir.toml" query >/dev/null
answered=$(date +%s%N)
echo "first answer after $(((answered - begun) / 1000000)) ms"

sleep 30
weir=$(sed -nE 's/^ *"pid": ([0-9]+),?$/\1/p' "$dir/stack.json" | tail -n 1)
engine=$(cat "/proc/$weir/task/"*/children | tr ' ' '\n' | grep -m 1 .)
mb() { awk '/^VmRSS:/ { printf "%d", $2 * 1024 / 1000000 }' "/proc/$1/status"; }
one=$(mb "$weir") other=$(mb "$engine")
echo "idle: $((one + other)) MB resident ($one in weir standalone, $other in its engine)"
