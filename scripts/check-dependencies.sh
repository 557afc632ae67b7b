#!/usr/bin/env bash
# Dependencies between our crates point one way: schemas <- wire <- services; bus, store and runtime know nothing of decoding; services never
# depend on each other (docs/ARCHITECTURE.md). Development dependencies are free.
set -euo pipefail
cd "$(dirname "$0")/.."
allowed='
weir-schemas:
weir-wire: weir-schemas
weir-capture: weir-schemas weir-wire
weir-filter:
weir-bus:
weir-runtime:
weir-store: weir-schemas weir-runtime
weir-ingest: weir-schemas weir-bus weir-runtime
weir-decoder: weir-schemas weir-wire weir-bus weir-runtime
weir-sink: weir-schemas weir-bus weir-store weir-runtime
weir-web:
weir-api: weir-schemas weir-filter weir-bus weir-store weir-runtime weir-web
weir: weir-schemas weir-api weir-filter weir-capture weir-wire weir-bus weir-store weir-runtime weir-ingest weir-decoder weir-sink
weir-stack: weir-schemas weir-bus
weir-loadtest: weir-schemas weir-stack weir-bus weir-store weir-runtime weir-capture
'
cargo metadata --format-version 1 --no-deps --locked | python3 -c '
import json, sys
allowed = dict((l.split(":")[0], set(l.split(":")[1].split())) for l in sys.argv[1].split("\n") if ":" in l)
bad = 0
for package in json.load(sys.stdin)["packages"]:
    name = package["name"]
    if name not in allowed:
        print(f"check-dependencies: {name} is not in the table of scripts/check-dependencies.sh"); bad = 1; continue
    for d in package["dependencies"]:
        if d["kind"] != "dev" and d["name"].startswith("weir") and d["name"] not in allowed[name]:
            print("check-dependencies: " + name + " must not depend on " + d["name"]); bad = 1
sys.exit(bad)
' "$allowed"
