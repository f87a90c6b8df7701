"""A million rows from each kind of file by `activation enqueue`: how fast, and whether its memory depends on their number."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.bed import bed
from tests.benchmarks.table import Figure

FEW, MANY = 50_000, 1_000_000
HEADER = "identityMap.contactKey,personalEmail.address,person.name.firstName,segmentMembership.ups.seg-1\n"
MEASURED = """
import resource, sys
from app.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def measure() -> Figure:
    rows = []
    worst = 0.0
    with bed(workers=0, static=True) as made, tempfile.TemporaryDirectory() as folder:
        made.connect()
        settings = made.settings
        environment = {
            **os.environ, "ACTIVATION_REDIS_URL": settings.redis_url, "ACTIVATION_SECRET_KEYS": settings.secret_keys,
            "ACTIVATION_BROKER_URL": settings.broker_url, "ACTIVATION_ALLOW_LOCAL_HOSTS": "true",
        }  # fmt: skip
        for kind, write in KINDS.items():
            sizes = []
            for number in (FEW, MANY):
                path = Path(folder) / "profiles"
                write(path, number)
                begun = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-c", MEASURED, "enqueue", "camp", str(path)],
                    env=environment, check=True, capture_output=True, text=True,
                )  # fmt: skip
                seconds = time.perf_counter() - begun
                sizes.append(int(done.stderr.split()[-1]) / 1024)
                megabytes = path.stat().st_size / 1e6
                for key in [*made.redis.scan_iter("act:{camp}:lane:*"), *made.redis.scan_iter("act:{camp}:chunk:*")]:
                    made.redis.delete(key)
            worst = max(worst, sizes[1] / sizes[0])
            rows.append(
                [
                    kind,
                    f"{megabytes:.0f}",
                    f"{MANY / seconds:,.0f}",
                    f"{sizes[0]:.0f}",
                    f"{sizes[1]:.0f}",
                    f"{sizes[1] / sizes[0]:.2f} x",
                ]
            )
    return Figure(
        f"{MANY:,} rows from a file",
        target=f"memory at most 1.2 x that for {FEW:,} rows",
        result=f"{worst:.2f} x",
        reached=worst <= 1.2,
        columns=["kind", "MB", "profiles per second", f"MiB at {FEW:,}", f"MiB at {MANY:,}", "memory"],
        rows=rows,
    )


def _profile(number: int) -> dict[str, object]:
    return {
        "identityMap": {"contactKey": [{"id": f"c-{number:08}"}]},
        "personalEmail": {"address": f"c{number}@mail.test"},
        "person": {"name": {"firstName": f"First{number}"}},
        "segmentMembership": {"ups": {"seg-1": {"status": "realized"}}},
    }


def _table(count: int) -> Iterator[str]:
    yield HEADER
    for number in range(count):
        yield f"c-{number:08},c{number}@mail.test,First{number},realized\n"


def _json_lines(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.writelines(f"{json.dumps(_profile(number))}\n" for number in range(count))


def _json_array(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.write("[")
        file.writelines(f"{',' if number else ''}\n{json.dumps(_profile(number), indent=2)}" for number in range(count))
        file.write("\n]\n")


def _csv(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.writelines(_table(count))


def _csv_gzip(path: Path, count: int) -> None:
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.writelines(_table(count))


def _parquet(path: Path, count: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    names = HEADER.strip().split(",")
    with parquet.ParquetWriter(path, pa.schema([(name, pa.string()) for name in names])) as file:
        for first in range(0, count, 100_000):
            cells = [f"c-{number:08},c{number}@mail.test,First{number},realized".split(",")
                     for number in range(first, min(count, first + 100_000))]  # fmt: skip
            file.write_table(pa.table(dict(zip(names, map(list, zip(*cells, strict=True)), strict=True))))


KINDS: dict[str, Callable[[Path, int], None]] = {
    "JSON Lines": _json_lines, "JSON array, pretty-printed": _json_array, "CSV": _csv, "CSV in gzip": _csv_gzip, "Parquet": _parquet,
}  # fmt: skip
