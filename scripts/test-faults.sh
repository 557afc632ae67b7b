#!/usr/bin/env bash
# Everything that goes wrong, on real parts: the tests of each fault, and the load tests that break the stack under load. About an hour.
# Reports lie in $WEIR_HOME/data/faults; the last line says how often something was killed.
set -euo pipefail
cd "$(dirname "$0")/.."
export WEIR_HOME="${WEIR_HOME:-$PWD/.weir}"
target="${CARGO_TARGET_DIR:-$PWD/target}"
export WEIR_BIN="$target/checked/weir"
out="$WEIR_HOME/data/faults"
step() { echo "== $1 (${SECONDS} s)"; }

step "build"
cargo test --profile checked --locked --workspace --no-run
# Load tests break what is shipped.
cargo build --release --locked -p weir -p weir-loadtest
step "tests"
# The bus and its files, ingest's spool, the decoder's transactions, the sink's plans and inserts, the engine's log, the model, the stack; and
# what is tested of it without I/O, beside the code.
cargo test --profile checked --locked --workspace --lib --bins --test kafka --test coordinator --test stopped --test embedded --test power_cut --test start --test store \
    --test engine --test model --test repair --test replay --test faults --test standalone --test redecode --test deadletter
step "load tests"
rm -rf "$out"
scenarios=(kill-each-part kill-standalone zombies rebalance broker-restart broker-loss engine-outage exporter-restart late-templates
    garbage-flood)
# Its full disk is a small tmpfs.
[ -n "${WEIR_TEST_NO_MOUNT:-}" ] || scenarios+=(disk-full)
status=0
"$target/release/weir-loadtest" run --local --weir "$target/release/weir" --dir "$WEIR_HOME/data/faults-stack" --out "$out" \
    "${scenarios[@]}" || status=$?
step "done"
echo "killed (-9) in the load tests: $(grep -oh '"kill":true' "$out"/*.json | wc -l) times; the tests above kill another 30 and more"
exit "$status"
