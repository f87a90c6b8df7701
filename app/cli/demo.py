"""The demo: everything real on this machine, from a private Redis to a sandbox Marketing Cloud, in its own folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import click

from app.cli.fields import print_problems
from app.cli.jobs import follow
from app.cli.report import err, out, print_table
from app.destinations import operating
from app.destinations.file import load
from app.devstack.sample import DESTINATION, Sample, make_sample
from app.devstack.sending import send
from app.devstack.stack import FLOWER_PORT, Stack, commands, listens, port_from, sandbox_command, tail
from app.errors import ActivationError, WorkHasProblems
from app.intake.sources import SourceStore
from app.producer import Producer
from app.reporting.runs import OUTCOMES, read_runs
from app.resources import Resources
from app.settings import Settings


@click.command()
@click.option(
    "--profiles", default=1000, show_default=True, type=click.IntRange(20, 1_000_000), help="Sample profiles."
)
def demo(profiles: int) -> None:
    """Start everything here, activate sample profiles, and read every contact back from a sandbox Marketing Cloud."""
    differences = run_demo(profiles)
    if differences:
        for difference in differences[:20]:
            err.print(f"  - {difference}", markup=False)
        raise WorkHasProblems(f"The sandbox differs from what was expected in {len(differences)} places.")


def run_demo(count: int) -> list[str]:
    """Run the demo. Returns the differences from what was expected."""
    home = Path(tempfile.mkdtemp(prefix="activation-demo-"))
    settings = replace(
        Settings.from_env(),
        home=home,
        redis_url="",
        broker_url="",
        secret_keys="",
        clear_messages="accept",
        allow_local_hosts="true",
    )
    differences = ["it did not get that far"]
    try:
        with Stack(settings) as stack:
            differences = _activate(stack, make_sample(count))
    except ActivationError:
        for log in sorted((home / "logs").glob("*.log")):
            if text := tail(log, 5):
                err.print(f"{log.name}:\n{text}", markup=False)
        raise
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return differences


def _activate(stack: Stack, sample: Sample) -> list[str]:
    settings = stack.start_redis()
    sandbox_port, flower_port, intake_port = port_from(0), port_from(FLOWER_PORT), port_from(0)
    base_url = f"http://127.0.0.1:{sandbox_port}"
    out.print("Starting Redis, a sandbox Marketing Cloud, two workers, beat, the HTTP intake and Flower …")
    stack.start("sandbox", sandbox_command(sandbox_port))
    stack.wait_for("sandbox", lambda: listens(sandbox_port))
    _ask(f"{base_url}/t/mcdemo/_sandbox/settings", {"refuse_example_com": True}, method="PATCH")
    lines = commands(workers=2, flower_port=flower_port, log_level=settings.log_level, intake_port=intake_port)
    for name, command in lines.items():
        stack.start(name, command)
    resources = Resources.from_settings(settings)
    destination = load(DESTINATION.format(base_url=base_url), environ={}, allow_local_hosts=True, where="demo.yaml")
    problems = operating.connect(resources, destination).problems
    print_problems(problem for problem in problems if problem.level == "error")
    out.print("[green]✔[/] Connected")
    _, key = SourceStore(resources.redis, resources.ring).add("demo", [destination.id])
    stack.wait_for("intake", lambda: listens(intake_port))
    stack.wait_for("flower", lambda: listens(flower_port))
    out.print(f"Flower is watching on http://127.0.0.1:{flower_port} while this runs.")
    producer = Producer(resources)
    counts = dict.fromkeys(OUTCOMES, 0)
    received = 0
    for name, wave in (("demo-1", sample.first), ("demo-2", sample.second)):
        # one half by HTTP, as a service would, the other like a Python program
        half = len(wave) // 2
        send(intake_port, destination.id, key, wave[:half], job=name)
        job = follow(resources, producer.enqueue(destination.id, wave[half:], job_id=name))
        received += job.received
        for outcome, number in job.outcomes.items():
            counts[outcome] += number
    calls = sum(run.calls for run in read_runs(resources.redis, destination.id))
    print_table("The run", ["received", *OUTCOMES, "calls"], [(received, *counts.values(), calls)])
    out.print(f"{received:,} received = " + " + ".join(f"{number:,} {outcome}" for outcome, number in counts.items()))
    held = _ask(f"{base_url}/t/mcdemo/_sandbox/contacts")
    differences = compare(sample, counts, received, held)
    if not differences:
        out.print(f"[green]✔[/] Read back: all {len(held):,} contacts are in the sandbox exactly as expected.")
    return differences


def compare(sample: Sample, counts: dict[str, int], received: int, held: dict[str, dict[str, Any]]) -> list[str]:
    """Return the differences, contact by contact and count by count; as this is sample data, values may be shown."""
    differences = []
    if received != sample.profiles or received != sum(counts.values()):
        differences.append(f"{sample.profiles} profiles were sent, {received} received, {sum(counts.values())} settled")
    differences += [
        f"{outcome}: {counts[outcome]} instead of {expected}"
        for outcome, expected in sample.outcomes.items()
        if counts[outcome] != expected
    ]
    differences += [f"contact {key} is not expected" for key in sorted(held.keys() - sample.contacts.keys())]
    for key, attributes in sample.contacts.items():
        found = held.get(key)
        if found is None:
            differences.append(f"contact {key} is missing")
        elif found != attributes:
            differences += [
                f"contact {key}, {name}: {found.get(name)!r} instead of {attributes.get(name)!r}"
                for name in sorted(found.keys() | attributes.keys())
                if found.get(name) != attributes.get(name)
            ]
    return differences


def _ask(url: str, document: Any = None, *, method: str = "GET") -> Any:
    """Call an administrative route of the sandbox, on loopback."""
    data = None if document is None else json.dumps(document).encode()
    request = Request(url, data=data, method=method, headers={"Content-Type": "application/json"})  # noqa: S310  # loopback
    with urlopen(request, timeout=60) as answer:  # noqa: S310  # loopback
        return json.load(answer)
