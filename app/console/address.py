"""Where to find the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from app.devstack.home import Home

if TYPE_CHECKING:
    from app.settings import Settings

CONSOLE_PORT = 8081


def console_url(settings: Settings) -> str:
    """Return the configured URL, else that of this home's `activation up`, else the default of `activation console`."""
    if settings.console_url:
        return settings.console_url.rstrip("/")
    noted = Home(settings.home).addresses
    if noted.exists() and (address := str(orjson.loads(noted.read_bytes()).get("Console", ""))):
        return address
    return f"http://127.0.0.1:{CONSOLE_PORT}"
