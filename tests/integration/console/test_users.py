"""What happens to a user while a password is hashed is not undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from argon2 import PasswordHasher
from argon2.low_level import Type

from app.access.roles import Role
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
