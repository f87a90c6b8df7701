"""Serves the intake with one or several processes behind one socket, until told to stop."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.supervisors import Multiprocess

from app.intake.protocol import IntakeProtocol
from app.serving.listener import BACKLOG
from app.serving.protocol import KEEP_ALIVE_SECONDS

if TYPE_CHECKING:
    import socket

STOP_SECONDS = 20


def serve(listener: socket.socket, environ: dict[str, str], *, processes: int) -> None:
    """Run until SIGINT or SIGTERM. `environ`: the settings, which each process reads for itself."""
    os.environ.clear()
    os.environ.update(environ)
    config = uvicorn.Config(
        "app.intake.application:create",
        factory=True,
        http=IntakeProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        workers=processes,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # app.intake.credentials decides which proxies to trust
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    if processes == 1:
        uvicorn.Server(config).run([listener])
    else:
        Multiprocess(config, [listener]).run()
