"""Whatever comes in: a few hundred cases in `make test`, more than ten thousand in `make fuzz`, which chooses the profile `fuzz`.

Each case has to end in a clear error or in one outcome. Every text that is made up carries MARK, which is then looked for where
nothing personal may be.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.fuzz.cases import MARK
from tests.integration.conftest import redis, redis_port, redis_url, sandbox_port

__all__ = ["redis", "redis_port", "redis_url", "sandbox_port"]

settings.register_profile("fuzz", deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


class Records(logging.Handler):
    """All that is logged, at every level, as the processes of the pipeline would write it."""

    def __init__(self) -> None:
        from app.logs import Discreet

        super().__init__(logging.DEBUG)
        self.setFormatter(Discreet())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("hypothesis"):
            self.lines.append(self.format(record))

    def marked(self) -> list[str]:
        return [line for line in self.lines if MARK.lower() in line.lower()]


@pytest.fixture
def records() -> Iterator[Records]:
    handler, root = Records(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)
