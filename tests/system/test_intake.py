"""A platform that exports to the intake, through faults of Redis and of the intake: nothing lost, nothing older on top."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests

from app.devstack.stack import port_from
from app.intake.sources import SourceStore
from tests.system.platform import Platform
from tests.system.rig import SEGMENTS, Rig

FIRST = "Email Demographics.First Name"


class Exporting:
    """A whole pipeline with the intake, and the platform that sends to it."""

    def __init__(self, rig: Rig, *, basic: bool, scale: float) -> None:
        self.rig = rig
        rig.connect()  # it names contactKey, which the platform writes in small letters
        rig.start()
        _, key = SourceStore(rig.redis, rig.resources.ring).add("aep", ["camp"])
        self.ports = {}
        for name in ("intake-1", "intake-2"):
            port = self.ports[name] = port_from(0)
            rig.stack.start(name, [sys.executable, "-m", "app.cli", "intake", "--port", str(port)])
        for name in self.ports:
            rig.wait_until(lambda name=name: self.ready(name), f"{name} is ready")
        bases = [f"http://127.0.0.1:{port}" for port in self.ports.values()]
        self.platform = Platform(bases, "camp", ("aep", key), list(SEGMENTS), basic=basic, scale=scale)

    def ready(self, name: str) -> bool:
        with suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{self.ports[name]}/readyz", timeout=5).status_code == 200
        return False

    def write(self, seconds: float, contacts: int, dice: random.Random) -> None:
        """Change profiles for a while, looking after what has died."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for _ in range(10):
                self.platform.write(dice.randrange(contacts), segment=dice.choice([None, "seg-1", "seg-2"]))
            self.rig.stack.look_after()
            time.sleep(0.05)

    def finish(self, timeout_seconds: float) -> None:
        self.rig.wait_until(lambda: self.platform.quiet, "all is exported", timeout_seconds)
        self.platform.end()
        assert self.platform.lost == []
        self.rig.settled(self.platform.jobs, timeout_seconds)

    def differences(self) -> list[str]:
        held = self.rig.contacts()
        found = []
        for person in self.platform.people.values():
            contact = held.get(person.key, {})
            expected = {FIRST: f"revision {person.revision}"} | {
                f"Email Demographics.{SEGMENTS[segment]}": status for segment, (status, _) in person.statuses.items()
            }
            found += [
                f"{person.key}: {name} is {contact.get(name)!r}, not {value!r}"
                for name, value in expected.items()
                if contact.get(name) != value
            ]
        return found

    # -- faults

    def pause_redis(self) -> None:
        os.kill(self.rig.stack.pid("redis"), signal.SIGSTOP)

    def resume_redis(self) -> None:
        os.kill(self.rig.stack.pid("redis"), signal.SIGCONT)

    def kill_redis(self) -> None:
        self.rig.kill("redis")

    def end_intake(self, name: str, number: int) -> None:
        """One intake is killed, or told to stop as by an upgrade; the other goes on. The stack starts it again."""
        self.rig.kill(name, number)

    def back(self, name: str) -> None:
        self.rig.wait_until(lambda: self.ready(name), f"{name} is back")


@pytest.fixture
def exporting(make_rig: Callable[..., Rig]) -> Iterator[Callable[..., Exporting]]:
    made: list[Exporting] = []

    def make(**how: Any) -> Exporting:
        made.append(Exporting(make_rig(workers=2), **how))
        return made[-1]

    yield make
    for one in made:
        with suppress(ProcessLookupError):
            one.resume_redis()
        one.platform.end()


def told(exporting: Exporting, name: str, capsys: Any) -> None:
    platform = exporting.platform
    writes = sum(one.revision for one in platform.people.values())
    with capsys.disabled():
        print(
            f"\n{name}: {writes:,} writes of {len(platform.people)} profiles, "
            f"{platform.calls:,} calls {dict(sorted(platform.statuses.items()))}, {platform.repeats} sent again"
        )


@pytest.mark.parametrize("basic", [False, True], ids=["body", "basic"])
def test_a_backfill_and_updates_through_faults(exporting: Callable[..., Exporting], basic: bool, capsys: Any) -> None:
    made = exporting(basic=basic, scale=0.5)
    dice = random.Random(5)
    for number in range(300):  # an audience is mapped: all of it comes at once
        made.platform.write(number, segment="seg-1")
    made.write(1.0, 60, dice)
    made.pause_redis()
    made.write(3.0, 60, dice)
    made.resume_redis()
    made.write(3.0, 60, dice)
    made.kill_redis()
    made.write(4.0, 60, dice)
    for name, number in (("intake-1", signal.SIGTERM), ("intake-2", signal.SIGKILL)):
        made.end_intake(name, number)
        made.write(2.0, 60, dice)
        made.back(name)
    made.finish(120)
    told(made, "a platform through faults", capsys)
    assert made.platform.repeats > 0
    assert made.platform.tokens <= 6
    assert 401 not in made.platform.statuses
    assert made.differences() == []


@pytest.mark.drill
def test_intake_processes_are_killed_all_the_time(exporting: Callable[..., Exporting], capsys: Any) -> None:
    made = exporting(basic=False, scale=0.5)
    dice = random.Random(7)
    for number in range(3_000):
        made.platform.write(number, segment="seg-1")
    for turn in range(8):
        name = f"intake-{turn % 2 + 1}"
        made.end_intake(name, signal.SIGKILL if turn % 4 < 3 else signal.SIGTERM)
        made.write(2.0, 400, dice)
        made.back(name)
        made.write(3.0, 400, dice)
    made.finish(240)
    told(made, "intake processes killed", capsys)
    assert sum(name.startswith("intake") for name in made.rig.stack.restarts) == 8
    assert made.differences() == []
