"""Serves the console with uvicorn, in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn

from app.console.application import make_application
from app.console.context import make_context
from app.console.single_sign_on import SingleSignOn

if TYPE_CHECKING:
    from app.resources import Resources

STOP_SECONDS = 3  # then the event streams of open pages are cut


def make_server(resources: Resources, host: str, port: int, *, url: str) -> uvicorn.Server:
    """Return a server that has not been started. Raises: `UsageError` for settings that do not fit together."""
    sign_on = SingleSignOn(resources.settings, url) if resources.settings.console_oidc_issuer else None
    config = uvicorn.Config(
        make_application(make_context(resources, url, sign_on)), host=host, port=port, log_level="warning", access_log=False,
               date_header=False, timeout_graceful_shutdown=STOP_SECONDS, lifespan="off",
               proxy_headers=False,  # app.console.client_address decides which proxies to trust
               # not httptools, which misreads what follows `Upgrade: h2c`, as sent by Java's clients, as another request
               http="h11", h11_max_incomplete_event_size=65_536,
    )  # fmt: skip  # no access log: an address may contain a one-time link
    return uvicorn.Server(config)
