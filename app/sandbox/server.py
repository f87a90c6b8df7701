"""The sandbox as a process: listen, say so, and stop on SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import sys
from typing import Any

from aiohttp import web

from app.sandbox.routes import MOST_BODY_BYTES, Sandbox

STOP_SECONDS = 0.5


def serve(host: str, port: int, *, seed_attributes: int = 0) -> None:
    """Serve until SIGTERM or SIGINT; port 0 takes a free one. Prints one line with the address once the server listens.

    Raises: `OSError` if the address cannot be listened on.
    """
    if not is_loopback(host):
        warning = f"Warning: anyone who can reach {host} can use the sandbox and its admin routes."
        print(warning, file=sys.stderr, flush=True)
    asyncio.run(_serve(host, port, seed_attributes))


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach this address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _announce(host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    # a comment, so that the output of `activation sandbox` is a valid destination file
    print(f"# Sandbox Marketing Cloud on http://{shown}:{port} (for development only)", flush=True)


def _make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=2 * MOST_BODY_BYTES)


async def _serve(host: str, port: int, seed_attributes: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # the low-level server: an Application would cost a router and a resolver on every call
    server = web.Server(Sandbox(seed_attributes), request_factory=_make_request, access_log=None)
    listener = await loop.create_server(server, host, port, backlog=1024)
    try:
        _announce(host, listener.sockets[0].getsockname()[1])
        await stop.wait()
    finally:
        listener.close()
        await server.shutdown(STOP_SECONDS)
