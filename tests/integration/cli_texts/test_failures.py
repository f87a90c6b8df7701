"""`activation failures` and `activation refused` for programs: what was done in one shape, and exports with the times of --json."""

from __future__ import annotations

import json

import orjson
import pytest

from app.errors import CallError
from app.keys import DestinationKeys
from app.lanes.entries import Entry, Origin
from app.lanes.failures import seal_failure
from app.reporting.jobs import read_jobs
from app.reporting.refused import RefusedMessages
from app.resources import Resources
from app.settings import Settings

KEYS = DestinationKeys("spring")
FAILED_AT_MS = 1_764_000_000_000
FAILED_AT = "2025-11-24T16:00:00.000Z"
PROFILE = {
    "identityMap": {"crm": [{"id": "k1"}]},
    "visits": {"last_ms": 5},
    "segmentMembership": {"ups": {"seg-1": {"status": "realized"}}},
}


@pytest.fixture
def failed(run, text, redis):
    """Three failures: the key of the last one is lost."""
    assert run("connect", "-", stdin=text).exit_code == 0
    ring = Resources.from_settings(Settings.from_env()).ring
    origin = Origin("job-1", FAILED_AT_MS, FAILED_AT_MS, 0, "", b"t" * 12)
    sealed = ring.seal(orjson.dumps(PROFILE), origin.purpose("spring"))
    for name, content in (("a", sealed), ("b", sealed), ("locked", b"\0" * len(sealed))):
        entry = Entry(b"1-0", False, origin, 0, 0, content)
        record = seal_failure(entry, CallError("Refused.", code="refused"), "spring", ring, now_ms=FAILED_AT_MS)
        redis.zadd(KEYS.failures, {name: FAILED_AT_MS})
        redis.hset(KEYS.failed, name, record)


def test_a_replay_says_its_job_and_what_stays(run, redis, failed):
    done = run("failures", "spring", "--replay", "--json")
    assert (done.exit_code, "1 stay: no key" in done.stderr) == (1, True)
    told = orjson.loads(done.stdout)
    assert (told["count"], told["locked"]) == (2, 1)
    assert orjson.loads(run("job", told["job"], "--json").stdout)["received"] == 2
    assert redis.zrange(KEYS.failures, 0, -1) == [b"locked"]


@pytest.mark.parametrize(("locked", "code"), [(0, 0), (1, 1)])
def test_a_replay_of_nothing_makes_no_job(run, redis, failed, locked, code):
    redis.zrem(KEYS.failures, "a", "b", *([] if locked else ["locked"]))
    done = run("failures", "spring", "--replay", "--json")
    assert (done.exit_code, orjson.loads(done.stdout)) == (code, {"job": None, "count": 0, "locked": locked})
    assert run("failures", "spring", "--replay").stdout == "There is nothing to enqueue again.\n"
    assert read_jobs(redis, ["spring"], limit=10) == []
    assert "replay" not in run("audit").stdout


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--job", "job-1"), 3),
        (("--job", "job-2"), 0),
        (("--segment", "seg-1"), 2),
        (("--segment", "seg-2"), 0),
        (("--field", "REFU"), 3),
        (("--field", "Market"), 0),
        (("--job", "job-1", "--segment", "seg-1", "--code", "refused"), 2),
    ],
)
def test_failures_are_chosen_as_in_the_console(run, redis, failed, words, count):
    assert len(orjson.loads(run("failures", "spring", *words, "--json").stdout)) == count
    done = run("failures", "spring", *words, "--discard", "--yes", "--json")
    assert orjson.loads(done.stdout)["count"] == count
    assert redis.zcard(KEYS.failures) == 3 - count


def test_a_replay_of_some_leaves_the_others(run, redis, failed):
    assert orjson.loads(run("failures", "spring", "--segment", "seg-1", "--replay", "--json").stdout)["count"] == 2
    assert redis.zrange(KEYS.failures, 0, -1) == [b"locked"]


def test_what_is_discarded_is_counted_for_programs(run, redis, failed):
    done = run("failures", "spring", "--discard", "--yes", "--json")
    assert (done.exit_code, orjson.loads(done.stdout)) == (0, {"job": None, "count": 3, "locked": 0})
    assert redis.zcard(KEYS.failures) == 0


def test_an_export_has_the_members_of_what_is_printed(run, failed, tmp_path):
    done = run("failures", "spring", "--export", "bad.jsonl", "--json")
    assert (done.exit_code, orjson.loads(done.stdout)) == (0, {"job": None, "count": 3, "locked": 0})
    lines = [orjson.loads(line) for line in (tmp_path / "bad.jsonl").read_bytes().splitlines()]
    assert lines == orjson.loads(run("failures", "spring", "--reveal", "--json").stdout)
    assert {(line["failed_at"], line["first_tried_at"]) for line in lines} == {(FAILED_AT, FAILED_AT)}
    assert lines[0]["profile"] == PROFILE


def test_refused_messages_are_exported_and_discarded_for_programs(run, text, tmp_path):
    assert run("connect", "-", stdin=text).exit_code == 0
    RefusedMessages(Resources.from_settings(Settings.from_env())).keep("it is no JSON", b"{")
    [shown] = orjson.loads(run("refused", "--json").stdout)["messages"]
    done = run("refused", "--export", "bad.jsonl", "--json")
    assert (done.exit_code, orjson.loads(done.stdout)) == (0, {"count": 1})
    assert json.loads((tmp_path / "bad.jsonl").read_text()) == shown | {"content": "{"}
    done = run("refused", "--discard", "--yes", "--json")
    assert (done.exit_code, orjson.loads(done.stdout)) == (0, {"count": 1})
    assert orjson.loads(run("refused", "--json").stdout)["messages"] == []
