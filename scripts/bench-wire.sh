#!/usr/bin/env bash
# weir-wire beside other decoders (services/shared/wire/peers), with the same datagrams: time by criterion, allocations and memory by a
# counting allocator, instructions by callgrind. Prints the tables of docs/benchmarks.md, and leaves them in the target's wire-peers.md.
set -euo pipefail
cd "$(dirname "$0")/../services/shared/wire/peers"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$(git rev-parse --show-toplevel)/target}"
target="$CARGO_TARGET_DIR"
if ! command -v valgrind >/dev/null; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "bench-wire: install valgrind, then try again" >&2; exit 1; }
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends valgrind >&2
fi
cargo build --release --locked --quiet
peers="$target/release/weir-peers"
figures="$(mktemp -d)"
trap 'rm -rf "$figures"' EXIT

"$peers" allocations >"$figures/allocations"
"$peers" memory >"$figures/memory"

# What 200 datagrams more cost, by 200: what is done once before is in both.
instructions() { # case, decoder, datagrams
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$peers" run "$1" "$2" "$3" 2>&1 | sed -nE 's/.*Collected : ([0-9]+).*/\1/p'
}
while IFS=$'\t' read -r case decoder _; do
    printf '%s\t%s\t%s\n' "$case" "$decoder" "$(($(instructions "$case" "$decoder" 400) - $(instructions "$case" "$decoder" 200)))"
done <"$figures/allocations" >"$figures/instructions"

cargo bench --locked --bench peers >&2

python3 - "$figures" "$target/criterion" <<'PYTHON' | tee "$target/wire-peers.md"
import json, pathlib, sys

figures, criterion = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
read = lambda name: [line.split("\t") for line in (figures / name).read_text().splitlines()]
nanoseconds = {}
for about in criterion.glob("*/*/new/benchmark.json"):
    which = json.loads(about.read_text())
    if which["group_id"].startswith("peers: "):
        sample = json.loads(about.with_name("sample.json").read_text())
        times = sorted(time / count for time, count in zip(sample["times"], sample["iters"]))
        # The fastest tenth: whoever else works on the machine makes each of the others slower at another time.
        nanoseconds[which["group_id"][len("peers: "):], which["function_id"]] = times[len(times) // 10]
instructions = {(case, decoder): int(n) for case, decoder, n in read("instructions")}

print("| what | decoder | M/s a core | times Weir's time | instructions each | allocations each |")
print("|---|---|---|---|---|---|")
own = None
for case, decoder, unit, units, allocations in read("allocations"):
    time = nanoseconds[case, decoder]
    own = time if decoder == "weir" else own
    ratio = "" if decoder == "weir" else f"{time / own:.1f}"
    what = f"{case}, by {unit}" if decoder == "weir" else ""
    rate, each = int(units) * 1000 / time, instructions[case, decoder] / 200 / int(units)
    print(f"| {what} | {decoder} | {rate:.2f} | {ratio} | {each:.0f} | {float(allocations):.2f} |")

print()
print("| templates in memory | bytes an exporter | bytes a template |")
print("|---|---|---|")
for decoder, exporters, templates, total in read("memory"):
    each = int(total) // int(templates)
    print(f"| {decoder}, {exporters} exporters of {templates} templates | {total} | {each} |")
PYTHON
