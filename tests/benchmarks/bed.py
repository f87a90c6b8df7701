"""What every figure is measured on: the pipeline of the system tests, ten mapped attributes, and CPU accounts."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests

from app.devstack.stack import sandbox_command
from tests.system.parted import PartedStack
from tests.system.rig import Rig

ATTRIBUTES = {
    "person.name.firstName": "First Name",
    "person.name.lastName": "Last Name",
    "person.language": "Language",
    "loyalty.tier": "Transaction Points",
    "store.market": "Market",
    "store.organisation": "SFOrg",
    "account.user": "Username",
    "account.role": "Contact Role",
    "account.flex": "Flex Parameter 1",
}  # with the email address: ten
DESTINATION = """\
id: {id}
name: {id}
account:
  subdomain: {tenant}
  client_id: sandbox-client
  client_secret: sandbox-secret
  auth_base_url: {base}
  rest_base_url: {base}
mapping:
  - {{source: "IdentityMap: contactKey", target: "Identity: salesforceContactKey"}}
  - {{source: "xdm: personalEmail.address", target: "Attribute: Email Addresses.Email Address"}}
{rows}limits: {{calls_per_minute: {calls_per_minute}, max_in_flight: {max_in_flight}}}
"""
ROWS = "".join(
    f'  - {{source: "xdm: {path}", target: "Attribute: Email Demographics.{name}"}}\n'
    for path, name in ATTRIBUTES.items()
)
# the defaults of a real installation, where the tests' rig is impatient
DEFAULTS = {"lease_seconds": 15.0, "wake_up_seconds": 10.0, "sweep_seconds": 5.0, "read_timeout_seconds": 120.0}


def static_command(latency_ms: int) -> Callable[[int], list[str]]:
    program = str(Path(__file__).with_name("static_server.py"))
    return lambda port: [sys.executable, program, str(port), str(latency_ms)]


class Bed(Rig):
    """A pipeline whose processes' CPU seconds are read from outside."""

    make_stack = PartedStack  # what is measured starts as it does for a user
    static = False

    def connect(  # type: ignore[override]  # ten attributes and no segments
        self, name: str = "camp", *, tenant: str = "mctest", calls_per_minute: int = 1_000_000, max_in_flight: int = 64
    ) -> None:
        from app.destinations.file import load

        text = DESTINATION.format(
            id=name, tenant=tenant, base=self.base(tenant), rows=ROWS, calls_per_minute=calls_per_minute,
            max_in_flight=max_in_flight,
        )  # fmt: skip
        self.resources.destinations.save(load(text, environ={}, allow_local_hosts=True, where=name))
        if not self.static:
            self.settings_of(tenant, keep_ledger_bodies=False)

    def base(self, tenant: str) -> str:
        return f"http://127.0.0.1:{self.port}" if self.static else super().base(tenant)

    def cpu_seconds(self) -> dict[str, float]:
        """CPU used so far by each process of the pipeline: workers and beat."""
        return {name: cpu_of(self.stack.pid(name)) for name in self.commands}

    def static_count(self) -> int:
        answer = requests.get(f"http://127.0.0.1:{self.port}/count", timeout=10)
        return int(answer.json()["contacts"])


@contextmanager
def bed(*, workers: int = 2, static: bool = False, latency_ms: int = 0, **changes: Any) -> Iterator[Bed]:
    """A pipeline that is not started yet; everything is stopped and removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="activation-bench-"))
    made = Bed(
        home,
        workers=workers,
        server=static_command(latency_ms) if static else sandbox_command,
        **{**DEFAULTS, **changes},
    )
    made.static = static
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(home, ignore_errors=True)


def cpu_of(pid: int) -> float:
    """User and system seconds of a process and of the children it still has."""
    process = psutil.Process(pid)
    times = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def person(number: int, *, revision: int = 0, at: str | None = None) -> dict[str, Any]:
    """A profile with ten attributes, three of which differ with the revision."""
    made: dict[str, Any] = {
        "identityMap": {"contactKey": [{"id": f"c-{number:08}"}]},
        "personalEmail": {"address": f"c{number}@mail.test"},
        "person": {"name": {"firstName": f"First{number}", "lastName": f"Last{number}"}, "language": "en-GB"},
        "loyalty": {"tier": f"points {revision}"},
        "store": {"market": f"market {number % 40}", "organisation": f"org {revision}"},
        "account": {"user": f"user-{number}", "role": "buyer", "flex": f"flex {revision}"},
    }
    if at is not None:
        made["occurredAt"] = at
    return made


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
