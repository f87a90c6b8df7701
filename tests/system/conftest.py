from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.system.rig import Rig


@pytest.fixture
def make_rig(tmp_path: Any) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(**changes: Any) -> Rig:
        rigs.append(Rig(tmp_path / f"home{len(rigs)}", **changes))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
