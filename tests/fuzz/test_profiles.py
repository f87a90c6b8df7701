"""Whatever is enqueued as a profile ends in one outcome, harms no neighbour, and is seen nowhere in clear."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UsageError
from app.keys import LANES
from app.reporting.alerts import read_alerts
from app.reporting.jobs import read_job
from app.reporting.metrics import make_registry
from app.reporting.runs import read_runs
from tests.fuzz.cases import MARK, altered, awkward, cases, deep, depths, marked, values
from tests.integration.lanes.conftest import Bench
from tests.system.rig import profile
from tests.system.test_celery_clients import dump

MOST_GROWTH_BYTES = 300_000_000
GOOD = {
    **profile(MARK, email=f"{MARK}@mail.test", first=MARK, last=MARK, at="2026-01-01T10:00:00Z",
              segments={"seg-1": ("realized", "2026-01-01T10:00:00Z"), "seg-2": ("exited", "2026-01-01T10:00:00.5+0000")}),
    "consents": {"marketing": {"email": {"val": "y"}}},
}  # fmt: skip
ROUND: list[Any] = [MARK]
ROUND.append(ROUND)
no_json = st.sampled_from(
    [b"\xff", {MARK}, object(), datetime(2026, 1, 1, tzinfo=UTC), {1: MARK}, {("a",): MARK}, {None: MARK}, ROUND,
     {"identityMap": ROUND}, {MARK: "x" * 1_100_000}, [MARK] * 300_000, GOOD | {MARK: deep(100_000)}]
)  # fmt: skip


def with_personal_names(made: Any) -> Any:
    """The same with an address where the marker is the name of a namespace: a run tells a name that has the form of a
    namespace's code (docs/decisions/0012-what-input-means.md), and nothing else in its place.
    """
    identities = made.get("identityMap") if isinstance(made, dict) else None
    if not isinstance(identities, dict):
        return made
    renamed = {
        f"{name}@mail.test" if isinstance(name, str) and MARK in name else name: ids for name, ids in identities.items()
    }
    return made | {"identityMap": renamed}


profiles = (altered(GOOD, values | depths | no_json) | altered(GOOD) | values | depths | no_json | st.just(GOOD)).map(
    with_personal_names
)


@pytest.fixture
def bench(redis_url: str, redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port, retry_minimum=0, retry_window_seconds=0.0)
    yield made
    made.close()


def drain(bench: Bench) -> None:
    for number in range(LANES):
        while bench.workers[0].drain("camp", number).wake:
            pass


def append_only(redis: Any) -> bytes:
    folder = Path(redis.config_get("dir")["dir"]) / redis.config_get("appenddirname")["appenddirname"]
    found = [path.read_bytes() for path in folder.iterdir()]
    assert sum(map(len, found)) > 1_000
    return b"".join(found)


@pytest.mark.timeout(1_800)
def test_each_profile_has_one_outcome_and_none_is_seen(bench: Bench, records: Any) -> None:
    neighbours: list[str] = []
    resident = psutil.Process().memory_info().rss

    @cases(12, 300)
    @given(
        batch=st.lists(profiles, min_size=10, max_size=25),
        occurred_at=st.none() | st.just("2026-01-01T10:00:00Z"),
        backfill=st.booleans(),
        force=st.booleans(),
    )
    def enqueue(batch: list[Any], occurred_at: Any, backfill: bool, force: bool) -> None:
        own = f"neighbour-{len(neighbours)}"
        neighbours.append(own)
        middle = len(batch) // 2
        sent = [*batch[:middle], profile(own, email=f"{own}@mail.test", first="Well"), *batch[middle:]]
        job = bench.producer.enqueue("camp", sent, occurred_at=occurred_at, backfill=backfill, force=force)
        drain(bench)
        counts = read_job(bench.redis, job)
        assert (counts.received, counts.pending) == (len(sent), 0), counts
        assert counts.outcomes["delivered"] >= 1
        assert all(count >= 0 for count in counts.outcomes.values())

    enqueue()
    contacts = bench.admin("GET", "contacts")
    assert [name for name in neighbours if contacts.get(name, {}).get("Email Demographics.First Name") != "Well"] == []
    assert psutil.Process().memory_info().rss - resident < MOST_GROWTH_BYTES
    redis: Any = bench.redis
    from prometheus_client import generate_latest

    seen = {
        "Redis": dump(bench.resources.settings.redis_url),
        "its append-only file": append_only(redis),
        "runs": repr(read_runs(redis, "camp")).encode(),
        "alerts": repr(read_alerts(redis)).encode(),
        "metrics": generate_latest(make_registry(redis, bench.resources.settings)),
        "logs": "\n".join(records.lines).encode(errors="replace"),
    }
    assert [place for place, content in seen.items() if MARK.lower().encode() in content.lower()] == []
    assert "forged" not in "".join(line for line in records.lines if not line.startswith("    "))


def test_whatever_the_arguments_are_the_answer_is_a_clear_error_or_a_job(bench: Bench) -> None:
    @cases(40, 600)
    @given(
        destination=st.just("camp") | marked | awkward | values,
        occurred_at=st.none() | marked | awkward | values,
        job_id=st.none() | marked | awkward | values,
        repeat_id=st.none() | marked | awkward | values,
        source=st.just("python") | marked | awkward | values,
    )
    def enqueue(destination: Any, **how: Any) -> None:
        try:
            job = bench.producer.enqueue(destination, [GOOD], **how)
        except UsageError as error:
            assert error.remedy
        else:
            if how["repeat_id"] is None:  # else it may be a repeat, which adds nothing
                assert read_job(bench.redis, job).received >= 1

    enqueue()
