"""Runs things on this machine: the whole stack, the sandbox, the metrics."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import click
import orjson
from prometheus_client import start_http_server

from app.cli.fields import print_problems
from app.cli.report import err, json_option, out, print_json
from app.console.address import CONSOLE_PORT
from app.devstack.home import Home
from app.devstack.private_redis import with_redis
from app.devstack.sample import DESTINATION as SAMPLE_DESTINATION
from app.devstack.signals import until_told_to_stop
from app.devstack.stack import (
    FLOWER_PORT,
    INTAKE_PORT,
    METRICS_PORT,
    SERVERS,
    STACK,
    Stack,
    commands,
    console_command,
    listens,
    port_from,
)
from app.durability import find_storage_problems
from app.errors import ServiceUnreachable, UsageError, WorkHasProblems
from app.reporting.metrics import make_registry
from app.resources import connect
from app.settings import Settings

DOWN_SECONDS = 60.0
RETRY_SECONDS = 10.0  # after failing to restart a server
_PORT = click.IntRange(1, 65535)


@click.command()
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
@click.option("--no-flower", is_flag=True, help="Do not start Flower.")
@click.option(
    "--flower-port", type=_PORT, help=f"Port of Flower. Default: {FLOWER_PORT} or, if that is taken, a free one."
)
@click.option("--metrics-port", type=_PORT, help=f"Port of the metrics. Default: {METRICS_PORT} or a free one.")
@click.option("--intake-port", type=_PORT, help=f"Port of the HTTP intake. Default: {INTAKE_PORT} or a free one.")
@click.option("--no-console", is_flag=True, help="Do not start the console.")
def up(
    workers: int,
    no_flower: bool,
    flower_port: int | None,
    metrics_port: int | None,
    intake_port: int | None,
    no_console: bool,
) -> None:
    """Run the whole stack in the foreground until Ctrl-C; a process that dies is restarted."""
    with until_told_to_stop() as told, Stack(Settings.from_env()) as stack:
        for name in stack.end_leftovers():
            err.print(f"{name} was left by a stack that was killed; it is ended and started anew.", markup=False)
        settings = stack.start_redis()
        redis = connect(settings.redis_url)
        print_problems(find_storage_problems(redis))
        flower_port = None if no_flower else _port(flower_port, FLOWER_PORT, "--flower-port")
        metrics_port = _port(metrics_port, METRICS_PORT, "--metrics-port")
        intake_port = _port(intake_port, INTAKE_PORT, "--intake-port")
        lines = commands(
            workers=workers, flower_port=flower_port, log_level=settings.log_level, intake_port=intake_port
        )
        for name, command in lines.items():
            stack.start(name, command)
        server, _ = start_http_server(metrics_port, "127.0.0.1", make_registry(redis, settings))
        addresses = {"Metrics": f"http://127.0.0.1:{metrics_port}/metrics", "Logs": str(stack.logs), **places(settings)}
        if flower_port is not None:
            stack.wait_for("flower", lambda: bool(told) or listens(flower_port))
            addresses = {"Flower": f"http://127.0.0.1:{flower_port}", **addresses}
        stack.wait_for("intake", lambda: bool(told) or listens(intake_port))
        addresses = {"Intake": f"http://127.0.0.1:{intake_port}", **addresses}
        link = ""
        if not no_console:
            address = _start_console(stack, settings, told)
            addresses = {"Console": address, **addresses}
            link = f"{address}/link/{_link_token(settings)}"
        stack.note_addresses(addresses)
        print_addresses(addresses | ({"Console": link} if link else {}))
        if Home(settings.home).secret_keys.exists():
            out.print(
                "The password of Redis is in the file redis/password of the home, that of the broker in broker/password."
            )
        out.print(f"{workers} worker{'s' * (workers > 1)}, maintenance, beat and Redis are up. Ctrl-C stops them.")
        not_before = 0.0
        while not told:
            time.sleep(0.2)
            if time.monotonic() < not_before:
                continue
            try:
                for name in stack.look_after():
                    err.print(f"{name} had died and was started again; see {stack.log_of(name)}", markup=False)
            except ServiceUnreachable as error:
                # such as Redis while the disk is full: what it has accepted waits until there is room
                err.print(f"{error} {error.remedy} It is tried again in {RETRY_SECONDS:.0f} s.", markup=False)
                not_before = time.monotonic() + RETRY_SECONDS
        out.print("Stopping …")
        server.shutdown()


def _port(wanted: int | None, usual: int, option: str) -> int:
    """Return the port asked for, or a free one. Raises: `UsageError` if the one asked for is taken."""
    if wanted is not None and port_from(wanted) != wanted:
        raise UsageError(f"{option}: {wanted} is taken.", remedy="Name another, or none, and a free one is found.")
    return wanted or port_from(usual)


def places(settings: Settings) -> dict[str, str]:
    """Return where the state, the broker and the keys are, without passwords."""
    home = Home(settings.home)
    keys = str(home.secret_keys.resolve()) if home.secret_keys.exists() else "ACTIVATION_SECRET_KEYS"
    return {
        "Redis": without_password(settings.redis_url),
        "Broker": without_password(settings.celery_broker_url),
        "Keys": keys,
    }


def without_password(url: str) -> str:
    """Return a URL that may be shown."""
    parts = urlsplit(url)
    if not parts.hostname:
        return f"{parts.scheme}://{parts.path}"
    user = f"{parts.username}:***@" if parts.username else (":***@" if parts.password else "")
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{user}{parts.hostname}{port}{parts.path}"


def _start_console(stack: Stack, settings: Settings, told: list[int]) -> str:
    """Start the console; returns where browsers find it."""
    port = port_from(CONSOLE_PORT)
    stack.start("console", console_command(port))
    stack.wait_for("console", lambda: bool(told) or listens(port))
    return settings.console_url.rstrip("/") or f"http://127.0.0.1:{port}"


def _link_token(settings: Settings) -> str:
    """Return the token of a link that signs in, once, whoever started the stack; it is printed and recorded nowhere."""
    from app.access.roles import Role
    from app.access.sessions import Sessions
    from app.access.users import Users
    from app.resources import Resources

    made = Resources.from_settings(settings)
    try:
        sessions = Sessions(made.redis, made.ring, Users(made.redis, made.ring))
        return sessions.make_link("local", Role.MANAGE, asks_password=False)
    finally:
        made.redis.close()


def print_addresses(addresses: dict[str, str]) -> None:
    for name, address in addresses.items():
        out.print(f"{name:<9}{address}", markup=False)


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show what runs in this home, and where; exit 1 if no stack does."""
    home = Home(Settings.from_env().home)
    home.expect()
    running = home.running()
    addresses = orjson.loads(home.addresses.read_bytes()) if home.addresses.exists() and STACK in running else {}
    if as_json:
        print_json({"home": str(home.path), "up": STACK in running, "processes": running, "addresses": addresses})
    else:
        out.print(f"Home     {home.path.resolve()}", markup=False)
        print_addresses(addresses)
        for name, pid in running.items():
            out.print(f"  {name} (process {pid})", markup=False)
    if STACK not in running:
        left = ", ".join(name for name in running)
        raise WorkHasProblems(
            "No stack runs here" + (f"; of a former one {left} still run." if left else "."),
            remedy="`activation up` starts it" + (" and ends those; so does `activation down`." if left else "."),
        )


@click.command()
def down() -> None:
    """End the stack of this home, or what a killed one has left."""
    home = Home(Settings.from_env().home)
    home.expect()
    running = home.running()
    if STACK in running:
        home.lock(STACK).end(timeout_seconds=DOWN_SECONDS)
    left = home.running()
    for name in sorted(left, key=lambda name: name in SERVERS):
        home.lock(name).end()
    ended = ", ".join(running) or "Nothing"
    out.print(f"{ended} ended." if running else "Nothing runs here.", markup=False)


@click.command()
@click.option("--port", default=8025, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback, unless in a container.")
@click.option("--known-as", default="", help="The host in the printed file, such as a container's name; else --host.")
@click.option(
    "--seed-attributes", default=0, type=click.IntRange(0, 100_000), help="Add this many attributes, to try paging."
)
def sandbox(port: int, host: str, known_as: str, seed_attributes: int) -> None:
    """Run a local Marketing Cloud for development: real HTTP, invented contacts, switches for every fault.

    Prints a destination file for it, ready to connect.
    """
    from app.sandbox.server import serve

    with listening(host, port):
        if port:
            allowed = known_as or "true"
            click.echo(
                f"# A destination in this sandbox: ACTIVATION_ALLOW_LOCAL_HOSTS={allowed} activation connect FILE, with this in it"
            )
            click.echo(SAMPLE_DESTINATION.format(base_url=f"http://{known_as or host}:{port}"))
        serve(host, port, seed_attributes=seed_attributes)


@click.command()
@click.option("--port", default=METRICS_PORT, show_default=True, type=click.IntRange(1, 65535))
@click.option("--host", default="127.0.0.1", show_default=True)
def metrics(port: int, host: str) -> None:
    """Serve the metrics for Prometheus until Ctrl-C (`activation up` includes this)."""
    with until_told_to_stop() as told, with_redis(Settings.from_env(), needs_keys=False) as settings:
        with listening(host, port):
            server, thread = start_http_server(port, host, make_registry(connect(settings.redis_url), settings))
        out.print(f"Metrics  http://{host}:{port}/metrics")
        while not told and thread.is_alive():
            time.sleep(0.2)
        server.shutdown()


@contextmanager
def listening(host: str, port: int) -> Iterator[None]:
    """Report an address that is taken, or not on this machine, as wrong usage. Raises: `UsageError`."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0  # negative for an address that cannot be resolved
        reason = os.strerror(number) if number > 0 else error.strerror
        raise UsageError(
            f"{host}:{port} cannot be used to listen on: {reason}.", remedy="Name another --port or --host."
        ) from error
