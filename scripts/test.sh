#!/usr/bin/env bash
# Everything that CI runs: lints, and all tests with a real Kafka and a real ClickHouse engine.
set -euo pipefail
cd "$(dirname "$0")/.."
export WEIR_HOME="${WEIR_HOME:-$PWD/.weir}" RUST_BACKTRACE="${RUST_BACKTRACE:-0}"
export WEIR_BIN="${WEIR_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/checked/weir}"
started=$SECONDS
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
cargo test --profile checked --locked --workspace --no-fail-fast || failed=1
step "test of the pages"
scripts/test-web.sh || failed=1
step "test of the API's document"
scripts/test-contract.sh || failed=1
step "done"
exit $failed
