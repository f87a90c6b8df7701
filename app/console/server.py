"""Serving the console: a uvicorn server in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn

from app.console.application import make_application
from app.console.context import make_context
from app.console.single_sign_on import SingleSignOn

if TYPE_CHECKING:
    from app.resources import Resources

STOP_SECONDS = 3  # event streams of open pages are cut then


def make_server(resources: Resources, host: str, port: int, *, url: str) -> uvicorn.Server:
    """A server that is not started yet. Raises `UsageError` for settings that do not go together."""
    sign_on = SingleSignOn(resources.settings, url) if resources.settings.console_oidc_issuer else None
    config = uvicorn.Config(
        make_application(make_context(resources, url, sign_on)), host=host, port=port, log_level="warning", access_log=False,
               date_header=False, timeout_graceful_shutdown=STOP_SECONDS, lifespan="off",
               proxy_headers=False,  # whose word counts is decided by app.console.client_address
               # httptools reads what follows `Upgrade: h2c`, which Java's clients send, as another request
               http="h11", h11_max_incomplete_event_size=65_536,
    )  # fmt: skip  # no access log: an address may name a link
    return uvicorn.Server(config)
