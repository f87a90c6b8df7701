"""Records as a newer build leaves them in Redis, or an older one: every reader of this one takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from prometheus_client import generate_latest

from app.access.roles import Actor, Role
from app.access.sessions import Sessions
from app.access.users import Users
from app.destinations.state import Status
from app.errors import ContactRefused, DestinationUnreachable, OtherBuild, SealBroken, UnknownDestination
from app.intake.sources import SourceStore
from app.keys import (
    ALERTS_EVENTS,
    ALERTS_OPEN,
    ALERTS_OUTBOX,
    ALERTS_SIGNALS,
    AUDIT,
    PROCESSES,
    SOURCES,
    USERS,
    DestinationKeys,
    session,
)  # fmt: skip
from app.lanes.entries import Entry, Origin
from app.lanes.failures import FailureStore, seal_failure
from app.mapping.catalog import EMAIL_ADDRESS, Catalog
from app.reporting.alerts import (
    Alert,
    AlertEvent,
    Change,
    OpenAlert,
    What,
    apply_change,
    raise_alert,
    read_alerts,
    read_open,
    read_signals,
)  # fmt: skip
from app.reporting.audit import Act, note_act, read_acts
from app.reporting.destinations import glance
from app.reporting.jobs import read_job
from app.reporting.metrics import make_registry
from app.reporting.outbox import deliver_due, messages_for
from app.reporting.processes import note_process, read_processes, this_process
from app.resources import Resources
from app.sweep import sweep
from tests.integration.lanes.conftest import Bench

KEYS = DestinationKeys("camp")
ALERT = Alert("no_worker", "", "None is there.")
Purpose = Callable[[bytes, bytes], bytes]


@pytest.fixture
def bench(redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port)
    yield made
    made.close()


@dataclass(frozen=True)
class Kept:
    """A record: what leaves it at `key` (a pattern), what reads it, given what `write` returned, and what its seal is bound to, given
    its key and field; None in clear. `asks` is what a newer build adds to it.
    """

    key: str
    write: Callable[[Resources], Any]
    read: Callable[[Resources, Any], Any]
    purpose: Purpose | None = None
    asks: Any = "of a newer build"


def open_it(made: Resources) -> None:
    change = Change(None, OpenAlert(ALERT, 1_000, 1_000), What.OPENED)
    assert apply_change(made.redis, change, now_ms=1_000, muted=False, messages=())


def begin_session(made: Resources) -> str:
    users = Users(made.redis, made.ring)
    user = users.add("ann", Role.VIEW, now_ms=0)
    return Sessions(made.redis, made.ring, users).begin(Actor("ann", Role.VIEW), now_ms=0, user=user)


def sources(made: Resources) -> SourceStore:
    return SourceStore(made.redis, made.ring)


RECORDS = {
    "about": Kept(KEYS.about, lambda made: None, lambda made, _: made.destinations.about("camp")),
    "failed refresh": Kept(
        KEYS.catalog_failure,
        lambda made: made.catalogs.note_failure("camp", "Away.", at_ms=1),
        lambda made, _: made.catalogs.last_failure("camp"),
    ),
    "catalog": Kept(
        KEYS.catalog,
        lambda made: made.catalogs.put("camp", Catalog.of([EMAIL_ADDRESS], fetched_at_ms=1)),
        lambda made, _: type(made.catalogs)(made.redis).get("camp"),
    ),
    "open alert": Kept(ALERTS_OPEN, open_it, lambda made, _: read_open(made.redis)),
    "event": Kept(ALERTS_EVENTS, open_it, lambda made, _: read_alerts(made.redis).events[0]),
    "signal": Kept(
        ALERTS_SIGNALS,
        lambda made: raise_alert(made.redis, ALERT, now_ms=1_000),
        lambda made, _: read_signals(made.redis, now_ms=1_000),
    ),
    "process": Kept(
        PROCESSES,
        lambda made: note_process(made.redis, this_process("w", "worker", now_ms=0, queues=("delivery",)), now_ms=1),
        lambda made, _: [(one.name, one.queues, one.seen_ms) for one in read_processes(made.redis)],
    ),
    "act": Kept(
        AUDIT,
        lambda made: note_act(made.redis, made.ring, Act("ann", "replay")),
        lambda made, _: read_acts(made.redis, made.ring)[0][1],
        lambda *_: b"audit",
    ),
    "user": Kept(
        USERS,
        lambda made: Users(made.redis, made.ring).add("ann", Role.VIEW, now_ms=0),
        lambda made, _: Users(made.redis, made.ring).get("ann"),
        lambda _, name: b"user:" + name,
    ),
    "session": Kept(
        session("*"),
        begin_session,
        lambda made, token: Sessions(made.redis, made.ring, Users(made.redis, made.ring)).find(token, now_ms=1).actor,
        lambda key, _: key,
    ),
    "source": Kept(
        SOURCES,
        lambda made: sources(made).add("crm", ["camp"])[1],
        lambda made, key: [(one.name, one.destinations, one.has(key)) for one in sources(made).all()[0]],
        lambda _, name: b"source:" + name,
        asks=None,
    ),
    "destination": Kept(
        KEYS.config,
        lambda made: None,
        lambda made, _: type(made.destinations)(made.redis, made.ring).get("camp"),
        lambda *_: b"destination:camp",
        asks=None,
    ),
}  # fmt: skip


def grown(value: Any, asks: Any) -> Any:
    """A document with one more member in each of its objects."""
    if isinstance(value, dict):  # the members of status_values are data
        more = {name: item if name == "status_values" else grown(item, asks) for name, item in value.items()}
        return more | {"of_tomorrow": asks}
    return [grown(item, asks) for item in value] if isinstance(value, list) else value


def alter(made: Resources, kept: Kept, change: Callable[[Any], Any]) -> None:
    """Put what `change` makes of it in the place of each record."""

    def altered(key: bytes, name: bytes, raw: bytes) -> bytes:
        if kept.purpose is None:
            return orjson.dumps(change(orjson.loads(raw)))
        purpose = kept.purpose(key, name)
        return made.ring.seal(orjson.dumps(change(orjson.loads(made.ring.open(raw, purpose)))), purpose)

    redis, count = made.redis, 0
    for key in redis.scan_iter(kept.key):
        count += 1
        match redis.type(key):
            case b"string":
                redis.set(key, altered(key, b"", redis.get(key)))
            case b"hash":
                for name, raw in redis.hgetall(key).items():
                    redis.hset(key, name, altered(key, name, raw))
            case b"stream":
                ((entry_id, fields),) = redis.xrevrange(key, count=1)
                redis.xdel(key, entry_id)
                redis.xadd(key, {name: altered(key, name, raw) for name, raw in fields.items()})
    assert count == 1


@pytest.mark.parametrize("kept", RECORDS.values(), ids=RECORDS)
def test_what_a_newer_build_added_is_overlooked(bench: Bench, kept: Kept) -> None:
    made = bench.resources
    written = kept.write(made)
    before = kept.read(made, written)
    assert before, "there is something to be read"
    alter(made, kept, lambda document: grown(document, kept.asks))
    assert kept.read(made, written) == before


LACKING = {
    "open alert": "gone_ms", "event": "muted", "process": "ahead_ms", "act": "detail", "about": "max_in_flight",
    "user": "password_hash", "source": "certificates", "destination": "description",
}  # fmt: skip


@pytest.mark.parametrize("name", LACKING)
def test_what_an_older_build_did_not_write_yet_has_its_default(bench: Bench, name: str) -> None:
    made, kept = bench.resources, RECORDS[name]
    written = kept.write(made)
    before = kept.read(made, written)
    alter(made, kept, lambda document: {key: value for key, value in document.items() if key != LACKING[name]})
    assert bool(kept.read(made, written)) == bool(before)


def test_an_alert_of_a_kind_that_only_a_newer_build_knows_is_shown_and_judged(bench: Bench) -> None:
    made = bench.resources
    strange = Alert("of_tomorrow", "", "Something is new.")
    change = Change(None, OpenAlert(strange, 1_000, 1_000), What.OPENED)
    assert apply_change(made.redis, change, now_ms=1_000, muted=False, messages=())
    assert [item.alert for item in read_alerts(made.redis).open] == [strange]
    shown = generate_latest(make_registry(made.redis, made.settings)).decode()
    assert 'activation_alert_open{destination="",kind="of_tomorrow",severity="warning"} 1.0' in shown
    sweep(made, bench.waker)
    assert read_open(made.redis)[strange.field].gone_ms, "nothing calls for it here, so it closes in a while"


def test_a_message_of_a_newer_build_is_sent(bench: Bench) -> None:
    made = bench.resources
    told = replace(made, settings=replace(made.settings, alert_url="http://127.0.0.1:1/away"))
    (message,) = messages_for(AlertEvent(What.OPENED, 1_000, ALERT, 1_000), told, None)
    bench.redis.hset(ALERTS_OUTBOX, "a", orjson.dumps(grown(orjson.loads(message), "of a newer build")))
    deliver_due(made)
    assert bench.redis.hlen(ALERTS_OUTBOX) == 0, "no channel of this name is set here, and it is older than a day"


def test_a_failure_of_a_newer_build_is_listed(bench: Bench) -> None:
    made = bench.resources
    entry = Entry(b"1-1", False, Origin("job", 1, 1, 1, "", b"tag"), 0, 0, b"sealed")
    record = seal_failure(entry, ContactRefused("No.", code="no"), "camp", made.ring, now_ms=1)
    end = 4 + int.from_bytes(record[:4])
    head = orjson.loads(made.ring.open(record[4:end], b"failure:camp")) | {"of_tomorrow": "x"}
    fresh = made.ring.seal(orjson.dumps(head), b"failure:camp")
    made.redis.zadd(KEYS.failures, {"f": 1})
    made.redis.hset(KEYS.failed, "f", len(fresh).to_bytes(4) + fresh + b"sealed")
    assert [one.code for one in FailureStore(made.redis, made.ring, "camp").all()] == ["no"]


def test_a_job_with_words_of_a_newer_build_is_told(bench: Bench) -> None:
    job = bench.producer.enqueue("camp", [{"identityMap": {"contactKey": [{"id": "a"}]}}])
    bench.redis.hset(KEYS.job(job), "of_tomorrow", "a word")
    assert read_job(bench.redis, job).received == 1


def test_a_destination_that_asks_for_what_this_build_lacks_stands_still_and_harms_no_other(bench: Bench) -> None:
    made, kept = bench.resources, RECORDS["destination"]
    made.destinations.save(replace(bench.destination, id="other"))
    alter(made, kept, lambda document: document | {"quiet_hours": ["22:00", "07:00"]})
    with pytest.raises(OtherBuild, match="quiet_hours"):
        made.destinations.get("camp")
    sweep(made, bench.waker)
    assert [item.alert.kind for item in read_open(bench.redis).values() if item.alert.destination] == ["unreadable"]
    assert "quiet_hours" in glance(made, "camp").problem
    assert made.destinations.get("other").id == "other"
    bench.connect()  # an operator may connect it anew
    assert made.destinations.get("camp") == bench.destination


def test_a_source_that_asks_for_what_this_build_lacks_is_locked_and_harms_no_other(bench: Bench) -> None:
    made = sources(bench.resources)
    made.add("crm", ["camp"])
    alter(bench.resources, RECORDS["source"], lambda document: document | {"networks": ["10.0.0.0/8"]})
    made.add("shop", ["camp"])
    opened, locked = made.all()
    assert ([source.name for source in opened], locked) == (["shop"], ["crm"])
    with pytest.raises(SealBroken, match="networks"):
        made.add("crm", ["camp"])


def test_a_destination_that_an_earlier_build_left_troubled_is_degraded_and_gets_well(bench: Bench) -> None:
    states = bench.resources.states
    state = states.get("camp")
    error = DestinationUnreachable("Nobody answers.", code="no_connection")
    states.fail("camp", error, status=Status.DEGRADED, generation=state.generation)
    bench.redis.hset(KEYS.state, mapping={"status": "troubled", "next_probe_ms": 0})
    assert states.get("camp").status is Status.DEGRADED
    found, taken = states.take_probe("camp", "probe-1")
    assert (found.status, taken) == (Status.DEGRADED, True)
    assert states.succeed("camp", "probe-1")
    assert states.get("camp").status is Status.ENABLED


def test_a_destination_of_a_build_too_old_is_told_as_that(bench: Bench) -> None:
    made = bench.resources
    bench.redis.delete(KEYS.secret)  # before it was split off, the whole was one record
    with pytest.raises(OtherBuild, match="written by another build") as caught:
        made.destinations.get("camp")
    assert "activation connect FILE" in caught.value.remedy
    bench.connect()
    bench.redis.delete(KEYS.pepper)
    bench.redis.set(KEYS.about, orjson.dumps({"name": "Camp"}))
    for ask in (made.destinations.pepper, made.destinations.about):
        with pytest.raises(UnknownDestination) as unknown:
            ask("camp")
        assert "Did you mean" not in str(unknown.value)
        assert "this build cannot read it" in str(unknown.value)
    bench.connect()
    assert made.destinations.connected("camp").destination == bench.destination
