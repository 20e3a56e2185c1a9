#!/usr/bin/env bash
# Has other systems' own clients write to a server: OpenTelemetry's SDK every kind of metric, InfluxDB's client points. What is found
# then is compared with what was measured and with what VictoriaMetrics makes of the same; see otlp.py and influx.py.
#
#   bash scripts/clients.sh [SERVER]
#
# SERVER is the binary, target/release/narthex if none is given. The clients are installed from PyPI into target/clients, once;
# VictoriaMetrics is fetched as Debian packages it (get-peers.sh). Prometheus as Debian packages it is built without OTLP.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=1.45.2
influx_version=1.50.0
server=${1:-target/release/narthex}
tool=target/clients
peers=${NARTHEX_PEERS:-$PWD/target/peers}
if [[ ! -x $server ]]; then
  echo "there is no $server: cargo build --release, or name another" >&2
  exit 1
fi
if ! "$tool/bin/pip" show influxdb-client 2> /dev/null | grep -q "$influx_version"; then
  python3 -m venv "$tool"
  "$tool/bin/pip" install --quiet "opentelemetry-sdk==$version" "opentelemetry-exporter-otlp-proto-http==$version" \
    "influxdb-client==$influx_version"
fi
if [[ ! -x $peers/usr/bin/victoria-metrics ]]; then
  bash scripts/get-peers.sh "$peers" victoria-metrics
fi

folder=$(mktemp -d)
read -r port victoria_port < <(python3 -c 'import socket
sockets = [socket.socket() for _ in range(2)]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))')
"$server" serve --listen "127.0.0.1:$port" --data "$folder/data" 2> "$folder/log" &
pids=("$!")
"$peers/usr/bin/victoria-metrics" -httpListenAddr "127.0.0.1:$victoria_port" -storageDataPath "$folder/victoria" \
  -opentelemetry.usePrometheusNaming -search.latencyOffset 0s 2> "$folder/victoria.log" &
pids+=("$!")
trap 'kill "${pids[@]}" 2> /dev/null || true; wait 2> /dev/null || true; rm -rf "$folder"' EXIT
for url in "http://127.0.0.1:$port/-/ready" "http://127.0.0.1:$victoria_port/health"; do
  for _ in $(seq 100); do
    if python3 -c "import urllib.request; urllib.request.urlopen('$url')" 2> /dev/null; then
      break
    fi
    sleep 0.1
  done
done
"$tool/bin/python" scripts/otlp.py "http://127.0.0.1:$port" "http://127.0.0.1:$victoria_port"
"$tool/bin/python" scripts/influx.py "http://127.0.0.1:$port" "http://127.0.0.1:$victoria_port"
