#!/usr/bin/env bash
# The test command: unit, property and black-box tests of every package, then the examples in the documentation.
# Arguments go to `cargo test`, as in `bash scripts/test.sh --test it crash`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The test profile is optimised (Cargo.toml), with debug assertions and overflow checks on: the long tests are quick and
# arithmetic is checked, and one build serves all of them.
exec cargo test --workspace --locked "$@"
