#!/usr/bin/env bash
# Everything that CI runs: lints, and all tests with a real Kafka and a real ClickHouse engine.
set -euo pipefail
cd "$(dirname "$0")/.."
export WEIR_HOME="${WEIR_HOME:-$PWD/.weir}" RUST_BACKTRACE="${RUST_BACKTRACE:-0}"
export WEIR_BIN="${WEIR_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/checked/weir}"
started=$SECONDS printed=$(mktemp)
ended() {
  local rc=$?
  rm -f "$printed"
  # A linker that finds no room says only that it failed.
  [ $rc = 0 ] || { echo "== ended with $rc; room on disk:"; df -h . "${CARGO_TARGET_DIR:-.}" /tmp; } || true
}
trap ended EXIT
step() { echo "== $1 ($((SECONDS - started)) s)"; }
step "pages"
scripts/build-web.sh must
step "lint"
scripts/lint.sh
step "build"
# All of the workspace at once, programs too: with other crates chosen, dependencies would be built again with other features.
cargo test --profile checked --locked --workspace --no-run
step "test"
# Tests of one crate start real servers, so crates go one after another, as cargo does.
# All of them run whatever fails: the next failure is not to wait for another round.
failed=0
try() { "$@" 2>&1 | tee -a "$printed" || failed=1; }
try cargo test --profile checked --locked --workspace --no-fail-fast
step "test of the pages"
try scripts/test-web.sh
step "test of the API's document"
try scripts/test-contract.sh
step "done"
if [ $failed != 0 ]; then
  # Said once more at the end: who reads the last lines alone must know what to mend.
  step "failed"
  grep -aE -A4 '^test .* FAILED$|panicked at|^error: |[✘✖]|^ +[0-9]+\) ' "$printed" | tail -n 150
fi
exit $failed
