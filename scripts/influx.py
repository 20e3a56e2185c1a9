"""Writes points by InfluxDB's own client and as Telegraf does, to narthex and to VictoriaMetrics, and compares what both export.

Run by clients.sh, which installs the client.
"""

import gzip
import json
import sys
import time
import urllib.parse
import urllib.request
from datetime import datetime, timezone

from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS

START_S = int(time.time()) - 600

# A host's plugins, as Telegraf writes them.
TELEGRAF = "\n".join(
    f"""cpu,cpu=cpu-total,host=web\\ 1 usage_user={tick}.25,usage_system=0.5,usage_idle={99 - tick}.25 {START_S + tick}000000000
mem,host=web\\ 1 used={tick * 1000}i,available=8123456789i,used_percent=41.5,huge_pages_free=0i {START_S + tick}000000000
disk,device=nvme0n1p1,fstype=ext4,host=web\\ 1,mode=rw,path=/var/lib\\,a\\=b free=12345i,inodes_used={tick}u {START_S + tick}000000000
net,host=web\\ 1,interface=eth0 bytes_recv={tick * 7}i,up=true,down=F {START_S + tick}000000000"""
    for tick in range(10)
)


# Values have few digits: VictoriaMetrics keeps numbers as decimals, and the last bits of others differ in it.
def points():
    for tick in range(20):
        at = datetime.fromtimestamp(START_S + tick, timezone.utc)
        yield Point("weather").tag("city", "Zürich, Höngg").tag("sensor", "a=b").field("temperature", 20.5 + tick).field("rain", tick % 2 == 0).time(at)
        yield Point("orders").tag("shop", "eu").field("count", tick).field("sum", tick * 1.25).time(START_S + tick, WritePrecision.S)


def write(base):
    for enable_gzip in [False, True]:
        with InfluxDBClient(url=base, token="any", org="org", enable_gzip=enable_gzip) as client:
            if not client.ping():
                sys.exit(f"{base} does not answer a ping")
            # A second time, which changes nothing.
            client.write_api(write_options=SYNCHRONOUS).write(bucket="bucket", record=list(points()))
    for path, body, headers in [
        ("/write?db=telegraf", TELEGRAF.encode(), {}),
        ("/api/v2/write?bucket=b&org=o&precision=ns", gzip.compress(TELEGRAF.encode()), {"Content-Encoding": "gzip", "Authorization": "Token any"}),
    ]:
        request = urllib.request.Request(base + path, data=body, headers=headers)
        with urllib.request.urlopen(request) as answer:
            if answer.status != 204:
                sys.exit(f"{base}{path}: {answer.status}")


def exported(base):
    """Series with their samples, each once."""
    form = urllib.parse.urlencode({"match[]": '{__name__=~"(weather|orders|cpu|mem|disk|net)_.*"}', "start": START_S, "end": START_S + 60})
    with urllib.request.urlopen(f"{base}/api/v1/export?{form}") as answer:
        lines = [json.loads(line) for line in answer.read().splitlines()]
    series = {}
    for line in lines:
        labels = tuple(sorted(line["metric"].items()))
        series.setdefault(labels, set()).update(zip(line["timestamps"], line["values"]))
    return series


def main():
    narthex, victoria = sys.argv[1:]
    write(narthex)
    write(victoria)
    urllib.request.urlopen(f"{victoria}/internal/force_flush").read()
    ours, theirs = exported(narthex), exported(victoria)
    wrong = 0
    for labels in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(labels, set()), theirs.get(labels, set())
        if one != other:
            wrong += 1
            print(f"WRONG: {dict(labels)}: {sorted(one)}, VictoriaMetrics: {sorted(other)}")
    samples = sum(len(found) for found in ours.values())
    print(f"{len(ours)} series with {samples} samples of InfluxDB's client and of Telegraf's lines, {wrong} wrong beside VictoriaMetrics")
    sys.exit(1 if wrong or samples < 200 else 0)


main()
