#!/usr/bin/env bash
# Fetches the ClickHouse engine, libchdb.so, from npm: pinned, and checked against the checksum below.
set -euo pipefail
cd "$(dirname "$0")/.."
home="${WEIR_HOME:-$PWD/.weir}"
package='@chdb/lib-linux-x64-gnu'
version='26.7.3-stable.1'
sha256='c0d32b129e988f2b9a9a31c9141aecf5e1e2453f9a079efc4d36ab8e3f92b2ad'
stamp="$home/engine/.version"
[ "$(cat "$stamp" 2>/dev/null)" = "$version" ] && [ -s "$home/engine/libchdb.so" ] && exit 0
[ "$(uname -sm)" = 'Linux x86_64' ] || { echo "fetch-engine: the engine exists for Linux on x86_64 only; use a ClickHouse server (clickhouse.url) elsewhere" >&2; exit 1; }
command -v npm >/dev/null || { echo "fetch-engine: npm is missing; install it (Debian: npm)" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "fetch-engine: fetching $package@$version (178 MB)"
archive="$work/$(cd "$work" && npm pack --silent "$package@$version" | tail -n 1)"
is=$(sha256sum "$archive" | cut -d' ' -f1)
[ "$is" = "$sha256" ] || { echo "fetch-engine: $package@$version has checksum $is, $sha256 was expected: not used" >&2; exit 1; }
mkdir -p "$home/engine"
tar -xzf "$archive" -C "$work" package/libchdb.so
mv "$work/package/libchdb.so" "$home/engine/libchdb.so"
echo "$version" > "$stamp"
