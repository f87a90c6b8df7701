"""The Lua scripts of a package, loaded from the `.lua` files beside it and bound to a connection."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script


@cache
def source(package: str, name: str) -> str:
    return files(package).joinpath(f"{name}.lua").read_text()


def script(redis: Redis, package: str, name: str) -> Script:
    """A script called by its hash; redis-py loads it again by itself after a restart of the server."""
    return redis.register_script(source(package, name))
