"""The argument DESTINATION: an id, which the shell completes from the connected ones."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from app.destinations.store import Directory
from app.devstack.private_redis import PrivateRedis
from app.resources import connect
from app.settings import Settings


class DestinationId(click.ParamType[str]):
    name = "destination"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002  # click's interface
        """Ids that begin like this. Nothing is started for it: without a Redis that runs there are none."""
        return [CompletionItem(name, help=about) for name, about in _known() if name.startswith(incomplete)]


DESTINATION = DestinationId()


def _known() -> list[tuple[str, str]]:
    try:
        settings = Settings.from_env()
        url = settings.redis_url or PrivateRedis(settings.home).running_url()
        if not url:
            return []
        with connect(url) as redis:
            directory: Any = Directory(redis)
            return [(name, directory.about(name).name) for name in directory.ids()]
    except Exception:  # noqa: BLE001  # shell completion shows no errors
        return []
