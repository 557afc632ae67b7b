#!/usr/bin/env bash
# `weir standalone` on this machine, until Ctrl-C: every service in one process, with the ClickHouse engine as its child; with generated
# traffic unless DEMO=0. Data and logs lie in .weir/data.
set -euo pipefail
cd "$(dirname "$0")/.."
export WEIR_HOME="${WEIR_HOME:-$PWD/.weir}"
bin="$(dirname "${WEIR_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/weir}")"
dir="$WEIR_HOME/data"
demo="${DEMO:-1}"

generator= stack=
stop() {
    local code=$?
    # A second signal must not leave half of it running.
    trap '' INT TERM
    trap - EXIT
    echo
    echo "Stopping."
    [ -z "$generator" ] || kill "$generator" 2>/dev/null || true
    [ -z "$generator" ] || wait "$generator" 2>/dev/null || true
    if [ -n "$stack" ] && kill -0 "$stack" 2>/dev/null; then
        "$bin/weir-loadtest" stack down --dir "$dir" || code=1
    fi
    # What was begun in the background ends with this.
    kill $(jobs -p) 2>/dev/null || true
    exit "$code"
}
trap stop INT TERM EXIT

flags=(--databases)
# The past is written once; later starts go on where the last one ended.
rate=60
[ "$demo" = 0 ] || flags+=(--demo --history 24 --history-rate "$rate")
[ -z "${WEIR_CONFIG:-}" ] || flags+=(--config "$WEIR_CONFIG")
unset WEIR_CONFIG
"$bin/weir-loadtest" stack up --standalone --dir "$dir" --detach "${flags[@]}"
stack="$(sed -nE 's/^ *"pid": ([0-9]+),?$/\1/p' "$dir/stack.json" | head -n 1)"

if [ "$demo" != 0 ]; then
    "$bin/weir-loadtest" generate --stack "$dir" --demo --rate "$rate" --ledger "$dir/ledger.json" >"$dir/generate.log" 2>&1 &
    generator=$!
fi

page="$(curl -s --max-time 10 http://127.0.0.1:8480/ || true)"
if [[ $page == *'built without its pages'* ]]; then
    look="There are no pages to look at: Weir was built without them, for want of Node 20.19 or newer. Install it and do this again; questions are answered all the same."
else
    look="Look: http://127.0.0.1:8480/"
    [ "$demo" = 0 ] || look+=" (a day of generated traffic is decoded within a minute)"
fi
cat <<END

Weir runs. Point routers at UDP ports 2055, 4739 or 6343 of this machine (any protocol on any port); it listens on loopback until you
write ingest.addresses = ["0.0.0.0", "::"] into a file and start with WEIR_CONFIG=FILE make run.

$look

Ask, in another terminal (the last two minutes, in which flows still come, are left out):

    $bin/weir --config $dir/weir.toml query                                  # top ASes by link
    $bin/weir --config $dir/weir.toml query --by provider,connectivity
    $bin/weir --config $dir/weir.toml query --by as --connectivity transit --last 15m --format json
    curl -s http://127.0.0.1:8480/api/v1/query -H 'content-type: application/json' -d '{"by": ["as"], "filter": "connectivity = transit"}'
END
if [ "$demo" != 0 ]; then
    echo "    $bin/weir-loadtest top --ledger $dir/ledger.json          # what was generated, for comparison"
fi
echo
echo "Metrics are at http://127.0.0.1:9400/metrics, logs in $dir. Ctrl-C ends it."
tail --pid="$stack" -f /dev/null &
ends=$!
if [ -n "$generator" ]; then
    wait -n "$generator" "$ends" || true
    if "$bin/weir-loadtest" stack status --dir "$dir" >/dev/null 2>&1; then
        echo "The generator ended: $(tail -n 1 "$dir/generate.log") (all of it: $dir/generate.log). The rest runs on."
    fi
fi
wait "$ends"
echo "Weir ended (logs are in $dir):" >&2
sed -n '/^weir-loadtest: /,$p' "$dir/stack.log" >&2
exit 1
