"""`activation doctor`: what is wrong with the installation, and what to do about it."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict
from importlib.metadata import version
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import click
import orjson

from app.broker import queue_lengths
from app.cli.report import json_option, out, print_json, resources
from app.devstack.home import Home
from app.devstack.stack import STACK, listens
from app.durability import GIVE_RIGHTS, LOSES, reads_back
from app.errors import SealBroken, ServiceUnreachable, UnknownDestination, WorkHasProblems
from app.queues import QUEUES
from app.reporting.alerts import read_open
from app.reporting.channels import channels_of
from app.reporting.findings import (
    Finding,
    Level,
    clock,
    is_cluster,
    of_disk,
    of_processes,
    of_queues,
    of_redis,
    of_sweeps,
    problem,
    warning,
    well,
)
from app.reporting.processes import read_processes, read_sweep_age_seconds
from app.resources import Resources
from app.sweep.alert_rules import destination_alerts
from app.sweep.alerts import gather
from app.version import installed_build, installed_version

PINGS = 9
_SIGNS = {Level.WELL: "[green]✔[/]", Level.WARNING: "[yellow]![/]", Level.PROBLEM: "[red]✘[/]"}


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Show what is wrong with this installation, with remedies; exit 1 if anything is.

    Checks versions, Redis, keys, the disk of HOME, broker, workers, beat, clocks, destinations, alerts and ports.
    """
    with resources() as made:
        findings = list(examine(made))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            out.print(f"{_SIGNS[finding.level]} ", end="")
            out.print(f"{finding.what}: {finding.text}", markup=False)
            if finding.remedy:
                out.print(f"    {finding.remedy}", markup=False)
    problems = sum(finding.level is Level.PROBLEM for finding in findings)
    if problems:
        raise WorkHasProblems(f"{problems} problem{'s' * (problems > 1)}.", remedy="Each has its remedy above.")


def examine(made: Resources) -> Iterator[Finding]:
    """Check everything in turn. Raises: redis-py's errors if Redis is away, since then nothing else can be said."""
    others = f"Celery {version('celery')}, redis-py {version('redis')}"
    yield well(
        "versions",
        f"activation {installed_version()} (build {installed_build()}), Python {platform.python_version()}, {others}",
    )
    info = yield from _redis(made)
    if is_cluster(info):  # which answers hardly any other question
        return
    yield from _disk(made)
    yield from _broker(made)
    now_ms = made.clock.now_ms()
    yield clock("this machine", time.time() - now_ms / 1000)
    yield from of_processes(
        read_processes(made.redis), now_ms=now_ms, own_version=installed_version(), own_build=installed_build()
    )
    yield of_sweeps(read_sweep_age_seconds(made.redis, now_ms=now_ms))
    yield from _destinations(made, now_ms)
    yield from _alerts(made)
    yield from _ports(made)


def _redis(made: Resources) -> Generator[Finding, None, dict[str, Any]]:
    times = []
    for _ in range(PINGS):
        began = time.perf_counter()
        made.redis.ping()
        times.append(time.perf_counter() - began)
    info: Any = made.redis.info()
    yield from of_redis(info, median(times))
    if int(info.get("aof_enabled", 1)) and reads_back(made.redis) is False:
        yield problem("redis user default", LOSES, GIVE_RIGHTS)
    return info  # type: ignore[no-any-return]


def _disk(made: Resources) -> Iterator[Finding]:
    """Judge the disk of the home, which holds the logs and the append-only file of the private Redis."""
    home = Home(made.settings.home)
    if home.exists:
        disk = shutil.disk_usage(home.path)
        yield of_disk(free=disk.free, size=disk.total, written=home.written_bytes, logs=str(home.logs))


def _broker(made: Resources) -> Iterator[Finding]:
    try:
        lengths = queue_lengths(made.settings.celery_broker_url, QUEUES)
    except ServiceUnreachable as error:
        yield problem("broker", str(error), error.remedy)
    else:
        yield from of_queues(lengths)


def _destinations(made: Resources, now_ms: int) -> Iterator[Finding]:
    names = made.destinations.ids()
    if not names:
        yield well("destinations", "none is connected")
    for name in names:
        try:
            destination, state = made.destinations.get(name), made.states.get(name)
            found = destination_alerts(gather(made, name, state, now_ms=now_ms))
        except SealBroken as error:
            yield problem(name, str(error), error.remedy)
            continue
        except UnknownDestination:
            continue
        if not found:
            yield well(name, f"{state.status}; `activation check {name}` asks the account itself")
        for alert in found:
            make = problem if alert.severity == "critical" else warning
            yield make(name, f"{alert.kind}: {alert.text}", alert.remedy)
        if any(channel.channel == "email" for channel in destination.alerts) and not made.settings.smtp_url:
            yield problem(name, "its alerts go by email, and no mail server is named", "Set ACTIVATION_SMTP_URL.")


def _alerts(made: Resources) -> Iterator[Finding]:
    count = len(read_open(made.redis))
    yield well("alerts", f"{count} open" + ("; `activation alerts` lists them" if count else ""))
    if not channels_of(made.settings):
        yield warning(
            "alert channels", "none is set", "Set ACTIVATION_ALERT_URL or another; docs/operations.md names them."
        )


def _ports(made: Resources) -> Iterator[Finding]:
    """Check the ports of this home's stack."""
    home = Home(made.settings.home)
    if not home.addresses.exists() or STACK not in home.running():
        return
    for name, address in orjson.loads(home.addresses.read_bytes()).items():
        port = urlsplit(address).port if address.startswith("http") else None
        if port is None:
            continue
        if listens(port):
            yield well(name, address)
        else:
            yield problem(name, f"nothing listens on {address}", f"Its log says why: {home.logs}")
