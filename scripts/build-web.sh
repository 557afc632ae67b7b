#!/usr/bin/env bash
# Builds the pages that the next cargo build puts into the binary. Without Node it says so and leaves them out; given `must`, it fails.
set -euo pipefail
cd "$(dirname "$0")/../services/web"
must=0
[ "${1:-}" != must ] || must=1
without() {
    [ $must = 0 ] || { echo "build-web: $1, and tests need the pages" >&2; exit 1; }
    echo "build-web: $1; the binary goes without its pages, and says so in their place" >&2
    exit 0
}
command -v npm >/dev/null && command -v node >/dev/null || without "node or npm is missing"
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    without "Node $(node --version) is older than 20.19"
# A browser for tests is the machine's own, never one that a package fetches.
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
# What was installed last is what the lock file says, unless either has changed since.
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund --loglevel=error
npm run --silent build
