#!/usr/bin/env bash
# What Weir makes of the captures beside the project, against what others make of them, tshark too: docs/conformance.md is made anew, and
# a difference that is not explained fails. As root on Debian or Ubuntu it installs tshark where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v tshark >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends tshark >/dev/null
    else
        echo "conformance: install tshark (Debian's name), then try again" >&2
        exit 1
    fi
fi
WEIR_BLESS=1 cargo test --profile checked --locked -p weir-capture --test conformance -- --nocapture
