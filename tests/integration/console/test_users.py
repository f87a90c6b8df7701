"""What happens to a user while a password is hashed is not undone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import PasswordHasher
from argon2.low_level import Type

from app.access import users as users_module
from app.access.roles import Role
from app.access.turns import TooBusy
from app.access.users import Users
from app.errors import UsageError
from app.sealing import KeyRing, make_key

PASSWORD = "correct horse battery"


class Interrupted(PasswordHasher):
    """A hasher during whose work something else happens."""

    meanwhile: Callable[[], Any] | None = None

    def hash(self, password: Any, **more: Any) -> str:
        if self.meanwhile is not None:
            self.meanwhile()
        return super().hash(password, **more)


QUICK = {"time_cost": 1, "memory_cost": 64, "parallelism": 1, "type": Type.ID}
CHANGES: dict[str, Callable[[Users], Any]] = {
    "removed": lambda users: users.remove("bob"),
    "demoted": lambda users: users.add("bob", Role.VIEW, now_ms=2),
    "removed and added": lambda users: (users.remove("bob"), users.add("bob", Role.VIEW, now_ms=2)),
    "another password": lambda users: users.choose_password("bob", PASSWORD + " of an operator"),
}


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing([make_key()])


@pytest.fixture
def rig(redis, ring) -> tuple[Users, Users, Interrupted]:
    """Users of two processes, and the hasher of the first, where `bob` may manage."""
    hasher = Interrupted(**QUICK)
    ours, others = Users(redis, ring, hasher), Users(redis, ring, PasswordHasher(**QUICK))
    others.add("bob", Role.MANAGE, now_ms=1)
    return ours, others, hasher


@pytest.mark.parametrize("change", CHANGES)
def test_a_password_is_not_chosen_for_a_user_who_was_changed_meanwhile(rig, change):
    ours, others, hasher = rig
    expected = []

    def meanwhile() -> None:
        CHANGES[change](others)
        expected.append(others.get("bob"))

    hasher.meanwhile = meanwhile
    with pytest.raises(UsageError, match="meanwhile"):
        ours.choose_password("bob", PASSWORD)
    assert [others.get("bob")] == expected


@pytest.mark.parametrize("change", CHANGES)
def test_a_sign_in_that_hashes_anew_undoes_nothing(rig, redis, ring, change):
    _, others, _ = rig
    others.choose_password("bob", PASSWORD)
    stronger = Interrupted(**QUICK | {"time_cost": 2})
    ours = Users(redis, ring, stronger)
    expected = []

    def meanwhile() -> None:
        CHANGES[change](others)
        expected.append(others.get("bob"))

    stronger.meanwhile = meanwhile  # Users has hashed for names that nobody has before
    assert ours.verify("bob", PASSWORD) is not None
    assert [others.get("bob")] == expected


def test_a_sign_in_hashes_anew_when_nothing_else_happens(rig, redis, ring):
    _, others, _ = rig
    before = others.choose_password("bob", PASSWORD)
    stronger = Users(redis, ring, PasswordHasher(**QUICK | {"time_cost": 2}))
    found = stronger.verify("bob", PASSWORD)
    assert found == others.get("bob")
    assert "t=2" in found.password_hash
    assert found.generation == before.generation


def test_users_can_be_changed_while_redis_is_full(rig, redis):
    ours, _, _ = rig
    redis.config_set("maxmemory", 1_000_000)
    try:
        ours.add("bob", Role.VIEW, now_ms=2)
        assert ours.choose_password("bob", PASSWORD).role is Role.VIEW
    finally:
        redis.config_set("maxmemory", 0)


def test_passwords_are_hashed_two_at_a_time(redis, ring):
    """Each hash takes 64 MiB: many at once would end the process."""
    inside, most, lock = 0, 0, threading.Lock()

    class Watched(PasswordHasher):
        def verify(self, *given: Any, **more: Any) -> Any:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            try:
                return super().verify(*given, **more)
            finally:
                with lock:
                    inside -= 1

    users = Users(redis, ring, Watched(**QUICK | {"memory_cost": 8192}))

    def sign_in(number: int) -> str:
        try:
            return str(users.verify(f"u{number}", "x"))
        except TooBusy:
            return "busy"

    with ThreadPoolExecutor(30) as threads:
        found = list(threads.map(sign_in, range(30)))
    assert most == 2
    assert set(found) == {"None", "busy"}


def test_a_password_that_found_no_turn_leaves_its_link_whole(redis, ring, monkeypatch):
    monkeypatch.setattr(users_module, "HASHES_WAITING", 0)
    monkeypatch.setattr(users_module, "HASH_WAIT_SECONDS", 0.01)
    hasher = Interrupted(**QUICK)
    users = Users(redis, ring, hasher)
    users.add("ann", Role.VIEW, now_ms=1)
    used = []

    def meanwhile() -> None:  # both turns are taken while this runs
        hasher.meanwhile = nested if hasher.meanwhile is meanwhile else None
        users.choose_password("ann", PASSWORD, before=lambda: used.append(1))

    def nested() -> None:
        with pytest.raises(TooBusy):
            users.choose_password("ann", PASSWORD, before=lambda: used.append(2))

    hasher.meanwhile = meanwhile
    with pytest.raises(UsageError, match="meanwhile"):
        users.choose_password("ann", PASSWORD, before=lambda: used.append(3))
    assert used == [1, 3]
