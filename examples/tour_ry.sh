#!/usr/bin/env bash
# A tour for who comes from a time-series server with a JSON API: every call of such a server, against narthex.
#
#   narthex serve &
#   bash examples/tour_ry.sh [http://127.0.0.1:6364]
#
# Each step prints what it does; the first answer that is not as expected ends the tour with status 1. What goes wrong with the
# server itself, its port, folder, memory and files, is played by trouble_ry.sh.
set -euo pipefail

base=${1:-http://127.0.0.1:6364}
now=$(date +%s)
steps=0

# Sends a request and leaves its status in $status and its body in $body.
call() {
  local answer
  answer=$(curl --silent --show-error --write-out '\n%{http_code}' --request "$@")
  status=${answer##*$'\n'}
  body=${answer%$'\n'*}
}

# step TITLE STATUS WANTED METHOD PATH [BODY]: WANTED stands somewhere in the body.
step() {
  local title=$1 wanted_status=$2 wanted=$3 method=$4 path=$5
  steps=$((steps + 1))
  if [[ $# -ge 6 ]]; then
    call "$method" "$base$path" --header 'Content-Type: application/json' --data "$6"
  else
    call "$method" "$base$path"
  fi
  if [[ $status != "$wanted_status" || $body != *"$wanted"* ]]; then
    printf 'FAILED %s: %s %s\n  status %s, wanted %s\n  body   %s\n  wanted %s\n' \
      "$title" "$method" "$path" "$status" "$wanted_status" "$body" "$wanted" >&2
    exit 1
  fi
  printf 'ok  %-44s %s %s\n' "$title" "$method" "$path"
}

series=/api/v1/series/tour.cpu
point() { printf '{"series_key": "tour.cpu", "timestamp": %s, "value": %s, "tags": {"host": "%s"}}' "$1" "$2" "$3"; }

step 'the server lives' 200 '"status":"healthy"' GET /health
step 'a point' 201 '"stored":true' POST /api/v1/datapoints "$(point "$now" 45.5 a)"
step 'the same again is as good as once' 201 '"stored":true' POST /api/v1/datapoints "$(point "$now" 45.5 a)"
step 'a batch' 200 '"stored":3' POST /api/v1/datapoints/batch \
  "[$(point $((now - 10)) 1 a), $(point $((now - 20)) 2 a), $(point "$now" 3 b)]"
step 'points of a time' 200 '"value":45.5' GET "$series/datapoints?start_time=$((now - 60))&end_time=$now&host=a"
step 'the newest one' 200 '"value":45.5' GET "$series/datapoints?order=desc&limit=1&host=a"
step 'a mean for each minute' 200 '"datapoints":[{' GET "$series/datapoints?start_time=$((now - 60))&end_time=$now&agg=avg&interval=60"
step 'a percentile' 200 '"datapoints":[{' GET "$series/datapoints?start_time=$((now - 60))&end_time=$now&agg=p95&interval=1m"
step 'all series' 200 '"series_key":"tour.cpu"' GET '/api/v1/series?prefix=tour'
step 'one series' 200 '"tags":{"host":"b"}' GET "$series"
step 'a correction' 200 '"value":50' PUT "$series/datapoints/$now?host=a" '{"value": 50}'
step 'the corrected point' 200 '"value":50' GET "$series/datapoints?start_time=$now&end_time=$now&host=a"
step 'a point is deleted' 200 '"deletion":' DELETE "$series/datapoints/$((now - 20))?host=a"
deletion=$(sed -n 's/.*"deletion":"\([0-9]*\)".*/\1/p' <<< "$body")
step 'and brought back' 200 '"withdrawn":true' POST "/api/v1/deletions/$deletion/undelete"
step 'a query as JSON' 200 '"query":"sum by' POST /api/v1/query/native \
  "{\"series_key\": \"tour.cpu\", \"start_time\": $((now - 60)), \"end_time\": $((now + 1)), \"aggregation\": {\"function\": \"max\", \"interval\": \"1m\"}, \"group_by\": []}"
step 'the same data for PromQL' 200 '"tour.cpu"' GET '/api/v1/query?query=%7B%22tour.cpu%22%7D'
step 'another value at the same time' 409 '"hint":"PUT ' POST /api/v1/datapoints "$(point "$now" 7 b)"
step 'flush' 200 '"segments":' POST /api/v1/admin/flush
step 'compaction' 200 '"segments":' POST /api/v1/admin/compact '{"force": true}'
step 'what there is' 200 '"sstable_count":' GET /stats

# Trouble: each answer says what is wrong with which field, and what would be right.
step 'no value' 400 '"field":"value"' POST /api/v1/datapoints '{"series_key": "tour.cpu"}'
step 'no JSON' 400 '"reason":"bad_json"' POST /api/v1/datapoints '{"series_key": '
step 'several series have the point' 409 '"candidates":' PUT "$series/datapoints/$now" '{"value": 1}'
step 'no such point' 404 '"hint":"with ?upsert=true' PUT "$series/datapoints/1?host=a" '{"value": 1}'
step 'no such series' 404 '"reason":"series_not_found"' GET /api/v1/series/tour.none/datapoints
step 'no such route' 404 'there is no such route' GET /api/v1/datapoint
step 'a wrong parameter' 400 '"field":"limit"' GET "$series/datapoints?limit=many"
step 'what was refused, and why' 200 '"reason":"conflict"' GET /api/v1/ingest/rejections
step 'what runs' 200 '"status":"success"' GET /api/v1/status/active_queries
step 'what was slow' 200 '"status":"success"' GET /api/v1/status/slow_queries
step 'which metrics have most series' 200 '"seriesCountByMetricName"' GET /api/v1/status/tsdb
step 'memory, files and syncs' 200 'process_resident_memory_bytes' GET /metrics
step 'whether it can work' 200 'narthex is ready' GET /-/ready

step 'the series is deleted' 200 '"series":2' DELETE "$series"
step 'and gone' 404 '"reason":"series_not_found"' GET "$series/datapoints"
printf '%s steps, all as expected\n' "$steps"
