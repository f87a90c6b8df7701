"""Serves the intake with one or several processes behind one socket, until told to stop."""

from __future__ import annotations

import os
import socket

import uvicorn
from uvicorn.supervisors import Multiprocess

from app.intake.protocol import IntakeProtocol

BACKLOG = 2048
# longer than proxies and senders keep an idle connection, so that we never close one on which a request is on its way
KEEP_ALIVE_SECONDS = 120
STOP_SECONDS = 20


def listen(host: str, port: int) -> socket.socket:
    """Return the bound socket, for an address of either family. Raises: `OSError`."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener


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
