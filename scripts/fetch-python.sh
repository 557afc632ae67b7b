#!/usr/bin/env bash
# A Python with the two packages that the consumer of docs/topics.md uses, for the test that runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
home="${WEIR_HOME:-$PWD/.weir}"
packages='confluent-kafka==2.16.1 fastavro==1.13.1'
stamp="$home/python/.version"
[ "$(cat "$stamp" 2>/dev/null)" = "$packages" ] && exit 0
python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "fetch-python: Python's venv is missing; install it (Debian: python3-venv)" >&2; exit 1; }
echo "fetch-python: $packages into $home/python"
rm -rf "$home/python"
python3 -m venv "$home/python"
# shellcheck disable=SC2086
"$home/python/bin/pip" install --quiet --disable-pip-version-check $packages
echo "$packages" > "$stamp"
