"""Alerts: which are open, which are muted, and what recently happened to them.

An alert is a state that somebody should know of: it opens once, is repeated sparingly, and closes by itself.
`app.sweep.alert_rules` decides which states these are; this module keeps them. Everything lies in one slot of Redis, so
that an alert, its event and the messages about it change in one step (`swap.lua`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import orjson

from app.alert_kinds import Severity, kind_of
from app.keys import (
    ALERTS_EVENTS,
    ALERTS_MUTED,
    ALERTS_NOTED,
    ALERTS_OPEN,
    ALERTS_OUTBOX,
    ALERTS_SIGNALS,
)
from app.lua import script, write
from app.other_builds import known_fields

if TYPE_CHECKING:
    from redis import Redis

KEPT = 1_000
SHOWN = 100
SIGNAL_SECONDS = 3_600  # an alert about an incident stays open this long after the last one
NOT_TOLD = 0  # long enough ago to be due
CLOSE_AFTER_SECONDS = 60  # a cause that comes and goes faster opens no new alert each time
ANY = "*"


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert. Its texts carry no profile data.

    `kind`: one of `KINDS`, or one of another build's. `destination`: '' if it concerns the whole installation.
    """

    kind: str
    destination: str
    text: str
    remedy: str = ""

    @property
    def field(self) -> str:
        return f"{self.kind}|{self.destination}"

    @property
    def severity(self) -> Severity:
        return kind_of(self.kind).severity


class What(StrEnum):
    """What happened to an alert. `NOTED` is for what has no end, such as the start of a run."""

    OPENED = "opened"
    REPEATED = "repeated"
    CLOSED = "closed"
    NOTED = "noted"


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An open alert; times are epoch milliseconds.

    `opened_ms`: when it opened. `told_ms`: when its channels were last told (0: not of its present state). `gone_ms`: since
      when its cause has been gone (0: it still exists). `raw`: the record it was read from.
    """

    alert: Alert
    opened_ms: int
    told_ms: int
    gone_ms: int = 0
    raw: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """Something that happened to an alert. `muted`: its channels were not told."""

    what: What
    at_ms: int
    alert: Alert
    opened_ms: int
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Mute:
    """A mute. `kind` and `destination` may be `*`; `until_ms`: 0 for good."""

    kind: str
    destination: str
    until_ms: int

    def covers(self, alert: Alert, now_ms: int) -> bool:
        return (
            self.kind in (ANY, alert.kind)
            and self.destination in (ANY, alert.destination)
            and not self.has_ended(now_ms)
        )

    def has_ended(self, now_ms: int) -> bool:
        return 0 < self.until_ms <= now_ms


@dataclass(frozen=True, slots=True)
class Alerts:
    """The open alerts, gravest and then oldest first; the events, newest first; and the current mutes."""

    open: tuple[OpenAlert, ...]
    events: tuple[AlertEvent, ...]
    muted: tuple[Mute, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an open alert. `after`: None closes it. `event`: None if nobody needs to know."""

    before: OpenAlert | None
    after: OpenAlert | None
    event: What | None

    @property
    def alert(self) -> Alert:
        known = self.after or self.before
        assert known is not None
        return known.alert


def changes(
    known: Mapping[str, OpenAlert],
    found: Iterable[Alert],
    *,
    judged: Iterable[str],
    now_ms: int,
    repeat_ms: int,
    muted: Callable[[Alert], bool],
) -> list[Change]:
    """Return what has to change, given the alerts that are now called for. Pure.

    `judged`: the fields of open alerts that `found` would contain if they were still called for; others stay as they are.
    `muted`: whether an alert is muted; what opens or would be repeated meanwhile is told once the mute ends.
    """
    made: list[Change] = []
    called = {alert.field: alert for alert in found}
    for name, alert in called.items():
        before, is_muted = known.get(name), muted(alert)
        tell_ms = NOT_TOLD if is_muted else now_ms
        if before is None:
            made.append(Change(None, OpenAlert(alert, now_ms, tell_ms), What.OPENED))
        elif now_ms - before.told_ms >= repeat_ms and not is_muted:
            made.append(Change(before, OpenAlert(alert, before.opened_ms, now_ms), What.REPEATED))
        elif alert.remedy != before.alert.remedy:  # another cause: the remedy told before no longer helps
            tells = alert.severity is Severity.CRITICAL
            told_ms = tell_ms if tells else before.told_ms
            made.append(Change(before, OpenAlert(alert, before.opened_ms, told_ms), What.REPEATED if tells else None))
        elif before.gone_ms or alert != before.alert:  # the same alert with other numbers
            made.append(Change(before, replace(before, alert=alert, gone_ms=0), None))
    for name in judged:
        before = known.get(name)
        if before is None or name in called:
            continue
        if not before.gone_ms:
            made.append(Change(before, replace(before, gone_ms=now_ms), None))
        elif now_ms - before.gone_ms >= CLOSE_AFTER_SECONDS * 1000:
            made.append(Change(before, None, What.CLOSED))
    return made


# -- in Redis ----------------------------------------------------------------------------------------------------------


def apply_change(redis: Redis, change: Change, *, now_ms: int, muted: bool, messages: Sequence[bytes]) -> bool:
    """Carry out a change with its event and messages. Returns False if another process has changed this alert meanwhile."""
    event = b""
    if change.event is not None:
        known = change.before or change.after
        assert known is not None
        event = _dump(AlertEvent(change.event, now_ms, change.alert, known.opened_ms, muted))
    before = change.before.raw if change.before else b""
    after = _dump(change.after) if change.after else b""
    return _alter(redis, ALERTS_OPEN, change.alert.field, before, after, event, messages)


def note_run(redis: Redis, alert: Alert, hour: int, messages: Sequence[bytes]) -> bool:
    """Tell of a run once. Returns False if it was already told."""
    before: Any = redis.hget(ALERTS_NOTED, alert.field)
    if before is not None and int(before) >= hour:
        return False
    return _alter(redis, ALERTS_NOTED, alert.field, before or b"", str(hour).encode(), b"", messages)


def _alter(
    redis: Redis, key: str, name: str, before: bytes, after: bytes, event: bytes, messages: Sequence[bytes]
) -> bool:
    outgoing = [part for message in messages for part in (token_hex(8), message)]
    reply = script(redis, "app.reporting", "swap")(
        keys=[key, ALERTS_EVENTS, ALERTS_OUTBOX], args=[name, before, after, event, KEPT, *outgoing]
    )
    return bool(reply == 1)


def raise_alert(redis: Redis, alert: Alert, *, now_ms: int) -> None:
    """Report an incident that calls for an alert. The next sweep opens it; it closes an hour after the last incident."""
    write(
        redis,
        ("HSET", ALERTS_SIGNALS, alert.field, orjson.dumps({"at_ms": now_ms, **asdict(alert)})),
        keys=[ALERTS_SIGNALS],
    )


def note_count(redis: Redis, alert: Alert, count: int, *, now_ms: int) -> None:
    """Raise the alert if a count has grown since it was last noted; the first time, only note it."""
    before: Any = redis.hget(ALERTS_NOTED, alert.field)
    if before is not None and int(before) >= count:
        return
    write(redis, ("HSET", ALERTS_NOTED, alert.field, count), keys=[ALERTS_NOTED])
    if before is not None:
        raise_alert(redis, alert, now_ms=now_ms)


def read_signals(redis: Redis, *, now_ms: int) -> list[Alert]:
    """Return the incidents of the last hour, and drop older ones."""
    raw: Any = redis.hgetall(ALERTS_SIGNALS)
    found = []
    for name, value in raw.items():
        signal = orjson.loads(value)
        if now_ms - signal["at_ms"] < SIGNAL_SECONDS * 1000:
            found.append(Alert(**known_fields(Alert, signal)))
        else:
            write(redis, ("HDEL", ALERTS_SIGNALS, name), keys=[ALERTS_SIGNALS])
    return found


def read_open(redis: Redis) -> dict[str, OpenAlert]:
    """Return the open alerts, by field."""
    raw: Any = redis.hgetall(ALERTS_OPEN)
    return {name.decode(): _load_open(value) for name, value in raw.items()}


def _load_open(raw: bytes) -> OpenAlert:
    document = orjson.loads(raw)
    alert = Alert(**known_fields(Alert, document["alert"]))
    return OpenAlert(**known_fields(OpenAlert, document) | {"alert": alert, "raw": raw})


def load_event(document: Mapping[str, Any]) -> AlertEvent:
    """Read a stored event."""
    alert = Alert(**known_fields(Alert, document["alert"]))
    return AlertEvent(**known_fields(AlertEvent, document) | {"what": What(document["what"]), "alert": alert})


def read_mutes(redis: Redis, *, now_ms: int) -> list[Mute]:
    """Return the current mutes. Only reads."""
    raw: Any = redis.hgetall(ALERTS_MUTED)
    found = []
    for name, until in raw.items():
        kind, _, destination = name.decode().partition("|")
        mute = Mute(kind, destination, int(until))
        if not mute.has_ended(now_ms):
            found.append(mute)
    return sorted(found, key=lambda mute: (mute.kind, mute.destination))


def mute(redis: Redis, mute: Mute) -> None:
    """Mute alerts: those covered still open and close, but nobody is told."""
    write(redis, ("HSET", ALERTS_MUTED, f"{mute.kind}|{mute.destination}", mute.until_ms), keys=[ALERTS_MUTED])


def unmute(redis: Redis, kind: str, destination: str) -> bool:
    """End a mute. Returns False if there was none."""
    return bool(redis.hdel(ALERTS_MUTED, f"{kind}|{destination}"))


def forget_ended_mutes(redis: Redis, *, now_ms: int) -> None:
    """Remove mutes that have ended; one that was set anew meanwhile stays."""
    raw: Any = redis.hgetall(ALERTS_MUTED)
    for name, until in raw.items():
        if Mute(ANY, ANY, int(until)).has_ended(now_ms):
            _alter(redis, ALERTS_MUTED, name.decode(), until, b"", b"", ())


def read_alerts(redis: Redis) -> Alerts:
    """Return what there is to see. Only reads, for callers that may do no more."""
    seconds, micros = redis.time()
    entries: Any = redis.xrevrange(ALERTS_EVENTS, count=SHOWN)
    events = [load_event(orjson.loads(fields[b"event"])) for _, fields in entries]
    order = list(Severity)
    found = sorted(
        read_open(redis).values(),
        key=lambda item: (-order.index(item.alert.severity), item.opened_ms, item.alert.field),
    )
    return Alerts(tuple(found), tuple(events), tuple(read_mutes(redis, now_ms=seconds * 1000 + micros // 1000)))


def forget_alerts_of(redis: Redis, destination_ids: Iterable[str]) -> None:
    """Forget which runs were told for destinations other than these."""
    known = set(destination_ids)
    raw: Any = redis.hkeys(ALERTS_NOTED)
    ids = {name: name.decode().partition("|")[2] for name in raw}
    if gone := [name for name, destination_id in ids.items() if destination_id and destination_id not in known]:
        write(redis, ("HDEL", ALERTS_NOTED, *gone), keys=[ALERTS_NOTED])


def _dump(value: OpenAlert | AlertEvent) -> bytes:
    document = asdict(value)
    document.pop("raw", None)
    return orjson.dumps(document)
