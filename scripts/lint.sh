#!/usr/bin/env bash
# Formatting, clippy, the direction of dependencies, and licences of dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all --check
# Workspaces of their own, whose dependencies are not for everybody to build.
for crate in peers fuzz; do cargo fmt --check --manifest-path "services/shared/wire/$crate/Cargo.toml"; done
cargo clippy --profile checked --locked --workspace --all-targets -- -D warnings
scripts/check-dependencies.sh
scripts/check-rules.sh
command -v cargo-deny >/dev/null || cargo install --quiet --locked --version 0.18.9 cargo-deny
# It looks at the crates of every platform, of which a build fetched only this one's.
cargo fetch --quiet --locked
# Advisories need a network that a build need not have; they are checked where there is one.
cargo deny --offline --log-level error check licenses bans sources
