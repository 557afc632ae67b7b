#!/usr/bin/env bash
# Fuzzes weir-wire and weir-capture (docs/fuzzing.md): `scripts/fuzz.sh [SECONDS] [TARGET...]` runs each target so long, 60 s where nothing is said,
# as many at once as there are cores (JOBS). What it finds stays in the target directory and is where the next run goes on; so does
# the count of all executions. `scripts/fuzz.sh minimise` puts the fewest inputs that reach all that was reached into the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
crate="$PWD/services/shared/wire/fuzz" work="$CARGO_TARGET_DIR/fuzz"
built="$CARGO_TARGET_DIR/$(rustc -vV | sed -n 's/^host: //p')/release"
mapfile -t targets < <(cd "$crate/fuzz_targets" && for file in *.rs; do echo "${file%.rs}"; done)
seconds=60 minimise=0
case "${1:-}" in
    minimise) minimise=1; shift ;;
    [0-9]*) seconds="$1"; shift ;;
esac
[ $# = 0 ] || targets=("$@")

command -v cargo-fuzz >/dev/null || cargo install --quiet --locked --version 0.13.2 cargo-fuzz
# The pinned compiler is a stable one, and coverage needs flags that those have only so. The crates have no `unsafe` for a sanitizer to watch.
(cd "$crate" && RUSTC_BOOTSTRAP=1 cargo fuzz build --sanitizer none --fuzz-dir .)
cargo run --quiet --locked --manifest-path "$crate/Cargo.toml" --example seeds -- "$work/seeds"

if [ $minimise = 1 ]; then
    for target in "${targets[@]}"; do
        kept="$crate/corpus/$target" fewest="$work/fewest/$target"
        rm -rf "$fewest"
        mkdir -p "$fewest" "$kept" "$work/corpus/$target"
        # By edges alone: counts of each would keep ten times as many.
        "$built/$target" -set_cover_merge=1 -use_counters=0 -max_len=4096 "$fewest" "$work/seeds/$target" "$kept" "$work/corpus/$target" >"$work/$target.log" 2>&1
        # What failed once is kept whatever it reaches.
        find "$kept" -type f ! -name 'failed-*' -delete
        cp "$fewest"/* "$kept/"
        echo "$target: $(find "$kept" -type f | wc -l) inputs of $(cat "$kept"/* | wc -c) bytes"
    done
    exit
fi

fuzz() { # target
    mkdir -p "$work/corpus/$1" "$work/failed"
    "$built/$1" "$work/corpus/$1" "$crate/corpus/$1" "$work/seeds/$1" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
        -artifact_prefix="$work/failed/$1-" -print_final_stats=1 >"$work/$1.log" 2>&1 || echo "fuzz: $1 failed: see $work/$1.log and $work/failed" >&2
    sed -nE "s/^stat::number_of_executed_units: ([0-9]+)/$1\t\1/p" "$work/$1.log" >>"$work/executions"
}
mkdir -p "$work/failed" "${targets[@]/#/$crate/corpus/}"
before="$(find "$work/failed" -type f | wc -l)"
for target in "${targets[@]}"; do
    while [ "$(jobs -pr | wc -l)" -ge "${JOBS:-$(nproc)}" ]; do wait -n || true; done
    fuzz "$target" &
done
wait
awk -F'\t' '{ all[$1] += $2; sum += $2 } END { for (target in all) print target, all[target]; print "all", sum }' "$work/executions"
[ "$(find "$work/failed" -type f | wc -l)" = "$before" ]
