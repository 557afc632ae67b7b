#!/usr/bin/env bash
# Takes the pictures of docs/images anew: every page of a standalone with a day of generated traffic. Look at each of them before you commit them.
set -euo pipefail
cd "$(dirname "$0")/.."
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
export WEIR_PICTURES="$PWD/docs/images"
. scripts/demo-stack.sh
demo_up 24
cd services/web
WEIR_URL="$api" timeout 900 npx playwright test --config pictures.config.ts
# A page has few colours, and a picture with a palette is a third as large.
if command -v pngquant >/dev/null; then
    pngquant --force --skip-if-larger --strip --ext .png "$WEIR_PICTURES"/*.png || [ $? = 98 ]
else
    echo "screenshots: without pngquant the pictures are three times as large" >&2
fi
du -ch "$WEIR_PICTURES"/*.png | tail -n 1
