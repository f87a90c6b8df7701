"""What a program outside the stack on this machine needs from it: the addresses of its servers and its keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from app.devstack.home import Home
from app.devstack.private_redis import PrivateRedis
from app.devstack.stack import STACK
from app.errors import UsageError

if TYPE_CHECKING:
    from app.settings import Settings


def with_running_stack(settings: Settings) -> Settings:
    """Return the settings with Redis, broker and keys of the stack that runs in the home; starts and creates nothing.

    Raises: `UsageError` if none runs, or if it uses servers that are not its own.
    """
    home = Home(settings.home)
    home.expect()
    if STACK not in home.running():
        raise UsageError(
            f"ACTIVATION_REDIS_URL is not set, and no stack runs in {home.path}.",
            remedy="`activation up` starts one; or set ACTIVATION_REDIS_URL, ACTIVATION_BROKER_URL and ACTIVATION_SECRET_KEYS.",
        )
    redis_url = _url(home, "redis", "ACTIVATION_REDIS_URL")
    return replace(
        settings,
        redis_url=redis_url,
        broker_url=settings.broker_url or _url(home, "broker", "ACTIVATION_BROKER_URL"),
        secret_keys=settings.secret_keys or home.keys(),
    )


def _url(home: Home, name: str, variable: str) -> str:
    if url := PrivateRedis(home.path, name=name).running_url():
        return url
    raise UsageError(
        f"{variable} is not set, and the stack in {home.path} has no {name} of its own that runs.",
        remedy=f"If it was started with {variable}, set that here as well; if it has just begun, try again.",
    )
