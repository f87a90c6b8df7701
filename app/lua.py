"""The Lua scripts of a package, loaded from the `.lua` files in it and bound to a connection.

Scripts with `flags=allow-oom` (Redis 7 and later) can write even when Redis has reached its memory limit.
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
    """Return the name that Redis gives to a script."""
    return hashlib.sha1(source(package, name).encode(), usedforsecurity=False).hexdigest()


def script(redis: Redis, package: str, name: str) -> Script:
    """Return a script called by its hash; redis-py loads it again by itself after a restart of the server."""
    return redis.register_script(source(package, name))


def write(redis: Redis, *commands: Sequence[Word], keys: Sequence[str], only_with: str = "") -> bool:
    """Carry out commands in one step, even when Redis is full.

    `keys`: all keys that the commands name, with the same hash tag. `only_with`: a key that must exist; otherwise nothing
      is done and False is returned.
    """
    words: list[Word] = ["guarded" if only_with else ""]
    for command in commands:
        words += [len(command), *command]
    return bool(script(redis, "app", "write")(keys=[only_with or keys[0], *keys], args=words) == 1)
