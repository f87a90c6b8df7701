"""Who runs in a home is told by locks."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from threading import Thread, Timer

import pytest

from app.devstack.home import LOOK_SECONDS, Home, Lock
from app.errors import UsageError


def test_a_lock_that_somebody_looks_at_can_be_taken(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "run" / "stack.lock")
    lock.path.parent.mkdir()
    looking = os.open(lock.path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    end = Timer(LOOK_SECONDS / 5, os.close, [looking])
    end.start()
    handle = lock.take()
    end.join()
    assert handle is not None
    os.close(handle)


def test_those_who_look_do_not_take_each_other_for_the_holder(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "run" / "stack.lock")
    handle = lock.take()
    assert handle is not None
    os.close(handle)
    found: set[int | None] = set()

    def look() -> None:
        found.update(lock.holder() for _ in range(2_000))

    lookers = [Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    for looker in lookers:
        looker.join()
    assert found == {None}


def test_a_lock_that_is_held_cannot_be_taken(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "run" / "stack.lock")
    held = lock.take()
    assert held is not None
    lock.name_holder(held, os.getpid())
    assert (lock.take(), lock.holder()) == (None, os.getpid())
    os.close(held)
    assert lock.holder() is None


def test_a_home_that_cannot_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: File name too long"):
        Home(tmp_path / ("x" * 300)).expect()
