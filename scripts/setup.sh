#!/usr/bin/env bash
# Installs and fetches all that building, running and testing need, once; given `run`, what building and running need. As root on Debian or
# Ubuntu it installs what is missing; otherwise it says in a sentence what to install.
set -euo pipefail
cd "$(dirname "$0")/.."
export WEIR_HOME="${WEIR_HOME:-$PWD/.weir}"
tests=1
[ "${1:-}" != run ] || tests=0

command -v cargo >/dev/null || { echo "setup: cargo is missing; install rustup (rust-toolchain.toml names the toolchain)" >&2; exit 1; }

# Debian package for each command or header.
missing=()
need() { [ "$1" = 1 ] || missing+=("$2"); }
has() { command -v "$1" >/dev/null 2>&1 && echo 1 || echo 0; }
file() { for f in "$@"; do [ -e "$f" ] && { echo 1; return; }; done; echo 0; }
need "$(has cc)" build-essential
need "$(has make)" make
need "$(has pkg-config)" pkg-config
need "$(file /usr/include/openssl/ssl.h)" libssl-dev
need "$(file /usr/include/zlib.h)" zlib1g-dev
# Kafka 4 needs Java 17 or later.
java_is() { java -version 2>&1 | sed -nE '1s/.*"([0-9]+).*/\1/p'; }
jre=openjdk-17-jre-headless
! command -v apt-cache >/dev/null || apt-cache show "$jre" >/dev/null 2>&1 || jre=default-jre-headless
[ $tests = 0 ] || need "$([ "$(has java)" = 1 ] && [ "$(java_is)" -ge 17 ] 2>/dev/null && echo 1 || echo 0)" "$jre"
[ $tests = 0 ] || need "$(has mvn)" maven
need "$(has npm)" npm
need "$(has python3)" python3
[ $tests = 0 ] || need "$(python3 -c 'import ensurepip, venv' 2>/dev/null && echo 1 || echo 0)" python3-venv
need "$(has curl)" curl
[ $tests = 0 ] || need "$([ -n "${WEIR_CHROMIUM:-}" ] && echo 1 || file /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome)" chromium
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing ${missing[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "setup: install these packages (Debian's names), then try again: ${missing[*]}" >&2
        exit 1
    fi
fi

scripts/fetch-engine.sh
scripts/fetch-asn.sh
[ $tests = 1 ] || exit 0
scripts/fetch-kafka.sh
scripts/fetch-python.sh
