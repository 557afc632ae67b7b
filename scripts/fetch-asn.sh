#!/usr/bin/env bash
# Fetches AS and country data from npm for a first look: @ip-location-db/asn (CC BY 4.0; its authors say that it is no longer updated and
# has errors) and @ip-location-db/geo-whois-asn-country-mmdb (CC0). The README says how to put in another.
set -euo pipefail
cd "$(dirname "$0")/.."
home="${WEIR_HOME:-$PWD/.weir}"
asn='2.3.2026061719'
country='2.3.2026061719'
fetch() { # package, version, folder, files
    local stamp="$home/$3/.version"
    [ "$(cat "$stamp" 2>/dev/null)" = "$2" ] && return
    command -v npm >/dev/null || { echo "fetch-asn: npm is missing; install it (Debian: npm)" >&2; exit 1; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    echo "fetch-asn: fetching $1@$2"
    local archive; archive="$work/$(cd "$work" && npm pack --silent "$1@$2" | tail -n 1)"
    # Files in packages all have the same old time; these get the time of fetching.
    tar -xmzf "$archive" -C "$work"
    mkdir -p "$home/$3"
    for file in $4; do mv "$work/package/$file" "$home/$3/$file"; done
    echo "$2" > "$stamp"
    rm -rf "$work"
}
fetch @ip-location-db/asn "$asn" asn 'asn-ipv4.csv asn-ipv6.csv'
fetch @ip-location-db/geo-whois-asn-country-mmdb "$country" geo 'geo-whois-asn-country.mmdb'
