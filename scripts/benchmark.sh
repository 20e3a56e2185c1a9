#!/usr/bin/env bash
# Measures narthex beside Prometheus and VictoriaMetrics on this machine, and says what each figure is judged by.
#
# Without arguments: writing over HTTP, queries and the parser, in small, some minutes. Arguments go to narthex-bars, as in
# `bash scripts/benchmark.sh queries a` or `bash scripts/benchmark.sh --help`; peers are named to the bars that take them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

peers=${NARTHEX_PEERS:-$PWD/target/peers}
for peer in prometheus victoria-metrics; do
  if [[ ! -x $peers/usr/bin/$peer ]]; then
    bash scripts/get-peers.sh "$peers" "$peer"
  fi
done
cargo build --release --locked --package narthex --package narthex-bars
bars=(target/release/narthex-bars)
beside=(--prometheus "$peers/usr/bin/prometheus" --victoria "$peers/usr/bin/victoria-metrics")

if [[ $# -eq 0 ]]; then
  "${bars[@]}" --small http a "${beside[@]}"
  "${bars[@]}" --small queries a "${beside[@]}"
  "${bars[@]}" --small parser
  exit
fi
case $1 in
  http | queries) exec "${bars[@]}" "$@" "${beside[@]}" ;;
  *) exec "${bars[@]}" "$@" ;;
esac
