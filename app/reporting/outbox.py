"""Messages about alerts on the way to their channels: kept until a channel takes them, for a day at most."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from app.alert_kinds import is_wanted
from app.backoff import full_jitter
from app.errors import SealBroken, UnknownDestination
from app.keys import ALERTS_EVENTS, ALERTS_OUTBOX, ALERTS_SENDING
from app.locks import locked
from app.lua import script
from app.reporting.alerts import KEPT, AlertEvent, load_event
from app.reporting.channels import ChannelFailed, channels_of, send

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis import Redis

    from app.destinations.model import AlertChannel, Destination
    from app.resources import Resources

GIVE_UP_MS = 86_400_000
CLAIM_MS = 60_000  # how long a message belongs to the process that sends it
RUN_SECONDS = 10.0
BASE_SECONDS, CAP_SECONDS = 10.0, 900.0

log = logging.getLogger(__name__)


def messages_for(event: AlertEvent, resources: Resources, destination: Destination | None) -> list[bytes]:
    """Return one message, due at once, for each channel that wants to know of an event.

    A message names its channel and reveals nothing of its address.
    """
    channels = [("", channel) for channel in channels_of(resources.settings).values()]
    if destination is not None:
        channels += [(destination.id, channel) for channel in destination.alerts]
    key = resources.ring.data_keys[0]
    names = [_name(channel, whose, key) for whose, channel in channels if is_wanted(event.alert.kind, channel.kinds)]
    return [
        orjson.dumps({"channel": name, "event": asdict(event), "due_ms": event.at_ms, "tries": 0})
        for name in dict.fromkeys(names)
    ]


def _name(channel: AlertChannel, destination_id: str, key: bytes) -> str:
    """Name a channel by a keyed digest, which reveals nothing of its address and stays the same wherever it stands in the list."""
    address = f"alert channel:{channel.channel}:{channel.target}".encode(errors="surrogatepass")
    digest = hmac.new(key, address, hashlib.sha256).hexdigest()[:24]
    return f"{destination_id}{'/' if destination_id else ''}{channel.channel}-{digest}"


def has_due(redis: Redis, *, now_ms: int) -> bool:
    """Return whether a message is due."""
    raw: Any = redis.hvals(ALERTS_OUTBOX)
    return any(orjson.loads(value)["due_ms"] <= now_ms for value in raw)


def in_order(waiting: Mapping[bytes, Mapping[str, Any]], *, now_ms: int) -> list[bytes]:
    """Return the ids of messages that are due, oldest first, those for failing channels last. Pure.

    An earlier message about the same alert goes first, even if it waits for a retry: the last thing a channel hears must
    not be an alert that has already ended.
    """
    failing = {message["channel"] for message in waiting.values() if message["tries"]}
    due, held_up = [], set()
    for name in sorted(waiting, key=lambda name: (waiting[name]["event"]["at_ms"], name)):
        message = waiting[name]
        if message["due_ms"] > now_ms:
            held_up.add(_told(message))
        elif _told(message) not in held_up:
            due.append(name)
    return sorted(due, key=lambda name: waiting[name]["channel"] in failing)


def _told(message: Mapping[str, Any]) -> object:
    """Return channel and alert of a message."""
    alert = message["event"]["alert"]
    return message["channel"], alert["kind"], alert["destination"]


def deliver_due(resources: Resources, *, most: int = 100) -> int:
    """Send the messages that are due, each by one process at a time. Returns how many were taken by their channels.

    A channel that fails is skipped until next time, so that its messages do not hold up the others. After `RUN_SECONDS`
    no further message is begun.
    """
    redis, now_ms = resources.redis, resources.clock.now_ms()
    deadline = time.monotonic() + RUN_SECONDS
    raw: Any = redis.hgetall(ALERTS_OUTBOX)
    waiting = {name: orjson.loads(value) for name, value in raw.items()}
    taken, failed = 0, set[str]()
    for name in in_order(waiting, now_ms=now_ms):
        message = waiting[name]
        channel = message["channel"]
        if channel in failed:
            continue
        claimed = orjson.dumps({**message, "due_ms": resources.clock.now_ms() + CLAIM_MS})
        if not _replace(redis, name, raw[name], claimed):
            continue
        if _deliver(resources, name.decode(), message, claimed):
            taken += 1
        else:
            failed.add(channel)
        if taken + len(failed) >= most or time.monotonic() >= deadline:
            break
    return taken


def deliver_alone(resources: Resources) -> int:
    """Do `deliver_due` unless another task is doing it.

    Otherwise hanging channels would occupy every thread of a worker, and the sweeps need them too.
    """
    with locked(resources.redis, ALERTS_SENDING, CLAIM_MS) as mine:
        return deliver_due(resources) if mine else 0


def _deliver(resources: Resources, name: str, message: Mapping[str, Any], claimed: bytes) -> bool:
    """Return whether the channel took the message."""
    event = load_event(message["event"])
    now_ms = resources.clock.now_ms()
    try:
        send(_channel(resources, message["channel"], event.alert.kind), event, name, resources.settings)
    except ChannelFailed as failed:
        tries = message["tries"] + 1
        if failed.gives_up or now_ms - event.at_ms > GIVE_UP_MS:
            where = message["channel"]
            log.error("Alert %s for channel %s is given up: %s.", event.alert.field, where, failed)  # noqa: TRY400
            _replace(resources.redis, name, claimed, b"")
        else:
            log.warning("Channel %s did not take an alert: %s. It is tried again.", message["channel"], failed)
            delay = full_jitter(tries, base_seconds=BASE_SECONDS, cap_seconds=CAP_SECONDS)
            later = {**message, "tries": tries, "due_ms": now_ms + int(delay * 1000)}
            _replace(resources.redis, name, claimed, orjson.dumps(later))
        return False
    _replace(resources.redis, name, claimed, b"")
    return True


def _channel(resources: Resources, name: str, kind: str) -> AlertChannel:
    """Return the channel of this name. Raises: `ChannelFailed` if there is none: it may return, or another process may have it."""
    destination_id, _, own_name = name.rpartition("/")
    try:
        channels = _by_place(resources, destination_id)
    except UnknownDestination:
        raise ChannelFailed("its destination is not connected any more", gives_up=True) from None
    except SealBroken:
        raise ChannelFailed("its destination cannot be read") from None
    for channel in channels.values():
        if any(_name(channel, destination_id, key) == name for key in resources.ring.data_keys):
            return channel
    # an earlier build named it by its place, where another channel may stand by now
    at_place = channels.get(own_name)
    if at_place is None or not is_wanted(kind, at_place.kinds):
        raise ChannelFailed("no channel of this name is set any more")
    return at_place


def _by_place(resources: Resources, destination_id: str) -> Mapping[str, AlertChannel]:
    """Return the channels of a destination, or those for all. Raises: `UnknownDestination`; `SealBroken`."""
    if not destination_id:
        return channels_of(resources.settings)
    return {str(place): channel for place, channel in enumerate(resources.destinations.get(destination_id).alerts)}


def _replace(redis: Redis, name: str | bytes, before: bytes, after: bytes) -> bool:
    reply = script(redis, "app.reporting", "swap")(
        keys=[ALERTS_OUTBOX, ALERTS_EVENTS, ALERTS_OUTBOX], args=[name, before, after, b"", KEPT]
    )
    return bool(reply == 1)
