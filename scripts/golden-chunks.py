#!/usr/bin/env python3
"""Makes the files of tests/golden/chunks with a real Prometheus.

    scripts/golden-chunks.py PROMETHEUS_BINARY [CASE...]

For every case a Prometheus is started on a free port with an empty folder. It is given one series by remote write,
sample by sample, and asked for the series' chunks by remote read. Inputs and chunks are stored as text:

    # Prometheus' version and what the case is about
    sample TIME VALUE
    int TIME HINT SCHEMA THRESHOLD SUM COUNT ZERO POS_SPANS POS_DELTAS NEG_SPANS NEG_DELTAS BOUNDS
    float TIME HINT SCHEMA THRESHOLD SUM COUNT ZERO POS_SPANS POS_COUNTS NEG_SPANS NEG_COUNTS BOUNDS
    chunk ENCODING BYTES

Times and integers are decimal, floats are the 16 hex digits of their bits without the zeros at the end (at least one
digit), lists are joined by commas, spans are offset:length, - is an empty list, bytes are hex. All inputs come first,
in order, then all chunks, in order.
"""

import http.client
import pathlib
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "chunks"
START_MS = 1_700_002_800_000  # On a boundary of two hours, where Prometheus cuts chunks.
STALE = 0x7FF0000000000002
UNKNOWN, RESET, NOT_RESET, GAUGE = range(4)


def bits(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def digits(word):
    return f"{word:016x}".rstrip("0") or "0"


# Protocol buffers, snappy (stored uncompressed) and remote read's frames, as far as they are needed here.


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def zigzag(number):
    return varint(number << 1 ^ number >> 63)


def field(number, payload):
    """Length-delimited."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def number_field(number, value):
    return varint(number << 3) + varint(value)


def fixed_field(number, value_bits):
    return varint(number << 3 | 1) + struct.pack("<Q", value_bits)


def snappy(payload):
    out = varint(len(payload))
    for at in range(0, len(payload), 60_000):
        part = payload[at : at + 60_000]
        out += bytes([61 << 2]) + struct.pack("<H", len(part) - 1) + part
    return out


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            value, at = read_varint(data, at)
        elif key & 7 == 2:
            length, at = read_varint(data, at)
            value = data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type of key {key}")
        yield key >> 3, value


# Samples.


class Float:
    def __init__(self, time_ms, value_bits):
        self.time_ms, self.value_bits = time_ms, value_bits

    def wire(self):
        payload = fixed_field(1, self.value_bits) + number_field(2, self.time_ms)
        return field(2, payload)

    def line(self):
        return f"sample {self.time_ms} {digits(self.value_bits)}"


class Histogram:
    """`kind` is int or float; counts and buckets are integers or floats; `sum` is bits."""

    def __init__(self, time_ms, kind, hint=UNKNOWN, schema=0, threshold=0.0, sum=0, count=0, zero=0,
                 pos=((), ()), neg=((), ()), bounds=(), as_float=False):
        self.time_ms, self.kind, self.hint, self.schema = time_ms, kind, hint, schema
        self.threshold, self.sum, self.count, self.zero = threshold, sum, count, zero
        self.pos, self.neg, self.bounds = pos, neg, bounds
        self.as_float = as_float  # A stale marker that is sent as a plain float.

    def wire(self):
        if self.as_float:
            return Float(self.time_ms, self.sum).wire()
        is_int = self.kind == "int"

        def spans(number, spans):
            return b"".join(field(number, number_field(1, 0)[:1] + zigzag(o) + number_field(2, l)) for o, l in spans)

        def buckets(number, values):
            if not values:
                return b""
            if is_int:
                return field(number, b"".join(zigzag(v) for v in values))
            return field(number + 1, b"".join(struct.pack("<d", v) for v in values))

        payload = number_field(1, self.count) if is_int else fixed_field(2, bits(self.count))
        payload += fixed_field(3, self.sum) + number_field(4, 0)[:1] + zigzag(self.schema)
        payload += fixed_field(5, bits(self.threshold))
        payload += number_field(6, self.zero) if is_int else fixed_field(7, bits(self.zero))
        payload += spans(8, self.neg[0]) + buckets(9, self.neg[1])
        payload += spans(11, self.pos[0]) + buckets(12, self.pos[1])
        payload += number_field(14, self.hint) + number_field(15, self.time_ms)
        if self.bounds:
            payload += field(16, b"".join(struct.pack("<d", v) for v in self.bounds))
        return field(4, payload)

    def line(self):
        def words(values):
            return ",".join(str(v) if self.kind == "int" else digits(bits(v)) for v in values) or "-"

        def spans(values):
            return ",".join(f"{o}:{l}" for o, l in values) or "-"

        count, zero = (words([v]) for v in (self.count, self.zero))
        parts = [self.kind, self.time_ms, self.hint, self.schema, digits(bits(self.threshold)), digits(self.sum),
                 count, zero, spans(self.pos[0]), words(self.pos[1]), spans(self.neg[0]), words(self.neg[1]),
                 ",".join(digits(bits(v)) for v in self.bounds) or "-"]
        return " ".join(str(part) for part in parts)


# Prometheus.


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Prometheus:
    def __init__(self, binary):
        self.folder = tempfile.TemporaryDirectory()
        config = pathlib.Path(self.folder.name) / "prometheus.yml"
        config.write_text("global: {}\n")
        port = free_port()
        command = [binary, f"--config.file={config}", f"--storage.tsdb.path={self.folder.name}/data",
                   f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver",
                   "--enable-feature=native-histograms", "--log.level=error"]
        self.process = subprocess.Popen(command)
        for _ in range(300):
            time.sleep(0.05)
            try:
                self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                self.http.request("GET", "/-/ready")
                if self.http.getresponse().read() and self.answer_ok():
                    return
            except OSError:
                pass
        raise RuntimeError("Prometheus did not start")

    def answer_ok(self):
        self.http.request("GET", "/-/ready")
        answer = self.http.getresponse()
        answer.read()
        return answer.status == 200

    def post(self, path, payload, headers):
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf", **headers}
        self.http.request("POST", path, snappy(payload), headers)
        answer = self.http.getresponse()
        body = answer.read()
        if answer.status // 100 != 2:
            raise RuntimeError(f"{path}: {answer.status} {body!r}")
        return body

    def write(self, sample):
        label = field(1, field(1, b"__name__") + field(2, b"golden"))
        self.post("/api/v1/write", field(1, label + sample.wire()), {"X-Prometheus-Remote-Write-Version": "0.1.0"})

    def chunks(self):
        # To the end of time, or Prometheus would write the open chunk anew and forget its reset header.
        start_ms, end_ms = -(1 << 63), (1 << 63) - 1
        matcher = field(3, field(2, b"__name__") + field(3, b"golden"))
        query = number_field(1, start_ms) + number_field(2, end_ms) + matcher
        request = field(1, query) + number_field(2, 1)
        body = self.post("/api/v1/read", request, {"X-Prometheus-Remote-Read-Version": "0.1.0"})
        at, found = 0, []
        while at < len(body):
            length, at = read_varint(body, at)
            at += 4  # The checksum.
            for number, series in fields(body[at : at + length]):
                if number == 1:
                    found += [dict(fields(chunk)) for n, chunk in fields(series) if n == 2]
            at += length
        return [(chunk[3], chunk[4]) for chunk in found]

    def stop(self):
        self.http.close()
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


# Cases.


def times(steps, start_ms=START_MS):
    now = start_ms
    for step in steps:
        yield now
        now += step


def float_counter(rng):
    """A counter of whole numbers every 15 s, more than two chunks, with a reset."""
    value = 0
    for index, now in enumerate(times([15_000] * 260)):
        value = 0 if index == 150 else value + rng.randrange(50)
        yield Float(now, bits(float(value)))


def float_gauge(rng):
    """Full-precision gauge with jittered times."""
    for now in times([15_000 + rng.randrange(-20, 20) for _ in range(130)]):
        yield Float(now, bits(rng.random() * 1000))


def float_decimals(rng):
    """Decimals that stay the same now and then."""
    value = 20.0
    for now in times([30_000] * 100):
        value = value if rng.random() < 0.5 else round(value + rng.uniform(-1, 1), 1)
        yield Float(now, bits(value))


def float_constant(_):
    """The same value all the time, one sample more than a chunk holds."""
    for now in times([60_000] * 119 + [1, 1]):
        yield Float(now, bits(1.0))


def float_special(rng):
    """NaNs with payloads, stale markers, infinities, zeros of both signs, denormals, extremes."""
    words = [STALE, bits(-0.0), 0, bits(float("inf")), bits(float("-inf")), 0x7FF8000000000001, 0xFFF8000000000000,
             0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF, 1, 0x8000000000000001, bits(1.7976931348623157e308), bits(1.0)]
    for now in times([10_000] * 110):
        yield Float(now, rng.choice(words))


def float_steps(low, high):
    def case(_):
        now, step = START_MS, 0
        yield Float(now, bits(0.0))
        step = 0 if low >= 0 else -low + 1
        for index, change in enumerate([1, high, low, 0, high, low]):
            step += change
            now += step
            yield Float(now, bits(index * 0.5))

    case.__doc__ = f"Delta-of-deltas {low} and {high}."
    return case


def float_old(_):
    """Times around 1970."""
    for index, now in enumerate(times([5_000] * 20, -50_000)):
        yield Float(now, bits(index / 3))


class Model:
    """A histogram that is observed into.

    Counters here never omit two empty buckets in a row while they bring a new one: Prometheus before 3.6 then writes
    the buckets at wrong places (its issue 16894), which nobody should do after it.
    """

    def __init__(self, kind, rng, schema=3, threshold=2.0**-128, negative=False, bounds=()):
        self.kind, self.rng, self.schema, self.threshold = kind, rng, schema, threshold
        self.negative, self.bounds = negative, bounds
        self.clear()

    def clear(self):
        self.pos, self.neg, self.zero, self.sum = {}, {}, 0, 0.0

    def observe(self, times, center=10, width=3):
        for _ in range(times):
            index = int(self.rng.gauss(center, width))
            if self.bounds:
                index = min(max(index, 0), len(self.bounds))
            side = self.neg if self.negative and self.rng.random() < 0.4 else self.pos
            side[index] = side.get(index, 0) + 1
            self.sum += self.rng.random()
        if not self.bounds and self.rng.random() < 0.2:
            self.zero += 1

    def side(self, counts, split):
        """Spans and buckets; `split` is the longest run of absent buckets that is bridged by empty ones."""
        spans, values, end = [], [], None
        for index in sorted(counts):
            if end is not None and index - end <= split:
                values += [0] * (index - end)
                spans[-1][1] += index - end + 1
            else:
                spans.append([index - (end or 0), 1])
            values.append(counts[index])
            end = index + 1
        if self.kind == "int":
            values = [v - before for v, before in zip(values, [0] + values)]
        else:
            values = [float(v) for v in values]
        return tuple(map(tuple, spans)), tuple(values)

    def at(self, now, hint=UNKNOWN, split=0, sum_bits=None):
        count = sum(self.pos.values()) + sum(self.neg.values()) + self.zero
        number = int if self.kind == "int" else float
        return Histogram(now, self.kind, hint, self.schema, self.threshold,
                         bits(self.sum) if sum_bits is None else sum_bits, number(count), number(self.zero),
                         self.side(self.pos, split), self.side(self.neg, split), self.bounds)


def stale(now, kind, hint=UNKNOWN, as_float=False):
    return Histogram(now, kind, hint, sum=STALE, as_float=as_float)


def latency(kind):
    def case(rng):
        model = Model(kind, rng)
        for index, now in enumerate(times([15_000] * 300)):
            model.observe(rng.randrange(20), center=10 + index / 40, width=1 + index / 60)
            yield model.at(now, split=rng.choice([0, 1, 1]))

    case.__doc__ = f"An {kind} counter whose buckets spread; chunks get full."
    return case


def negative(kind):
    def case(rng):
        model = Model(kind, rng, schema=0, threshold=0.001, negative=True)
        for now in times([15_000 + rng.randrange(-3, 4) for _ in range(60)]):
            model.observe(rng.randrange(5), center=0, width=4)
            yield model.at(now, split=rng.choice([0, 1]))

    case.__doc__ = f"An {kind} counter with both signs and a threshold that is no power of two."
    return case


def resets(kind):
    def case(rng):
        model = Model(kind, rng)
        clock = times([15_000] * 400)
        for round_ in range(8):
            for _ in range(4):
                model.observe(6)
                yield model.at(next(clock), split=1)
            if round_ == 0:  # Everything starts again.
                model.clear()
            elif round_ == 1:  # One bucket falls, the count grows.
                index = max(model.pos, key=model.pos.get)
                model.pos[index] -= 1
                model.zero += 10
            elif round_ == 2:  # A filled bucket goes away.
                index = min(model.pos)
                model.zero += model.pos.pop(index)
            elif round_ == 3:  # The sender says that it was reset.
                model.observe(3)
                yield model.at(next(clock), RESET, split=1)
            elif round_ == 4:  # Another resolution.
                model.schema = 4
            elif round_ == 5:  # Another threshold.
                model.threshold = 0.01
            elif round_ == 6:  # The zero count falls, the count does not.
                model.zero += 5
                yield model.at(next(clock))
                model.zero -= 5
                model.observe(8)
        for hint in (NOT_RESET, RESET, RESET, UNKNOWN):
            model.observe(1)
            yield model.at(next(clock), hint)
        # Both finer and fewer.
        model.clear()
        model.schema = 2
        model.observe(1)
        yield model.at(next(clock))

    case.__doc__ = f"Every way for an {kind} counter to start a new chunk."
    return case


def empty_buckets(kind):
    def case(rng):
        model = Model(kind, rng)
        for index, now in enumerate(times([15_000] * 60)):
            model.observe(2, center=rng.choice([-20, 0, 8, 30]), width=2)
            yield model.at(now, split=rng.choice([0, 1]))

    case.__doc__ = f"An {kind} counter that sends or omits empty buckets while new ones come."
    return case


def omitted_buckets(kind):
    def case(rng):
        model = Model(kind, rng, negative=True)
        model.observe(25, center=10, width=20)
        for index, now in enumerate(times([15_000] * 30)):
            for side in (model.pos, model.neg):
                side[rng.choice(list(side))] += 1
            yield model.at(now, split=100 if index == 0 else rng.choice([0, 1, 5, 100]))

    case.__doc__ = f"An {kind} counter that sends or omits many empty buckets."
    return case


def odd_spans(kind):
    number = int if kind == "int" else float

    def case(_):
        layouts = [
            ([(0, 2), (0, 1)], [1, 1, 1]),
            ([(0, 3)], [2, 1, 1]),
            ([(0, 0), (0, 3), (2, 0)], [2, 2, 1]),
            ([(0, 3), (1, 0), (1, 2)], [2, 2, 2, 1, 1]),
            ([(-2, 0), (2, 3), (2, 2), (0, 1)], [2, 2, 2, 1, 1, 1]),
            ([(-1, 1), (0, 3), (2, 3), (0, 0)], [1, 2, 2, 2, 1, 1, 1]),
            ([(-1, 1), (0, 2), (0, 1), (2, 1), (0, 1), (0, 1)], [1, 2, 3, 2, 1, 1, 1]),
        ]
        for index, now in enumerate(times([15_000] * len(layouts))):
            spans, counts = layouts[index]
            values = counts
            if kind == "int":
                values = [v - before for v, before in zip(counts, [0] + counts)]
            values = tuple(number(v) for v in values)
            yield Histogram(now, kind, count=number(sum(counts)), sum=bits(1.0), zero=number(0),
                            pos=(tuple(spans), values))

    case.__doc__ = f"An {kind} counter with empty spans and spans that touch."
    return case


def gauge(kind):
    def case(rng):
        model = Model(kind, rng, negative=True)
        for index, now in enumerate(times([15_000] * 70)):
            model.clear()
            model.observe(rng.randrange(12), center=rng.choice([0, 5, 20]), width=2)
            if index == 30:
                model.schema = 2
            if index == 40:
                model.threshold = 0.5
            if index in (50, 51):
                yield stale(now, kind, GAUGE)
            else:
                yield model.at(now, GAUGE, split=rng.choice([0, 0, 2]))

    case.__doc__ = f"An {kind} gauge: buckets come and go, counts fall, stale markers."
    return case


def gauge_and_counter(kind):
    def case(rng):
        model = Model(kind, rng)
        hints = [GAUGE, GAUGE, UNKNOWN, UNKNOWN, GAUGE, NOT_RESET, NOT_RESET, GAUGE, RESET, UNKNOWN, GAUGE]
        clock = times([15_000] * 100)
        for hint in hints:
            model.observe(3)
            yield model.at(next(clock), hint)
        yield stale(next(clock), kind)
        yield stale(next(clock), kind, as_float=True)
        yield model.at(next(clock), GAUGE)
        yield stale(next(clock), kind, GAUGE)
        yield model.at(next(clock), UNKNOWN)

    case.__doc__ = f"An {kind} series that changes between gauge and counter."
    return case


def stale_markers(kind):
    def case(rng):
        model = Model(kind, rng)
        clock = times([15_000] * 100)
        yield stale(next(clock), kind)
        yield stale(next(clock), kind)
        for pause in (1, 2, 3):
            for _ in range(4):
                model.observe(3)
                yield model.at(next(clock), split=2)
            for index in range(pause):
                yield stale(next(clock), kind, as_float=pause == 2 and index == 0)

    case.__doc__ = f"An {kind} counter with stale markers, also as the first sample of a chunk."
    return case


def special_sums(kind):
    def case(rng):
        model = Model(kind, rng)
        words = [bits(-0.0), bits(float("inf")), bits(float("-inf")), 0x7FF8000000000001, 0x7FF0000000000001, 0, 1]
        for now in times([15_000] * 30):
            model.observe(2)
            yield model.at(now, sum_bits=rng.choice(words))

    case.__doc__ = f"An {kind} counter whose sum is NaN, infinite or a zero of either sign."
    return case


def large(kind):
    def case(rng):
        model = Model(kind, rng, threshold=rng.choice([0.0, 1.0]))
        for index, now in enumerate(times([15_000] * 60)):
            for bucket in range(-3, 6):
                model.pos[bucket] = model.pos.get(bucket, 0) + rng.randrange(1 << rng.randrange(1, 52))
            model.zero += rng.randrange(1 << rng.randrange(1, 52))
            model.sum = rng.random() * 1e18
            yield model.at(now)

    case.__doc__ = f"An {kind} counter with steps of every size."
    return case


def custom(kind):
    def case(rng):
        bounds = (0.005, 0.01, 0.1, 1.0, 33554.43, 33554.431, 1e9)
        model = Model(kind, rng, schema=-53, threshold=0.0, bounds=bounds)
        clock = times([15_000] * 200)
        for bounds in (bounds, (-5.5, -0.25, 0.0, 0.001, 1 / 3), (1.0,), (0.1, 0.2, 0.3)):
            model.clear()
            model.bounds = bounds
            for _ in range(12):
                model.observe(30, center=2, width=2)
                yield model.at(next(clock), split=rng.choice([0, 1]))
        yield model.at(next(clock), GAUGE)
        model.bounds = (0.1, 0.2, 0.4)
        yield model.at(next(clock), GAUGE)
        yield stale(next(clock), kind)

    case.__doc__ = f"{kind.capitalize()} histograms with custom buckets, whose bounds change."
    return case


def fuzz(kind, seed_offset):
    def case(rng):
        rng.seed(1000 + seed_offset)
        model = Model(kind, rng, negative=True)
        for now in times([rng.choice([1, 5_000, 15_000, 15_000, 15_001]) for _ in range(120)]):
            dice = rng.random()
            if dice < 0.03:
                model.clear()
            elif dice < 0.05:
                model.schema = rng.choice([-4, 0, 3, 8])
            elif dice < 0.07:
                model.threshold = rng.choice([0.0, 1e-5, 2.0**-128, 2.0**10, 2.0**11, 2.0**-243, 2.0**-244])
            elif dice < 0.10:
                side = rng.choice([model.pos, model.neg])
                for index in list(side)[:1]:
                    del side[index]
            if rng.random() < 0.04:
                yield stale(now, kind, rng.choice([UNKNOWN, GAUGE]))
                continue
            model.observe(rng.randrange(6), center=rng.choice([0, 5, 40]), width=2)
            hint = GAUGE if seed_offset % 3 == 2 and rng.random() < 0.9 else rng.choice([UNKNOWN, UNKNOWN, NOT_RESET])
            yield model.at(now, hint, split=rng.choice([0, 1, 30] if hint == GAUGE else [0, 1]))

    case.__doc__ = f"Random changes of an {kind} histogram."
    return case


def mixed(rng):
    """One series with floats, integer and float histograms in turn."""
    models = {"int": Model("int", rng), "float": Model("float", rng)}
    for index, now in enumerate(times([15_000] * 40)):
        kind = rng.choice(["int", "float", "sample"]) if index % 4 == 0 else kind
        if kind == "sample":
            yield Float(now, bits(float(index)))
        else:
            models[kind].observe(2)
            yield models[kind].at(now, rng.choice([UNKNOWN, NOT_RESET, UNKNOWN, RESET]) if index % 4 == 0 else UNKNOWN)


def cases():
    table = {
        "float-counter": float_counter, "float-gauge": float_gauge, "float-decimals": float_decimals,
        "float-constant": float_constant, "float-special": float_special, "float-old": float_old,
        "mixed": mixed,
    }
    for low, high in [(-8191, 8192), (-8192, 8193), (-65535, 65536), (-65536, 65537), (-524287, 524288),
                      (-524288, 524289)]:
        table[f"float-step-{high}"] = float_steps(low, high)
    for kind in ("int", "float"):
        prefix = "histogram" if kind == "int" else "float-histogram"
        shapes = [latency, negative, resets, empty_buckets, omitted_buckets, odd_spans, gauge, gauge_and_counter, stale_markers,
                  special_sums, large, custom]
        for shape in shapes:
            table[f"{prefix}-{shape.__name__.replace('_', '-')}"] = shape(kind)
        for seed in range(3):
            table[f"{prefix}-fuzz-{seed}"] = fuzz(kind, seed)
    return table


def make(binary, version, name, case):
    samples = list(case(random.Random(name)))
    prometheus = Prometheus(binary)
    try:
        for sample in samples:
            prometheus.write(sample)
        chunks = prometheus.chunks()
    finally:
        prometheus.stop()
    held = sum(struct.unpack(">H", data[:2])[0] for _, data in chunks)
    if held != len(samples):
        raise RuntimeError(f"{name}: sent {len(samples)} samples, {held} are in chunks")
    lines = [f"# {version}: {case.__doc__}"] + [sample.line() for sample in samples]
    lines += [f"chunk {encoding} {data.hex()}" for encoding, data in chunks]
    (FOLDER / f"{name}.txt").write_text("\n".join(lines) + "\n")
    print(f"{name}: {len(samples)} samples in {len(chunks)} chunks")


def main():
    binary, *wanted = sys.argv[1:]
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    words = (told.stdout or told.stderr).split()
    version = f"Prometheus {words[words.index('version') + 1].split('+')[0]}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, case in cases().items():
        if not wanted or name in wanted:
            make(binary, version, name, case)


if __name__ == "__main__":
    main()
