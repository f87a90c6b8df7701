"""Describes in words what reconnecting a destination changes. Pure; of a secret it says only whether it changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from app.destinations.channels import pair

if TYPE_CHECKING:
    from app.destinations.model import AlertChannel, Destination, MappingRow, Segment

ADDED, REMOVED, CHANGED = "+", "-", "~"
_NEW_IDENTITIES = (
    "the contact key is found in another way: contacts get new identities, and what was delivered to the former ones is not "
    "known of the new ones. Contacts in Marketing Cloud under their former keys stay as they are."
)
_OTHER_ACCOUNT = (
    "this is another account or business unit: what was delivered to the former one is forgotten, and every value is sent anew, "
    "a call for each contact."
)


def changes(old: Destination, new: Destination) -> list[str]:
    """Return a line for each addition (+), removal (-) or change (~); the secret always has a line."""
    found = [f"{CHANGED} {name}: {_said(was)} → {_said(now)}" for name, was, now in _plain(old, new) if was != now]
    found += _by_key("mapping", _rows(old), _rows(new))
    found += _by_key("segments", _segments(old), _segments(new))
    found += _channels(old.alerts, new.alerts)
    if old.account.client_secret == new.account.client_secret:
        return [*found, "  account.client_secret: unchanged"]
    return [*found, f"{CHANGED} account.client_secret: changed"]


def is_elsewhere(old: Destination, new: Destination) -> bool:
    """Return whether contacts belong to another account or business unit, so that what was delivered is forgotten."""
    return old.holdings != new.holdings


def warnings(old: Destination, new: Destination) -> list[str]:
    """Return what a change means for contacts that were delivered to."""
    found = [_OTHER_ACCOUNT] if is_elsewhere(old, new) else []
    return [*found, _NEW_IDENTITIES] if _naming(old) != _naming(new) else found


def _naming(destination: Destination) -> tuple[object, ...]:
    """Return what decides how contacts are named; the case of a namespace makes no difference."""
    rows = [row for row in destination.mapping if row.target.kind == "contact_key"]
    sources = [
        (source.kind, source.name.casefold() if source.kind == "identity" else source.name)
        for row in rows
        for source in row.sources
    ]
    return sources, [row.transform for row in rows], destination.options.several_identities


def _plain(old: Destination, new: Destination) -> Iterator[tuple[str, Any, Any]]:
    """Yield the names of single values, each with its old and new value."""
    for name in ("name", "description"):
        yield name, getattr(old, name), getattr(new, name)
    for part in ("account", "limits", "options"):
        was, now = asdict(getattr(old, part)), asdict(getattr(new, part))
        for name in now:
            if name not in ("client_secret", "local"):
                yield f"{part}.{name}", was[name], now[name]


def _rows(destination: Destination) -> dict[str, str]:
    return {str(row.target): _row(row) for row in destination.mapping}


def _row(row: MappingRow) -> str:
    sources = ", else ".join(map(str, row.sources))
    return f"{sources}{f' ({row.transform})' if row.transform else ''}"


def _segments(destination: Destination) -> dict[str, str]:
    return {f"{one.namespace}/{one.id}": _segment(one) for one in destination.segments}


def _segment(segment: Segment) -> str:
    days = f", {segment.start or '…'} to {segment.end or '…'}" if segment.start or segment.end else ""
    return f"{segment.mapping_id}{f' ({segment.name})' if segment.name else ''}{days}"


def _by_key(part: str, was: dict[str, str], now: dict[str, str]) -> Iterator[str]:
    for key in [*was, *(key for key in now if key not in was)]:
        if key not in now:
            yield f"{REMOVED} {part}: {key} ← {was[key]}"
        elif key not in was:
            yield f"{ADDED} {part}: {key} ← {now[key]}"
        elif was[key] != now[key]:
            yield f"{CHANGED} {part}: {key} ← {was[key]} → {now[key]}"


def _channels(was: Sequence[AlertChannel], now: Sequence[AlertChannel]) -> Iterator[str]:
    """Describe changes by kind and position; neither addresses nor secrets are shown."""
    for old, new in pair(was, now):
        if new is None:
            assert old is not None
            yield f"{REMOVED} alerts[{old}]: {_channel(was[old])}"
        elif old is None:
            yield f"{ADDED} alerts[{new}]: {_channel(now[new])}"
        elif found := _changed(was[old], now[new]):
            yield f"{CHANGED} alerts[{new}]: {now[new].channel}: {', '.join(found)}"


def _changed(old: AlertChannel, new: AlertChannel) -> list[str]:
    found = ["another address"] if old.target != new.target else []
    if old.secret != new.secret:
        found.append("another secret" if old.secret and new.secret else "a secret" if new.secret else "no secret")
    return [*found, f"{_kinds(old)} → {_kinds(new)}"] if old.kinds != new.kinds else found


def _channel(channel: AlertChannel) -> str:
    return f"{channel.channel}: {_kinds(channel)}{', signed' if channel.secret else ''}"


def _kinds(channel: AlertChannel) -> str:
    return " ".join(channel.kinds) or "warnings and worse"


def _said(value: Any) -> str:
    if value in ("", None):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_said(item)}" for name, item in value.items())
    if isinstance(value, tuple | list):
        return ".".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
