"""A body that does not come in time ends, sooner once the intake is to stop; nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from app.event_loop import EVENT_LOOP
from app.serving import body_time
from app.serving.body_time import BodyTime

AGES = 60.0


async def reading(limits: BodyTime, coming: asyncio.Future[str]) -> str:
    with limits.limit():
        return await coming


def read(change: Callable[[BodyTime, asyncio.Task[str], asyncio.Future[str]], None], *, stopping: bool = False) -> str:
    """What came of the reading of one body, after a change while it is waited for."""

    async def run() -> str:
        limits = BodyTime()
        if stopping:
            limits.begin_to_stop()
        coming: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(reading(limits, coming))
        await asyncio.sleep(0)
        assert len(limits.reading) == 1
        change(limits, task, coming)
        try:
            return await task
        except asyncio.CancelledError:
            return "cancelled"
        except TimeoutError:
            assert not task.cancelled()
            return "too late"
        finally:
            assert not limits.reading
            assert not task.cancelling() or task.cancelled()

    return EVENT_LOOP.run(asyncio.wait_for(run(), AGES / 2))


@pytest.fixture(autouse=True)
def ages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_time, "BODY_SECONDS", AGES)
    monkeypatch.setattr(body_time, "STOPPING_SECONDS", AGES)


def test_what_comes_in_time_is_read() -> None:
    assert read(lambda limits, task, coming: coming.set_result("a body")) == "a body"


def test_what_does_not_come_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_time, "BODY_SECONDS", 0.01)
    assert read(lambda limits, task, coming: None) == "too late"


def test_what_is_waited_for_ends_sooner_once_the_intake_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_time, "STOPPING_SECONDS", 0.01)
    assert read(lambda limits, task, coming: limits.begin_to_stop()) == "too late"
    assert read(lambda limits, task, coming: None, stopping=True) == "too late"


def test_who_is_cancelled_is_not_late() -> None:
    def cancel(limits: BodyTime, task: asyncio.Task[str], coming: asyncio.Future[str]) -> None:
        task.cancel()

    assert read(cancel) == "cancelled"


def test_who_is_cancelled_at_the_very_end_is_not_late() -> None:
    """Both in one turn of the loop: who cancels has to see that the task ended so."""

    def cancel(limits: BodyTime, task: asyncio.Task[str], coming: asyncio.Future[str]) -> None:
        [limit] = limits.reading
        limit.end_in(0)
        asyncio.get_running_loop().call_later(0, task.cancel)

    assert read(cancel) == "cancelled"


def test_a_fault_in_what_is_read_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="broken"):
        read(lambda limits, task, coming: coming.set_exception(ValueError("broken")))
