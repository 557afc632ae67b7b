# Sourced by scripts that test what is served: `demo_up HOURS` starts a standalone with so long a past of generated traffic, gives where its API is
# in `api`, and ends all when the script ends. WEIR_BIN is a weir with its pages; weir-loadtest lies beside it.
# shellcheck shell=bash
export WEIR_HOME="${WEIR_HOME:-$PWD/.weir}"
bin="$(cd "$(dirname "${WEIR_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/checked/weir}")" && pwd)"
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

demo_up() { # hours
    # Answers end two minutes ago: a past is there at once, and live traffic goes on behind it.
    up=1
    "$bin/weir-loadtest" stack up --standalone --demo --history "$1" --databases --free-ports --dir "$dir/stack" --detach
    "$bin/weir-loadtest" generate --stack "$dir/stack" --demo --rate 1000 --ledger "$dir/ledger.json" >"$dir/generate.log" 2>&1 &
    generator=$!
    # shellcheck disable=SC2034
    api="http://$(sed -nE '/^\[api\]/,/^\[/s/^listen = "(.*)"$/\1/p' "$dir/stack/weir.toml" | head -n 1)"
}
