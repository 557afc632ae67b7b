#!/usr/bin/env bash
# docs/exactly-once.md names the test that fails when a rule is broken; every name must be a test that exists.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
while read -r name; do
    grep -rqE "fn $name\b" --include=*.rs schemas services loadtest || { echo "check-rules: docs/exactly-once.md names the test $name, which does not exist" >&2; bad=1; }
done < <(grep '^| [0-9]' docs/exactly-once.md | awk -F'|' '{print $4}' | grep -oE '`[a-z][a-z0-9_]+_[a-z0-9_]+`' | tr -d '`' | sort -u)
exit $bad
