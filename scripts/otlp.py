"""Exports every kind of metric by OpenTelemetry's own SDK to narthex, and says whether PromQL finds what was measured.

Run by clients.sh, which installs the SDK. What is compared:

- every series with its value, against a list that is written down here;
- the same against VictoriaMetrics, which was sent the same messages (it keeps the attributes of resources and scopes under names of its
  own and exponential histograms in a form of its own, which are left out);
- what was exported as deltas, against what was exported from the start;
- exemplars, metadata, and the answers of the protocol.
"""

import gzip
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

os.environ["OTEL_METRICS_EXEMPLAR_FILTER"] = "always_on"

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    MeterProvider,
    ObservableCounter,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExportResult,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

ROUNDS = 4
failures = []


def check(is_right, what):
    if not is_right:
        failures.append(what)
        print(f"WRONG: {what}")


def ask(base, path, **params):
    with urllib.request.urlopen(f"{base}{path}?{urllib.parse.urlencode(params)}") as answer:
        return json.load(answer)


def vector(base, query, at):
    """Series and values of an instant query."""
    found = ask(base, "/api/v1/query", query=query, time=at)["data"]["result"]
    values = {}
    for series in found:
        labels = tuple(sorted(series["metric"].items()))
        values[labels] = series["value"][1] if "value" in series else series["histogram"][1]
    return values


class Service:
    """A program that measures, with a reader of its own."""

    def __init__(self, instance, temporality):
        kinds = [Counter, UpDownCounter, Histogram, ObservableCounter, ObservableUpDownCounter]
        self.reader = InMemoryMetricReader(preferred_temporality={kind: temporality for kind in kinds})
        resource = Resource(
            {"service.name": "shop", "service.namespace": "eu", "service.instance.id": instance, "host.name": "h1", "cpus": 8}
        )
        views = [View(instrument_name="answer.size", aggregation=ExponentialBucketHistogramAggregation())]
        self.provider = MeterProvider([self.reader], resource=resource, views=views, shutdown_on_exit=False)
        meter = self.provider.get_meter("checkout", "1.2")
        self.round = 0
        self.requests = meter.create_counter("http.requests", unit="1", description="Requests served")
        self.spent = meter.create_counter("cpu.time", unit="s")
        self.open = meter.create_up_down_counter("connections.open", unit="{connections}")
        self.warmth = meter.create_gauge("room.temperature", unit="Cel")
        self.share = meter.create_gauge("cache.hits", unit="1")
        self.took = meter.create_histogram("request.duration", unit="ms", explicit_bucket_boundaries_advisory=[1, 10, 2.5e3])
        self.size = meter.create_histogram("answer.size", unit="By")
        meter.create_observable_counter("disk.io", [self.disk], unit="By/s")
        meter.create_observable_gauge("queue.length", [self.queue])

    def disk(self, _options):
        from opentelemetry.metrics import Observation

        yield Observation(100 * self.round, {"device": "sda", "read.only": False})

    def queue(self, _options):
        from opentelemetry.metrics import Observation

        yield Observation(-3.5, {"ids": [1, 2], "weight": 0.25})

    def measure(self):
        self.round += 1
        self.requests.add(3, {"http.method": "GET", "http.status_code": 200})
        self.requests.add(1, {"http.method": "POST", "http.status_code": 500})
        self.spent.add(0.5)
        self.open.add(2 if self.round < ROUNDS else -5)
        self.warmth.set(20.5 + self.round, {"room": "küche"})
        self.share.set(0.75)
        for took in [0.5, 5, 50, 5000]:
            self.took.record(took, {"route": "/buy"})
        for size in [0, 1, 2, 3, 1000]:
            self.size.record(size)
        return self.reader.get_metrics_data()


COMMON = {"job": "eu/shop", "instance": "i-1"}


def expected():
    """Every series after the last round: (name, labels, value)."""
    take = ROUNDS
    rows = [
        ("http_requests_total", {"http_method": "GET", "http_status_code": "200"}, 3 * take),
        ("http_requests_total", {"http_method": "POST", "http_status_code": "500"}, take),
        ("cpu_time_seconds_total", {}, 0.5 * take),
        ("connections_open", {}, 2 * (take - 1) - 5),
        ("room_temperature_celsius", {"room": "küche"}, 20.5 + take),
        ("cache_hits_ratio", {}, 0.75),
        ("disk_io_bytes_per_second_total", {"device": "sda", "read_only": "false"}, 100 * take),
        ("queue_length", {"ids": "[1,2]", "weight": "0.25"}, -3.5),
        ("request_duration_milliseconds_sum", {"route": "/buy"}, 5055.5 * take),
        ("request_duration_milliseconds_count", {"route": "/buy"}, 4 * take),
    ]
    for bound, below in [("1", 1), ("10", 2), ("2500", 3), ("+Inf", 4)]:
        rows.append(("request_duration_milliseconds_bucket", {"route": "/buy", "le": bound}, below * take))
    return {tuple(sorted({"__name__": name, **COMMON, **labels}.items())): float(value) for name, labels, value in rows}


def check_series(narthex, at):
    found = vector(narthex, '{instance="i-1"}', at)
    histograms = {labels: value for labels, value in found.items() if isinstance(value, dict)}
    floats = {labels: float(value) for labels, value in found.items() if not isinstance(value, dict)}
    info = tuple(sorted({"__name__": "target_info", **COMMON, "host_name": "h1", "cpus": "8"}.items()))
    wanted = expected() | {info: 1.0}
    for labels in sorted(wanted.keys() | floats.keys()):
        check(wanted.get(labels) == floats.get(labels), f"{dict(labels)}: {floats.get(labels)}, not {wanted.get(labels)}")
    name = tuple(sorted({"__name__": "answer_size_bytes", **COMMON}.items()))
    check(list(histograms) == [name], f"native histograms: {list(histograms)}")
    native = histograms.get(name, {})
    check(float(native.get("count", 0)) == 5 * ROUNDS, f"count of the native histogram: {native}")
    check(float(native.get("sum", 0)) == 1006 * ROUNDS, f"sum of the native histogram: {native}")
    at_most = vector(narthex, 'histogram_fraction(-1, 0.5, answer_size_bytes{instance="i-1"})', at)
    check([float(value) for value in at_most.values()] == [0.2], f"share of the zero bucket: {at_most}")
    for low, high, share in [(1.5, 4, 0.4), (900, 1100, 0.2)]:
        query = f'histogram_fraction({low}, {high}, answer_size_bytes{{instance="i-1"}})'
        parts = [float(value) for value in vector(narthex, query, at).values()]
        check(len(parts) == 1 and abs(parts[0] - share) < 1e-9, f"{query}: {parts}")
    joined = 'sum by (host_name) (http_requests_total{instance="i-1"} * on (job, instance) group_left (host_name) target_info)'
    check(vector(narthex, joined, at) == {(("host_name", "h1"),): str(4 * ROUNDS)}, "the join with target_info")
    return len(floats) + len(histograms)


def check_deltas(narthex, at):
    """Deltas that were added up are what counts from the start, but for the times at which it began."""
    for query in ['{instance="%s",__name__=~".+_total|.+_bucket|.+_sum|.+_count|connections_open"}', 'answer_size_bytes{instance="%s"}']:
        both = []
        for instance in ["i-1", "deltas"]:
            found = vector(narthex, query % instance, at)
            both.append({tuple(p for p in labels if p[0] != "instance"): v for labels, v in found.items()})
        check(both[0] == both[1] and both[0], f"deltas: {both[1]}, not {both[0]}")


def check_victoria(narthex, victoria, at):
    """The floats that VictoriaMetrics has of the same messages."""
    own = {"scope_name", "scope_version", "service_name", "service_namespace", "service_instance_id", "host_name", "cpus"}

    def floats(base, query, left_out):
        found = vector(base, query, at).items()
        plain = {tuple(p for p in labels if p[0] not in left_out): v for labels, v in found if not isinstance(v, dict)}
        return {labels: float(v) for labels, v in plain.items() if "target_info" not in dict(labels).values()}

    theirs = floats(victoria, '{service_instance_id="i-1",__name__!~"answer_size.*"}', own)
    ours = floats(narthex, '{instance="i-1",__name__!~"answer_size.*"}', {"job", "instance"})
    check(ours == theirs and theirs, f"VictoriaMetrics: {set(theirs.items()) ^ set(ours.items())}")
    return len(theirs)


def check_beside(narthex):
    metadata = ask(narthex, "/api/v1/metadata", metric="http_requests_total")["data"]
    wanted = {"http_requests_total": [{"type": "counter", "help": "Requests served", "unit": ""}]}
    check(metadata == wanted, f"metadata: {metadata}")
    found = ask(narthex, "/api/v1/query_exemplars", query="request_duration_milliseconds_bucket", start=0, end=time.time() + 60)
    values = {float(one["value"]) for series in found["data"] for one in series["exemplars"]}
    check(values == {0.5, 5.0, 50.0, 5000.0}, f"exemplars: {values}")


def post(narthex, body, kind, **headers):
    request = urllib.request.Request(f"{narthex}/v1/metrics", data=body, headers={"Content-Type": kind, **headers})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def check_answers(narthex):
    """JSON by hand, compressed, in part wrong, all wrong, and no request at all."""
    now = str(int(time.time()) * 10**9)

    def request(*points):
        metric = {"name": "by.hand", "gauge": {"dataPoints": list(points)}}
        return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()

    good, bad = {"timeUnixNano": now, "asInt": "5"}, {"timeUnixNano": now}
    status, body = post(narthex, gzip.compress(request(good)), "application/json", **{"Content-Encoding": "gzip"})
    check((status, json.loads(body)) == (200, {}), f"JSON: {status} {body}")
    status, body = post(narthex, request(good, bad), "application/json")
    check(status == 200 and json.loads(body)["partialSuccess"]["rejectedDataPoints"] == "1", f"partly wrong: {status} {body}")
    status, body = post(narthex, request(bad), "application/json")
    check(status == 400 and "without a value" in json.loads(body)["message"], f"all wrong: {status} {body}")
    check(post(narthex, b"\x0a\xff", "application/x-protobuf")[0] == 400, "no protobuf")
    check(post(narthex, b"x", "text/plain")[0] == 415, "no kind of body that is known")


def main():
    narthex, victoria = sys.argv[1:]
    endpoint = f"{narthex}/api/v1/otlp/v1/metrics"
    to_narthex = OTLPMetricExporter(endpoint=endpoint, compression=Compression.Gzip)
    to_victoria = OTLPMetricExporter(endpoint=f"{victoria}/opentelemetry/v1/metrics")
    service = Service("i-1", AggregationTemporality.CUMULATIVE)
    deltas = Service("deltas", AggregationTemporality.DELTA)
    for _ in range(ROUNDS):
        measured, changes = service.measure(), deltas.measure()
        sent = [to_narthex.export(measured), to_victoria.export(measured)]
        # The second time as after an answer that was lost: it must not count twice.
        sent += [to_narthex.export(changes), to_narthex.export(changes)]
        check(all(one == MetricExportResult.SUCCESS for one in sent), f"exports: {sent}")
        time.sleep(0.05)
    at = time.time() + 1
    urllib.request.urlopen(f"{victoria}/internal/force_flush").read()
    series = check_series(narthex, at)
    check_deltas(narthex, at)
    same = check_victoria(narthex, victoria, at)
    check_beside(narthex)
    check_answers(narthex)
    print(f"{series} series of OpenTelemetry's SDK as written down, {same} as VictoriaMetrics has them, {len(failures)} wrong")
    sys.exit(1 if failures else 0)


main()
