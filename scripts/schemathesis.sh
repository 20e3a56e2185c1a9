#!/usr/bin/env bash
# Asks a server everything that its OpenAPI document describes, well and badly, by schemathesis: no answer is a server error, and
# every answer is what the document says.
#
#   bash scripts/schemathesis.sh [--small] [SERVER]
#
# SERVER is the binary, target/release/narthex if none is given. schemathesis is installed from PyPI into target/schemathesis, once.
# What the document has of protobuf cannot be made up from a schema and is left out; it has tests of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=4.32.5
examples=50
if [[ ${1:-} == --small ]]; then
  examples=3
  shift
fi
server=${1:-target/release/narthex}
tool=target/schemathesis
if [[ ! -x $server ]]; then
  echo "there is no $server: cargo build --release, or name another" >&2
  exit 1
fi
if ! "$tool/bin/st" --version 2> /dev/null | grep -q "$version"; then
  python3 -m venv "$tool"
  "$tool/bin/pip" install --quiet "schemathesis==$version"
fi

folder=$(mktemp -d)
cat > "$folder/narthex.toml" << 'TOML'
[http]
admin_api = true
TOML
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$server" serve --config "$folder/narthex.toml" --listen "127.0.0.1:$port" --data "$folder/data" 2> "$folder/log" &
pid=$!
trap 'kill "$pid" 2> /dev/null || true; wait "$pid" 2> /dev/null || true; rm -rf "$folder"' EXIT
for _ in $(seq 100); do
  if python3 -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/-/ready')" 2> /dev/null; then
    break
  fi
  sleep 0.1
done

# The end of the server, and the stream that has none, are not asked for.
"$tool/bin/st" run "http://127.0.0.1:$port/api/v1/openapi.yaml" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
  --exclude-path /-/quit --exclude-path /api/v1/notifications/live --exclude-path /api/v1/write --exclude-path /api/v1/push \
  --exclude-path /api/v1/receive --exclude-path /api/v1/read --exclude-path /api/v1/otlp/v1/metrics --exclude-path /v1/metrics \
  --phases coverage,fuzzing --max-examples "$examples" --suppress-health-check all --continue-on-failure --seed 1
