#!/usr/bin/env bash
# The pages: lints, unit tests, and a browser on a standalone with generated traffic.
set -euo pipefail
cd "$(dirname "$0")/.."
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
. scripts/demo-stack.sh
demo_up 6
cd services/web
npm run --silent lint
npm run --silent test
WEIR_URL="$api" timeout 600 npm run --silent e2e
