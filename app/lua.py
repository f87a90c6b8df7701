"""The Lua scripts of a package, loaded from the `.lua` files beside it and bound to a connection.

Scripts with `flags=allow-oom` (Redis 7 and later) also write when Redis has reached its limit of memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis import Redis
    from redis.commands.core import Script

Word = str | bytes | int | float


@cache
def source(package: str, name: str) -> str:
    return files(package).joinpath(f"{name}.lua").read_text()


@cache
def sha(package: str, name: str) -> str:
    """The name that Redis gives to a script."""
    return hashlib.sha1(source(package, name).encode(), usedforsecurity=False).hexdigest()


def script(redis: Redis, package: str, name: str) -> Script:
    """A script called by its hash; redis-py loads it again by itself after a restart of the server."""
    return redis.register_script(source(package, name))


def write(redis: Redis, *commands: Sequence[Word], keys: Sequence[str], only_with: str = "") -> bool:
    """Carry out commands in one step, also when Redis is full.

    `keys` are those that they name, all of one hash tag. False, and nothing is done, when the key `only_with` is not there.
    """
    words: list[Word] = ["guarded" if only_with else ""]
    for command in commands:
        words += [len(command), *command]
    return bool(script(redis, "app", "write")(keys=[only_with or keys[0], *keys], args=words) == 1)
