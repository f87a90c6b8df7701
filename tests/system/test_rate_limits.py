"""The rate limits of tasks hold while messages queue up: in stock Celery they collapse then (celery#5927)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.system.rig import Rig

# nobody is connected by this name: a wake-up for it does nothing, at the time it is run
NOBODY = "nobody"
STARTED = re.compile(r"^\[([\d-]+ [\d:]+,\d+): INFO/.*Task activation.deliver\[.*\] succeeded", re.MULTILINE)
SPAN_SECONDS = 5.0


def starts(rig: Rig) -> list[float]:
    """When the worker ran a wake-up, in seconds, from its log."""
    log = (rig.stack.logs / "worker-1.log").read_text()
    return sorted(datetime.fromisoformat(when.replace(",", ".")).timestamp() for when in STARTED.findall(log))


@pytest.mark.parametrize(("rate_limit", "per_second", "waiting"), [("10/s", 10, 300), ("100/s", 100, 900)])
def test_holds_under_backlog(
    make_rig: Callable[..., Rig], capsys: Any, rate_limit: str, per_second: int, waiting: int
) -> None:
    rig = make_rig(workers=1, beat=False, deliver_rate_limit=rate_limit, soft_shutdown_seconds=0.0)
    rig.waker.wake(NOBODY, range(waiting))
    rig.start()

    def span() -> float:
        seen = starts(rig)
        return seen[-1] - seen[0] if seen else 0.0

    rig.wait_until(lambda: span() >= SPAN_SECONDS, "a span to count over", 60)
    seen = starts(rig)
    rate = (len(seen) - 1) / (seen[-1] - seen[0])
    with capsys.disabled():
        print(f"\n{rate_limit}: {rate:.1f}/s, {len(seen)} in {seen[-1] - seen[0]:.1f} s")
    assert len(seen) < waiting, "some waited all the time"
    assert rate / per_second <= 1.1
    assert rate / per_second >= 0.5, "stock Celery comes to 0.04; what lacks to 1 is how busy the machine is"
