"""How hypothesis works here, and in which order tests run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole pipelines first: one that takes a minute must not be left to one process of xdist while the other has nothing to do."""
    items.sort(key=lambda item: "system" not in item.path.parts)
