from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.integration.sandbox.client import Sandbox, start, stop

_names = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    process, url = start()
    yield url
    code, errors = stop(process)
    assert (code, errors) == (0, "")


@pytest.fixture
def sandbox(server: str) -> Iterator[Sandbox]:
    """A tenant of its own for each test."""
    one = Sandbox(f"{server}/t/mc-{next(_names)}")
    with one.http:
        yield one
