"""Stores the connected destinations in Redis, sealed, since each holds a client secret."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, cast

import orjson
from redis.exceptions import NoPermissionError

from app.destinations.model import Destination, dump, restore, without_secret
from app.errors import OtherBuild, SealBroken, UnknownDestination
from app.ids import DESTINATION_ID
from app.keys import ACCOUNTS, CATALOGS, DESTINATIONS, LANES, AccountKeys, DestinationKeys
from app.lua import write
from app.other_builds import known_fields
from app.sealing import Scope

if TYPE_CHECKING:
    from redis import Redis

    from app.sealing import KeyRing

_PEPPER_BYTES = 32
_UNLINK_BATCH = 500


@dataclass(frozen=True, slots=True)
class Connected:
    """A destination as connected now. `epoch`: what its lanes work for."""

    destination: Destination
    pepper: bytes = field(repr=False)
    epoch: str


@dataclass(frozen=True, slots=True)
class About:
    """What metrics and the like need to know of a destination, stored in clear: names and limits, nothing secret."""

    name: str
    account: str
    calls_per_minute: int
    calls_per_year: int
    max_in_flight: int = 10
    stop_at_yearly_quota: bool = False


class Directory:
    """Which destinations are connected, and what is readable about them without a key."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def ids(self) -> list[str]:
        """Return the ids of all connected destinations, sorted. One may be disconnected before it is read."""
        members = cast("set[bytes]", self._redis.smembers(DESTINATIONS))
        return sorted(member.decode() for member in members)

    def about(self, destination_id: str) -> About:
        """Return what is stored in clear. Raises: `UnknownDestination`."""
        raw = cast("bytes | None", self._redis.get(DestinationKeys(destination_id).about))
        if raw is None:
            raise self._unknown(destination_id)
        try:
            return About(**known_fields(About, orjson.loads(raw)))
        except TypeError:  # written by a build that stored less
            raise self._unknown(destination_id) from None

    def _unknown(self, destination_id: str) -> UnknownDestination:
        try:
            return UnknownDestination(destination_id, self.ids())
        except NoPermissionError:  # producers and the intake may not list destinations
            return UnknownDestination(destination_id)

    def secret_since_ms(self, destination_id: str) -> int | None:
        """Return when the current client secret was first connected; None if that was before this was recorded."""
        raw = cast("bytes | None", self._redis.get(DestinationKeys(destination_id).secret_since))
        return None if raw is None else int(raw)


class DestinationStore(Directory):
    """The connected destinations. Safe to share between threads; an opened destination is cached until its bytes change."""

    def __init__(self, redis: Redis, ring: KeyRing) -> None:
        super().__init__(redis)
        self._ring = ring
        self._opened: dict[str, tuple[list[bytes | None], Destination]] = {}
        self._peppers: dict[str, tuple[bytes, bytes]] = {}

    def save(self, destination: Destination) -> None:
        """Connect or replace a destination. Its backlog and pepper stay, and its delivered state if the account is the same.

        Both secrets are sealed with the ring's first key, so saving again moves them to a new key.

        Raises: `SealBroken` if the existing pepper cannot be opened.
        """
        keys = DestinationKeys(destination.id)
        try:
            pepper = self.pepper(destination.id)
        except UnknownDestination:
            pepper = secrets.token_bytes(_PEPPER_BYTES)
        try:
            before = self.get(destination.id)
            holdings, secret = before.holdings, before.account.client_secret
        except (UnknownDestination, SealBroken):
            holdings = secret = ""
        now = self._redis.time()
        since = (
            "SET",
            keys.secret_since,
            now[0] * 1000,
            *(("NX",) if secret == destination.account.client_secret else ()),
        )
        write(
            self._redis,
            ("SET", keys.pepper, self._ring.seal(pepper, _pepper_purpose(destination.id))),
            ("SET", keys.config, self._ring.seal(dump(without_secret(destination)), _purpose(destination.id))),
            (
                "SET",
                keys.secret,
                self._ring.seal(destination.account.client_secret.encode(), _secret_purpose(destination)),
            ),
            ("SET", keys.about, _about(destination)),
            ("SET", keys.epoch, _epoch(destination, pepper, cast("bytes | None", self._redis.get(keys.epoch)))),
            since,
            keys=[keys.pepper, keys.config, keys.secret, keys.about, keys.epoch, keys.secret_since],
        )
        write(self._redis, ("SADD", DESTINATIONS, destination.id), keys=[DESTINATIONS])
        write(self._redis, ("SADD", ACCOUNTS, destination.account.key), keys=[ACCOUNTS])
        if holdings != destination.holdings:
            self._forget_other_holdings(destination)
        self._forget_unused_accounts()

    def connected(self, destination_id: str) -> Connected:
        """Return the destination with its pepper and epoch. Raises: `UnknownDestination`; `SealBroken`."""
        destination, keys = self.get(destination_id), DestinationKeys(destination_id)
        sealed, epoch = cast("list[bytes | None]", self._redis.mget(keys.pepper, keys.epoch))
        pepper = self._open_pepper(destination_id, sealed)
        return Connected(destination, pepper, _epoch(destination, pepper, epoch))

    def get(self, destination_id: str) -> Destination:
        """Return a destination by one MGET, opened and parsed only if it changed.

        Without keys for accounts, the client secret is ''.

        Raises: `UnknownDestination`; `SealBroken`; `OtherBuild`.
        """
        if not DESTINATION_ID.allows(destination_id):
            raise UnknownDestination(str(destination_id))
        keys = DestinationKeys(destination_id)
        config, secret = sealed = cast("list[bytes | None]", self._redis.mget(keys.config, keys.secret))
        if config is None or secret is None:
            self._opened.pop(destination_id, None)
            if config is not None:  # disconnecting deletes `config` before `secret`
                raise OtherBuild(
                    f"The record of destination {destination_id} was written by another build, and this one cannot read it.",
                    remedy="Let all processes run one build, then `activation connect FILE` again.",
                )
            raise self._unknown(destination_id)
        known = self._opened.get(destination_id)
        if known is None or known[0] != sealed:
            destination = restore(self._ring.open(config, _purpose(destination_id)), client_secret="")
            if self._ring.opens(Scope.ACCOUNT):
                client_secret = self._ring.open(secret, _secret_purpose(destination)).decode()
                account = replace(destination.account, client_secret=client_secret)
                destination = replace(destination, account=account)
            known = (sealed, destination)
            self._opened[destination_id] = known
        return known[1]

    def pepper(self, destination_id: str) -> bytes:
        """Return the 32 random bytes that key the contact tags and value digests, constant while the destination is connected.

        They are read each time: a destination that was disconnected and connected again has others.
        """
        sealed = cast("bytes | None", self._redis.get(DestinationKeys(destination_id).pepper))
        return self._open_pepper(destination_id, sealed)

    def _open_pepper(self, destination_id: str, sealed: bytes | None) -> bytes:
        if sealed is None:
            self._peppers.pop(destination_id, None)
            raise self._unknown(destination_id)
        known = self._peppers.get(destination_id)
        if known is None or known[0] != sealed:
            known = (sealed, self._ring.open(sealed, _pepper_purpose(destination_id)))
            self._peppers[destination_id] = known
        return known[1]

    def remove(self, destination_id: str) -> None:
        """Disconnect a destination: delete everything that belongs to it, including its backlog.

        Can be repeated if interrupted.

        What belongs to the account (its rate, its calls of this year) stays, even if account and destination have the same
        name.

        Raises: `UnknownDestination`.
        """
        keys = DestinationKeys(destination_id)
        # without an epoch no producer, worker or operator writes anything for it any more
        if not self._redis.delete(keys.epoch, keys.config) and not self._redis.sismember(DESTINATIONS, destination_id):
            raise UnknownDestination(destination_id)
        account = AccountKeys(destination_id)
        stays = {
            name.encode() for name in (account.pace, account.permits, account.shares, account.observed, account.calls)
        }
        tokens = account.token("").encode()
        batch: list[bytes] = []
        for key in self._redis.scan_iter(match=keys.everything, count=1000):
            if key in stays or key.startswith(tokens):
                continue
            batch.append(key)
            if len(batch) >= _UNLINK_BATCH:
                self._redis.unlink(*batch)
                batch.clear()
        if batch:
            self._redis.unlink(*batch)
        self._redis.srem(DESTINATIONS, destination_id)
        self._redis.zrem(CATALOGS, destination_id)
        self._opened.pop(destination_id, None)
        self._peppers.pop(destination_id, None)
        self._forget_unused_accounts()

    def count_delivered(self, destination_id: str) -> int:
        """Return for how many contacts it is known what was delivered."""
        return self._count(self._delivered(destination_id))

    def forget_delivered(self, destination_id: str) -> int:
        """Drop the delivered state of every contact; returns of how many. Versions go too, so an old update may be sent again.

        A new epoch begins in the same step, because running sessions know the old state and would write it back.

        Raises: `UnknownDestination`; `SealBroken`.
        """
        connected, keys = self.connected(destination_id), DestinationKeys(destination_id)
        known = self._delivered(destination_id)
        contacts = self._count(known)
        mine = {keys.lane(lane).delivered(connected.destination.holdings) for lane in range(LANES)}
        found = {key.decode() for key in known} | mine
        epoch = f"{connected.destination.epoch(connected.pepper)}-{secrets.token_hex(4)}"
        write(
            self._redis, ("SET", keys.epoch, epoch), ("UNLINK", *found), keys=[keys.epoch, *found], only_with=keys.epoch
        )
        return contacts

    def _count(self, delivered: Iterable[bytes]) -> int:
        return sum(int(self._redis.hlen(key)) for key in delivered)

    def _delivered(self, destination_id: str) -> list[bytes]:
        return list(self._redis.scan_iter(match=DestinationKeys(destination_id).every_lane.delivered("*"), count=1000))

    def _forget_other_holdings(self, destination: Destination) -> None:
        """Drop what was delivered to another account or business unit; it says nothing about this one."""
        mine = f":{destination.holdings}".encode()
        if found := [key for key in self._delivered(destination.id) if not key.endswith(mine)]:
            self._redis.unlink(*found)

    def _forget_unused_accounts(self) -> None:
        known = cast("set[bytes]", self._redis.smembers(ACCOUNTS))
        used = set()
        for destination_id in self.ids():
            try:
                used.add(self.about(destination_id).account.encode())
            except UnknownDestination:
                continue  # is being disconnected
        if unused := known - used:
            self._redis.srem(ACCOUNTS, *unused)


def _epoch(destination: Destination, pepper: bytes, stored: bytes | None) -> str:
    """Return the destination's epoch.

    A `stored` one keeps the mark of a `forget_delivered` since the destination was connected.
    """
    epoch = destination.epoch(pepper)
    known = (stored or b"").decode()
    return known if known.startswith(f"{epoch}-") else epoch


def _purpose(destination_id: str) -> bytes:
    return b"destination:" + destination_id.encode()


def _secret_purpose(destination: Destination) -> bytes:
    """Return what the secret is sealed for: its destination, client and hosts.

    The rest of a destination is sealed with a data key, which alone must not redirect the secret.
    """
    account = destination.account
    bound = (destination.id, account.client_id, account.account_id or "", account.auth_base_url, account.rest_base_url)
    return b"account:" + "\0".join(bound).encode()


def _about(destination: Destination) -> bytes:
    limits = destination.limits
    about = About(
        destination.name,
        destination.account.key,
        limits.calls_per_minute,
        limits.calls_per_year,
        limits.max_in_flight,
        limits.stop_at_yearly_quota,
    )
    return orjson.dumps(asdict(about))


def _pepper_purpose(destination_id: str) -> bytes:
    return b"pepper:" + destination_id.encode()
