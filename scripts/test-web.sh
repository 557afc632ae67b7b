#!/usr/bin/env bash
# The pages: lints, unit tests, and a browser on a standalone with generated traffic. WEIR_BIN is a weir with its pages; weir-loadtest lies
# beside it.
set -euo pipefail
cd "$(dirname "$0")/.."
export WEIR_HOME="${WEIR_HOME:-$PWD/.weir}" PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
bin="$(dirname "${WEIR_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/checked/weir}")"
dir="$(mktemp -d)"

generator= up=
stop() {
    local code=$?
    trap '' INT TERM
    trap - EXIT
    [ -z "$generator" ] || kill "$generator" 2>/dev/null || true
    [ -z "$generator" ] || wait "$generator" 2>/dev/null || true
    [ -z "$up" ] || "$bin/weir-loadtest" stack down --dir "$dir/stack" >/dev/null || code=1
    [ $code = 0 ] || [ ! -e "$dir/stack/standalone.log" ] || tail -n 20 "$dir/stack/standalone.log" >&2
    rm -rf "$dir"
    exit $code
}
trap stop INT TERM EXIT

# Answers end two minutes ago: a past is there at once, and live traffic goes on behind it.
up=1
"$bin/weir-loadtest" stack up --standalone --demo --history 6 --databases --free-ports --dir "$dir/stack" --detach
"$bin/weir-loadtest" generate --stack "$dir/stack" --demo --rate 1000 --ledger "$dir/ledger.json" >"$dir/generate.log" 2>&1 &
generator=$!

cd services/web
npm run --silent lint
npm run --silent test
listen="$(sed -nE '/^\[api\]/,/^\[/s/^listen = "(.*)"$/\1/p' "$dir/stack/weir.toml" | head -n 1)"
WEIR_URL="http://$listen" timeout 600 npm run --silent e2e
