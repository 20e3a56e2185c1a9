#!/usr/bin/env bash
# What goes wrong with a time-series server, played with servers and folders of its own, and what narthex says to it.
#
#   bash examples/trouble_ry.sh [PROGRAM]
#
# PROGRAM is narthex, by default the one in the PATH. Everything happens in a temporary folder, which is removed in the end.
# What goes wrong with single requests is in tour_ry.sh.
set -euo pipefail

narthex=${1:-narthex}
folder=$(mktemp -d)
server=
steps=0
unset PORT NARTHEX_CONFIG

stop() {
  if [[ -n $server ]]; then
    kill "${1:--TERM}" "$server" 2> /dev/null || true
    wait "$server" 2> /dev/null || true
    server=
  fi
}
trap 'stop -KILL; rm -rf "$folder"' EXIT

fail() {
  printf 'FAILED %s\n' "$*" >&2
  exit 1
}

done_with() {
  steps=$((steps + 1))
  printf 'ok  %s\n' "$1"
}

# until_so WHAT COMMAND...: tries for at most half a minute.
until_so() {
  local what=$1
  shift
  for _ in {1..300}; do
    if "$@" > /dev/null 2>&1; then
      return
    fi
    sleep 0.1
  done
  fail "waited too long until $what: $(cat "$folder/log")"
}

# start [NAME=VALUE...]: a server on the folder `data` and on a free port, with these variables. Its address goes to $base.
start() {
  # The log of the server before must not be taken for that of this one.
  : > "$folder/log"
  env DATA_DIR="$folder/data" NARTHEX_LISTEN=127.0.0.1:0 "$@" "$narthex" 2> "$folder/log" &
  server=$!
  until_so 'it listens' grep -q 'address=' "$folder/log"
  base=http://$(sed -n 's/.*address=\([^ ]*\).*/\1/p' "$folder/log" | head -n 1)
  until_so 'it is ready' curl --silent --fail "$base/-/ready"
}

# refused TITLE WANTED COMMAND...: the command ends with a status other than 0 and says what is wanted.
refused() {
  local title=$1 wanted=$2 said
  shift 2
  if said=$("$@" 2>&1); then
    fail "$title: it was not refused: $said"
  fi
  [[ $said == *"$wanted"* ]] || fail "$title: wanted '$wanted' in: $said"
  done_with "$title"
}

# ask WANTED PATH: what is wanted stands in the answer.
ask() {
  local body
  body=$(curl --silent --show-error --fail "$base$2")
  [[ $body == *"$1"* ]] || fail "$2: wanted '$1' in: $body"
}

points() {
  for number in {1..2000}; do
    printf '{"series_key": "trouble", "timestamp": %s, "value": %s}\n' $((1700000000 + number)) "$number"
  done
}

# The memtable threshold: it is taken, and the log says from which number on a segment is worth its file.
start MEMTABLE_THRESHOLD=1000 RUST_LOG=info
points | curl --silent --show-error --fail --data-binary @- "$base/api/v1/datapoints/batch" > "$folder/stored"
grep -q '"stored":2000' "$folder/stored" || fail "the points are stored: $(cat "$folder/stored")"
until_so 'the log names the floor' grep -q 'wanted=1000 floor=262144' "$folder/log"
done_with 'a low MEMTABLE_THRESHOLD makes no storm of segments, and the log says so'
ask '"memtable_points":2000' /stats

# The port is taken, or the folder is.
refused 'the port is in use' "listen on ${base#http://}" \
  env DATA_DIR="$folder/other" NARTHEX_LISTEN="${base#http://}" "$narthex"
refused 'the data folder is in use' "$folder/data is in use by another process" \
  env DATA_DIR="$folder/data" NARTHEX_LISTEN=127.0.0.1:0 "$narthex"

# The data folder cannot be made or written.
touch "$folder/file"
refused 'the data folder cannot be made' "$folder/file" \
  env DATA_DIR="$folder/file/data" NARTHEX_LISTEN=127.0.0.1:0 "$narthex"
if [[ $EUID -ne 0 ]]; then
  mkdir "$folder/locked"
  chmod 500 "$folder/locked"
  refused 'the data folder may not be written' 'Permission denied' \
    env DATA_DIR="$folder/locked/data" NARTHEX_LISTEN=127.0.0.1:0 "$narthex"
fi

# Killed: what was acknowledged is there again.
stop -KILL
start
ask '"points":2000' /stats
done_with 'after kill -9 every acknowledged point is there'

# Memory and slow queries.
ask 'process_resident_memory_bytes' /metrics
ask 'narthex_head_bytes' /metrics
done_with 'the memory of the process and of recent points is in /metrics'
ask '"status":"success"' /api/v1/status/active_queries
ask '"status":"success"' /api/v1/status/slow_queries
done_with 'queries that run, and those that took longest, are listed'

# Corrupted data: named by verify, explained by doctor, and the rest goes on being served.
curl --silent --show-error --fail --request POST "$base/api/v1/admin/flush" > /dev/null
stop
"$narthex" verify "$folder/data" > "$folder/verified" || fail "a sound folder: $(cat "$folder/verified")"
done_with 'verify finds a sound folder sound'
segment=$(find "$folder/data" -maxdepth 1 -name 'segment-*.seg' | head -n 1)
middle=$(($(wc -c < "$segment") / 2))
printf 'these bytes were never written' | dd of="$segment" bs=1 seek="$middle" conv=notrunc status=none
refused 'verify names a damaged file' "$(basename "$segment")" "$narthex" verify "$folder/data"
refused 'doctor says what can be done' "$(basename "$segment")" "$narthex" doctor "$folder/data"
start
ask '"status":"healthy"' /health
done_with 'a server with a damaged segment starts and serves the rest'
stop

printf '%s steps, all as expected\n' "$steps"
