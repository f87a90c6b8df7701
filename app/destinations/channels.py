"""Alert channels in files that others may see: a placeholder stands for each connected address or secret. Pure.

Anybody who knows a webhook's URL can write to it. `<connected 0>` keeps the value of the connected destination's first
channel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

from app.destinations.model import AlertChannel

KINDS_OF_CHANNEL: tuple[Literal["webhook", "slack", "email"], ...] = ("webhook", "slack", "email")
NOT_SHOWN = "<not shown>"  # valid in no file: neither URL nor address, and it has a space
_KEPT = re.compile(r"<connected (\d{1,3})>")
_SAME: tuple[Callable[[AlertChannel, AlertChannel], bool], ...] = (
    lambda one, other: one == other,
    lambda one, other: one.channel == other.channel and one.target == other.target,
    lambda one, other: one.channel == other.channel,
)


def pair(was: Sequence[AlertChannel], now: Sequence[AlertChannel]) -> list[tuple[int | None, int | None]]:
    """Pair the positions of channels before and after.

    Equal channels go first, then those with the same address, then those of the same kind.
    """
    old, new = list(range(len(was))), list(range(len(now)))
    found: list[tuple[int | None, int | None]] = []
    for same in _SAME:
        for before in old.copy():
            after = next((place for place in new if same(was[before], now[place])), None)
            if after is not None:
                found.append((before, after))
                old.remove(before)
                new.remove(after)
    return [*found, *((before, None) for before in old), *((None, after) for after in new)]


def describe(channels: Sequence[AlertChannel], connected: Sequence[AlertChannel]) -> list[dict[str, Any]]:
    """Return channels as they appear in the file; values that are not in `connected` become `NOT_SHOWN`."""
    before = {new: old for old, new in pair(connected, channels) if new is not None}
    return [_described(channel, before[place], connected) for place, channel in enumerate(channels)]


def _described(channel: AlertChannel, place: int | None, connected: Sequence[AlertChannel]) -> dict[str, Any]:
    kept = f"<connected {place}>"
    known = AlertChannel(channel.channel, "") if place is None else connected[place]
    return {
        channel.channel: kept if known.target == channel.target else NOT_SHOWN,
        **({"secret": kept if known.secret == channel.secret else NOT_SHOWN} if channel.secret else {}),
        **({"kinds": list(channel.kinds)} if channel.kinds else {}),
    }


def names_connected(alerts: Any) -> bool:
    """Return whether anything in a file's `alerts` keeps its connected value."""
    items = alerts if isinstance(alerts, list) else []
    return any(_kept(item, name) is not None for item in items for name in (*KINDS_OF_CHANNEL, "secret"))


def put_back(alerts: Any, connected: Sequence[AlertChannel]) -> tuple[Any, dict[str, str]]:
    """Return a file's `alerts` with the values that they keep, and by path a problem for each value that cannot be kept."""
    if not isinstance(alerts, list):
        return alerts, {}
    problems: dict[str, str] = {}
    return [_put_back(item, f"alerts[{place}]", connected, problems) for place, item in enumerate(alerts)], problems


def _put_back(item: Any, path: str, connected: Sequence[AlertChannel], problems: dict[str, str]) -> Any:
    if not isinstance(item, dict):
        return item
    made = dict(item)
    for name in KINDS_OF_CHANNEL:
        if (place := _kept(item, name)) is not None:
            known = connected[place] if place < len(connected) else None
            made[name] = known.target if known is not None and known.channel == name else ""
            if not made[name]:
                problems[f"{path}.{name}"] = f"keeps what is not connected as {name}. Write the address."
    if (place := _kept(item, "secret")) is not None:
        known = connected[place] if place < len(connected) else None
        # a secret is sent only to its own address
        stays = known is not None and known.secret and made.get(known.channel) == known.target
        made["secret"] = known.secret if stays and known is not None else ""
        if not stays:
            problems[f"{path}.secret"] = "stays with the address that it is connected with alone. Write the secret."
    return made


def _kept(item: Any, name: str) -> int | None:
    value = item.get(name) if isinstance(item, dict) else None
    found = _KEPT.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(found[1]) if found else None
