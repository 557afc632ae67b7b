#!/usr/bin/env bash
# docs/exactly-once.md names the test that fails when a rule is broken, docs/reliability.md the test of each fault; every name must be a
# test that exists.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
check() { # document, lines of its table, column with the tests
    local names name
    names="$(grep -E "$2" "$1" | awk -F'|' -v column="$3" '{print $column}' | grep -oE '`[a-z][a-z0-9]*_[a-z0-9_]+`' | tr -d '`' | sort -u)" ||
        { echo "check-rules: no test is named in the table of $1 that begins with $2" >&2; bad=1; return; }
    for name in $names; do
        grep -rqE "fn $name\b" --include=*.rs schemas services loadtest || { echo "check-rules: $1 names the test $name, which does not exist" >&2; bad=1; }
    done
}
check docs/exactly-once.md '^\| [0-9]' 4
check docs/reliability.md '^\| .*weir(-[a-z]+)? `' 3
exit $bad
