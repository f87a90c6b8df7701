"""Runs the console."""

from __future__ import annotations

import click

from app.cli.report import out, resources
from app.cli.stack import listening
from app.console.address import CONSOLE_PORT
from app.console.server import make_server
from app.devstack.signals import serving


@click.command()
@click.option("--port", default=CONSOLE_PORT, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Loopback, unless a proxy with TLS is in front of it."
)
def console(port: int, host: str) -> None:
    """Serve the pages for operators until Ctrl-C (`activation up` includes this)."""
    from app.serving.listener import listen

    with resources() as made:
        url = made.settings.console_url.rstrip("/") or f"http://{host}:{port}"
        with listening(host, port):
            listener = listen(host, port)
        out.print(f"Console  {url}", markup=False)
        server = make_server(made, host, port, url=url)
        with serving():
            server.run(sockets=[listener])
