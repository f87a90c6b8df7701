"""Shows what would become of profiles, without doing any of it: contact, values, what is left out, and the call.

It uses the functions of a delivery, with what was delivered before and as if all profiles waited together; nothing is
written. Profiles that already wait in the lanes are ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from app.delivery.plan import Planner
from app.errors import UsageError
from app.keys import DestinationKeys
from app.lanes.bounds import ready
from app.lanes.delivered import Order, contact_tag, decode, encode
from app.lanes.entries import BACKFILL, FORCE, Entry, Origin
from app.lanes.lane import lane_of
from app.lanes.merge import Merged
from app.lanes.outcomes import Outcome
from app.mapping.compiled import CompiledMapping, ReadFrom, compile_mapping
from app.mapping.contact_key import ContactKeys, tell_namespaces
from app.mapping.update import ContactUpdate, Excluded, Reason
from app.reporting.quota import read_quota

if TYPE_CHECKING:
    from app.mapping.values import Scalar
    from app.resources import Resources

SHOWN = 100  # profiles described one by one; totals cover all
TOGETHER = 1_000  # profiles merged as if they waited together
OUTCOMES = (Outcome.DELIVERED, Outcome.UNCHANGED, Outcome.SUPERSEDED, Outcome.EXCLUDED)


@dataclass(frozen=True, slots=True)
class PreviewedValue:
    """A value of a profile. `fallback`: the source's position among the row's fallbacks, 0 for the first.

    `verdict`: `sent`, `along` (unchanged, but part of the call), `unchanged`, `older` than what was delivered, or
      `superseded`.
    """

    attribute: str
    value: Scalar
    source: str
    fallback: int
    version_ms: int
    verdict: str


@dataclass(frozen=True, slots=True)
class PreviewedProfile:
    """A profile; one of several contacts appears once for each. `number`: its position, from 1. `call`: its call's number."""

    number: int
    contact: str
    outcome: str
    reason: str = ""
    detail: str = ""
    values: tuple[PreviewedValue, ...] = ()
    left_out: tuple[str, ...] = ()
    call: int | None = None


@dataclass(frozen=True, slots=True)
class PreviewedCall:
    """A call as it would be made. `profiles`: the numbers of the profiles that share it."""

    number: int
    method: str
    path: str
    body: dict[str, Any]
    profiles: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """The result of a preview. `received` counts each contact of a profile; `delivered_counts` is as given.

    `reasons` and `left_out` count by place and reason. `unmatched`: rows and segments for which no profile had a value,
    written or not. `profiles` and `calls` are only the first ones; `call_count` counts all calls.
    """

    destination: str
    state: str
    revealed: bool
    delivered_counts: bool
    received: int
    outcomes: dict[str, int]
    reasons: dict[str, int]
    left_out: dict[str, int]
    unmatched: tuple[str, ...]
    call_count: int
    calls_this_year: int
    calls_per_year: int
    profiles: tuple[PreviewedProfile, ...]
    calls: tuple[PreviewedCall, ...]

    @property
    def share_of_year(self) -> float:
        """The calls as a share of what the contract allows in a year."""
        return self.call_count / self.calls_per_year


def preview_profiles(
    resources: Resources,
    destination_id: str,
    profiles: Iterable[Any],
    *,
    reveal: bool = False,
    occurred_at_ms: int | None = None,
    backfill: bool = False,
    force: bool = False,
    shown: int = SHOWN,
    delivered_counts: bool = True,
) -> Preview:
    """Return what `enqueue` of these profiles with these arguments would do. Changes nothing, not even a cache.

    `profiles`: an `Excluded` among them stands for one that could not even be read.
    `reveal`: show values and contact keys instead of masking them. `shown`: how many profiles, with their calls, to
      describe.
    `delivered_counts`: False plans as if nothing had been delivered; whether a value is `unchanged` confirms a guess about
      it.

    Raises: `UnknownDestination`; `SealBroken`; `UsageError` if the account's fields are not known yet or the mapping does
    not fit them.
    """
    work = _Work(resources, destination_id, reveal=reveal, shown=shown, delivered_counts=delivered_counts)
    numbered = enumerate(profiles, 1)
    while batch := list(islice(numbered, TOGETHER)):
        work.take(batch, occurred_at_ms=occurred_at_ms, backfill=backfill, force=force)
    return work.conclude()


def preview_as_json(preview: Preview) -> dict[str, Any]:
    """Return everything as plain values, for programs."""
    return asdict(preview) | {"share_of_year": preview.share_of_year}


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A profile that has a contact and something to set."""

    number: int
    entry: Entry
    update: ContactUpdate
    read_from: Mapping[str, ReadFrom]

    def order(self, name: str) -> Order:
        return Order(self.update.values[name].version_ms, *self.entry.origin.stamp)


class _Work:
    def __init__(
        self, resources: Resources, destination_id: str, *, reveal: bool, shown: int, delivered_counts: bool
    ) -> None:
        connected = resources.destinations.connected(destination_id)
        catalog = resources.catalogs.get(destination_id)
        if catalog is None:
            raise UsageError(
                f"The fields of {destination_id} are not known yet.",
                remedy=f"`activation fields {destination_id} --refresh` reads them.",
            )
        self._r = resources
        self._destination = connected.destination
        self._pepper = connected.pepper
        self._mapping: CompiledMapping = compile_mapping(connected.destination, catalog)
        self._keys = ContactKeys(connected.destination)
        self._planner = Planner(connected.destination.options, self._mapping.email, connected.pepper)
        self._rows: dict[bytes, bytes | None] = {}  # what would have been delivered so far
        self._names: dict[str, str] = {}
        self._reveal = reveal
        self._shown = shown
        self._delivered_counts = delivered_counts
        self._outcomes: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._matched: set[str] = set()
        self._bad: set[str] = set()
        self._profiles: list[PreviewedProfile] = []
        self._calls: list[PreviewedCall] = []
        self._call_count = 0

    def take(self, batch: list[tuple[int, Any]], *, occurred_at_ms: int | None, backfill: bool, force: bool) -> None:
        """Plan profiles, given with their numbers, as if all of them waited together."""
        groups: dict[str, list[_Waiting]] = {}
        for number, profile in batch:
            for found in self._contacts(profile):
                if isinstance(found, Excluded):
                    self._exclude(number, "", found)
                    continue
                key, own = found
                stamp_ms, stamp_number = self._r.clock.stamp()
                occurred = stamp_ms if occurred_at_ms is None else occurred_at_ms
                update = self._mapping.resolve(own, occurred_at_ms=occurred, arrived_at_ms=stamp_ms, now_ms=stamp_ms)
                if isinstance(update, Excluded):
                    self._exclude(number, key, update)
                    if update.reason is Reason.NOTHING_MAPPED:
                        self._bad.update(place for place, _ in self._mapping.outside_dates(own, stamp_ms))
                    continue
                origin = Origin("", occurred, stamp_ms, stamp_number, FORCE * force + BACKFILL * backfill, b"")
                entry = Entry(b"", backfill, origin, attempts=0, first_tried_at_ms=0, sealed=b"")
                told = self._mapping.read_from(own) if number <= self._shown else {}
                groups.setdefault(key, []).append(_Waiting(number, entry, update, told))
        tags = {key: contact_tag(key, self._pepper) for key in groups}
        self._read_rows([tag for tag in tags.values() if tag not in self._rows])
        for key, group in groups.items():
            self._plan(key, tags[key], group)

    def _contacts(self, profile: Any) -> Iterator[tuple[str, Any] | Excluded]:
        """Yield a profile's contacts with what a delivery would read for each, or why there is none."""
        if isinstance(profile, Excluded):
            yield profile
            return
        readied = ready(profile)
        if isinstance(readied.json, Reason):
            yield Excluded(readied.json)
            return
        found = self._keys.split(orjson.loads(readied.json))
        if isinstance(found, Excluded):
            yield tell_namespaces(found, profile)
        else:
            yield from found

    def _read_rows(self, tags: list[bytes]) -> None:
        """Read what was delivered to contacts until now."""
        if not self._delivered_counts:
            self._rows |= dict.fromkeys(tags)
            return
        keys, holdings = DestinationKeys(self._destination.id), self._destination.holdings
        with self._r.redis.pipeline(transaction=False) as pipeline:
            for tag in tags:
                pipeline.hget(keys.lane(lane_of(tag)).delivered(holdings), tag)
            self._rows |= dict(zip(tags, pipeline.execute(), strict=True))

    def _plan(self, key: str, tag: bytes, group: list[_Waiting]) -> None:
        row = decode(self._rows[tag])
        merged = self._planner.merge([(one.entry, one.update) for one in group], row)
        if merged.send and self._planner.lacks_email(merged, row):
            for one in group:
                self._exclude(one.number, key, Excluded(Reason.MISSING_EMAIL))
            return
        values: Mapping[str, Scalar] = {}
        if merged.send:
            values = self._planner.values(merged, row, post=False)
            self._call_count += 1
            if group[0].number <= self._shown:
                self._calls.append(self._tell_call(key, values, merged, group))
        self._rows[tag] = encode(merged.after, group[-1].entry.origin.stamp_ms)
        for position, one in enumerate(group):
            outcome = _outcome(merged, position)
            self._outcomes[outcome] += 1
            self._left_out.update(map(str, one.update.left_out))
            self._matched.update(name for name, item in one.update.values.items() if item.value != "")
            self._bad.update(place for place, _ in one.update.left_out)
            if one.number <= self._shown:
                self._profiles.append(
                    PreviewedProfile(
                        number=one.number,
                        contact=self._name(key),
                        outcome=outcome,
                        values=tuple(self._tell_values(merged, position, group, values)),
                        left_out=tuple(map(str, one.update.left_out)),
                        call=self._call_count if outcome is Outcome.DELIVERED else None,
                    )
                )

    def _exclude(self, number: int, key: str, excluded: Excluded) -> None:
        self._outcomes[Outcome.EXCLUDED] += 1
        reason = str(excluded.reason)  # plain text: orjson accepts no enum as a key
        self._reasons[f"{reason}|{excluded.detail}" if excluded.detail else reason] += 1
        if number <= self._shown:
            contact = self._name(key) if key else ""
            self._profiles.append(PreviewedProfile(number, contact, Outcome.EXCLUDED, excluded.reason, excluded.detail))

    # -- telling -------------------------------------------------------------------------------------------------------

    def _tell_call(
        self, key: str, values: Mapping[str, Scalar], merged: Merged, group: list[_Waiting]
    ) -> PreviewedCall:
        told = {name: self._value(value) for name, value in values.items()}
        body: dict[str, Any] = orjson.loads(self._mapping.body(self._name(key), told))
        sharing = tuple(group[position].number for position in merged.contributing)
        return PreviewedCall(self._call_count, "PATCH", "/contacts/v1/contacts", body, sharing)

    def _tell_values(
        self, merged: Merged, position: int, group: list[_Waiting], call: Mapping[str, Scalar]
    ) -> Iterator[PreviewedValue]:
        one = group[position]
        for name, item in one.update.values.items():
            orders = [other.order(name) for other in group if name in other.update.values]
            if one.order(name) != max(orders):
                verdict = "superseded"
            elif name in merged.send:
                verdict = "sent"
            elif name not in merged.full:
                verdict = "older"
            else:
                verdict = "along" if name in call else "unchanged"
            source, fallback = one.read_from[name]
            yield PreviewedValue(name, self._value(item.value), source, fallback, item.version_ms, verdict)

    def _name(self, key: str) -> str:
        return key if self._reveal else self._names.setdefault(key, f"<contact {len(self._names) + 1}>")

    def _value(self, value: Scalar) -> Scalar:
        return value if self._reveal else masked(value)

    def conclude(self) -> Preview:
        destination = self._destination
        quota = read_quota(self._r.redis, destination.account.key, calls_per_year=destination.limits.calls_per_year)
        places = self._mapping.places()
        return Preview(
            destination=destination.id,
            state=str(self._r.states.get(destination.id).status),
            revealed=self._reveal,
            delivered_counts=self._delivered_counts,
            received=sum(self._outcomes.values()),
            outcomes={str(outcome): self._outcomes[outcome] for outcome in OUTCOMES},
            reasons=dict(self._reasons),
            left_out=dict(self._left_out),
            unmatched=tuple(
                place for name, place in places.items() if name not in self._matched and place not in self._bad
            ),
            call_count=self._call_count,
            calls_this_year=quota.used,
            calls_per_year=quota.allowed,
            profiles=tuple(sorted(self._profiles, key=lambda one: one.number)),
            calls=tuple(self._calls),
        )


def masked(value: Scalar) -> str:
    """Return the kind of a value instead of the value."""
    if isinstance(value, bool):
        return "<true or false>"
    if isinstance(value, str):
        return f"<text of {len(value)}>" if value else ""
    return "<number>"


def _outcome(merged: Merged, position: int) -> Outcome:
    if position in merged.contributing:
        return Outcome.DELIVERED
    return Outcome.UNCHANGED if position in merged.unchanged else Outcome.SUPERSEDED
