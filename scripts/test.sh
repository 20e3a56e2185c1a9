#!/usr/bin/env bash
# The test command: unit, property and black-box tests of every package, then the examples in the documentation.
# Arguments go to `cargo test`, as in `bash scripts/test.sh --test it crash`.
#
# Some tests run real peers, Prometheus, promtool, node_exporter and VictoriaMetrics as Debian packages them. They are fetched once into
# target/peers and unpacked there; $NARTHEX_PEERS names another folder that has them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export NARTHEX_PEERS=${NARTHEX_PEERS:-$PWD/target/peers}
for peer in prometheus promtool prometheus-node-exporter victoria-metrics; do
  if [[ ! -x $NARTHEX_PEERS/usr/bin/$peer ]]; then
    bash scripts/get-peers.sh "$NARTHEX_PEERS" "$peer"
  fi
done

# Prometheus' own scripts of PromQL are run from the folder that this names, promql/promqltest/testdata of its source.
if [[ -z ${NARTHEX_PROMQLTEST:-} ]]; then
  echo "NARTHEX_PROMQLTEST is not set: of PromQL, only the scripts in tests/promql and the real Prometheus are compared with" >&2
fi

# The test profile is optimised (Cargo.toml), with debug assertions and overflow checks on: the long tests are quick and
# arithmetic is checked, and one build serves all of them.
exec cargo test --workspace --locked "$@"
