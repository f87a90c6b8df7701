"""Serves the console with uvicorn, in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn

from app.console.application import make_application
from app.console.context import make_context
from app.console.single_sign_on import SingleSignOn
from app.serving.protocol import KEEP_ALIVE_SECONDS, Connection

if TYPE_CHECKING:
    from app.resources import Resources

STOP_SECONDS = 3  # then the event streams of open pages are cut


def make_server(resources: Resources, host: str, port: int, *, url: str) -> uvicorn.Server:
    """Return a server that has not been started. Raises: `UsageError` for settings that do not fit together."""
    sign_on = SingleSignOn(resources.settings, url) if resources.settings.console_oidc_issuer else None
    config = uvicorn.Config(
        make_application(make_context(resources, url, sign_on)),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        date_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        http=Connection,
        ws="none",
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        proxy_headers=False,  # app.console.client_address decides which proxies to trust
    )  # no access log: an address may contain a one-time link
    return uvicorn.Server(config)
