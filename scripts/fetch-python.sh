#!/usr/bin/env bash
# Two Pythons, each with what a test runs: the packages that the consumer of docs/topics.md uses, and schemathesis, which holds the API against its
# own document. Two, so that neither's packages choose the other's versions.
set -euo pipefail
cd "$(dirname "$0")/.."
home="${WEIR_HOME:-$PWD/.weir}"
fetch() { # folder, packages
    local folder="$home/$1" packages="$2" stamp="$home/$1/.version"
    [ "$(cat "$stamp" 2>/dev/null)" = "$packages" ] && return
    python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "fetch-python: Python's venv is missing; install it (Debian: python3-venv)" >&2; exit 1; }
    echo "fetch-python: $packages into $folder"
    rm -rf "$folder"
    python3 -m venv "$folder"
    # shellcheck disable=SC2086
    "$folder/bin/pip" install --quiet --disable-pip-version-check $packages
    echo "$packages" > "$stamp"
}
fetch python 'confluent-kafka==2.16.1 fastavro==1.13.1'
fetch contract 'schemathesis==4.32.5 hypothesis==6.170.17 jsonschema-rs==0.60.3'
