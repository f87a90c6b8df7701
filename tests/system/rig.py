"""A whole pipeline of real parts for one test: Redis, sandbox, workers and beat as processes that the test may kill."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import requests

from app.destinations.file import load
from app.devstack.stack import commands, listens, port_from, sandbox_command
from app.producer import Producer
from app.reporting.jobs import Job, read_job
from app.reporting.runs import read_runs
from app.resources import Resources
from app.settings import Settings
from app.wake_ups import Waker
from tests.system.parted import PartedStack
from tests.system.preloaded import PreloadedStack

SEGMENTS = {"seg-1": "salesforce_mc_segment_1", "seg-2": "salesforce_mc_segment_2"}
DESTINATION = """\
id: {id}
name: {id}
account:
  subdomain: {tenant}
  client_id: sandbox-client
  client_secret: {secret}
  auth_base_url: {base}
  rest_base_url: {base}
mapping:
  - {{source: "IdentityMap: contactKey", target: "Identity: salesforceContactKey"}}
  - {{source: "xdm: personalEmail.address", target: "Attribute: Email Addresses.Email Address"}}
  - {{source: "xdm: person.name.firstName", target: "Attribute: Email Demographics.First Name"}}
  - {{source: "xdm: person.name.lastName", target: "Attribute: Email Demographics.Last Name"}}
segments:
  - {{id: seg-1, name: One, mapping_id: {mapping_id}}}
  - {{id: seg-2, name: Two, mapping_id: salesforce_mc_segment_2}}
limits: {{calls_per_minute: {calls_per_minute}, max_in_flight: {max_in_flight}}}
"""
# quick enough for a test, in the same proportions as the defaults
QUICK = {
    "lease_seconds": 4.0,
    "connect_timeout_seconds": 1.0,
    "wake_up_seconds": 3.0,
    "sweep_seconds": 1.0,
    "retry_base_seconds": 0.3,
    "retry_cap_seconds": 2.0,
    "probe_base_seconds": 0.5,
    "probe_cap_seconds": 2.0,
    "read_timeout_seconds": 10.0,
    "soft_shutdown_seconds": 10.0,
}


class Rig:
    make_stack: type[PartedStack] = PreloadedStack

    def __init__(
        self,
        home: Any,
        *,
        workers: int = 2,
        beat: bool = True,
        shared_redis: bool = False,
        server: Callable[[int], list[str]] = sandbox_command,
        **changes: Any,
    ):
        settings = replace(Settings.from_env(), home=home, allow_local_hosts="true", **{**QUICK, **changes})
        self.stack = self.make_stack(settings)
        self.stack.__enter__()
        self.settings = settings = self.stack.start_shared_redis() if shared_redis else self.stack.start_redis()
        self.resources = Resources.from_settings(settings)
        self.redis = self.resources.redis
        self.waker = Waker(self.resources)
        self.producer = Producer(self.resources, self.waker)
        self.port = port_from(0)
        self.stack.start("sandbox", server(self.port))
        self.stack.wait_for("sandbox", lambda: listens(self.port))
        lines = commands(workers=workers, flower_port=None, log_level="INFO")
        self.commands = {name: line for name, line in lines.items() if beat or name not in ("beat", "maintenance")}
        self.workers = [name for name in self.commands if name.startswith("worker")]

    def start(self) -> None:
        for name, command in self.commands.items():
            self.stack.start(name, command)
        self.wait_until(lambda: all(self.ready(name) for name in self.workers), "workers ready")

    def ready(self, name: str) -> bool:
        return "ready." in (self.stack.logs / f"{name}.log").read_text(errors="replace")

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        with suppress(ProcessLookupError):  # it died by itself, or is not back yet
            os.kill(self.stack.pid(name), number)

    def close(self) -> None:
        self.stack.stop()

    # -- destinations and the sandbox

    def base(self, tenant: str) -> str:
        return f"http://127.0.0.1:{self.port}/t/{tenant}"

    def connect(
        self, name: str = "camp", *, tenant: str = "mctest", calls_per_minute: int = 600_000, max_in_flight: int = 16,
        secret: str = "sandbox-secret", mapping_id: str = SEGMENTS["seg-1"],
    ) -> None:  # fmt: skip
        text = DESTINATION.format(
            id=name, tenant=tenant, secret=secret, base=self.base(tenant), calls_per_minute=calls_per_minute,
            max_in_flight=max_in_flight, mapping_id=mapping_id,
        )  # fmt: skip
        destination = load(text, environ={}, allow_local_hosts=True, where=name)
        self.resources.destinations.save(destination)

    def admin(self, method: str, path: str, document: Any = None, *, tenant: str = "mctest") -> Any:
        answer = requests.request(method, f"{self.base(tenant)}/_sandbox/{path}", json=document, timeout=60)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def settings_of(self, tenant: str = "mctest", **switches: Any) -> None:
        self.admin("PATCH", "settings", switches, tenant=tenant)

    def fault(self, kind: str, *, tenant: str = "mctest", **more: Any) -> None:
        self.admin("POST", "faults", {"kind": kind, **more}, tenant=tenant)

    def contacts(self, tenant: str = "mctest") -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.admin("GET", "contacts", tenant=tenant)
        return found

    def summary(self, tenant: str = "mctest") -> dict[str, Any]:
        found: dict[str, Any] = self.admin("GET", "ledger/summary", tenant=tenant)
        return found

    # -- waiting

    def wait_until(self, true: Callable[[], Any], what: str, timeout_seconds: float = 120.0) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout_seconds} s: {what}")
            self.stack.look_after()
            time.sleep(0.05)

    def settled(self, jobs: Iterable[str], timeout_seconds: float = 120.0) -> Job:
        """Wait until no profile of these jobs is pending; their counts added up."""
        names = list(jobs)

        def total() -> Job:
            found = [read_job(self.redis, name) for name in names]
            return Job(
                id=",".join(names),
                destinations=(),
                received=sum(job.received for job in found),
                outcomes={key: sum(job.outcomes[key] for job in found) for key in found[0].outcomes},
                reasons={reason: count for job in found for reason, count in job.reasons.items()},
            )

        self.wait_until(lambda: total().pending == 0, "all settled", timeout_seconds)
        return total()

    def calls(self, name: str = "camp") -> int:
        return sum(run.calls for run in read_runs(self.redis, name))


def profile(
    key: str, *, email: str | None = None, first: str | None = None, last: str | None = None, at: str | None = None,
    segments: dict[str, tuple[str, str]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """`segments` is id -> (status, lastQualificationTime)."""
    made: dict[str, Any] = {"identityMap": {"contactKey": [{"id": key}]}}
    if email is not None:
        made["personalEmail"] = {"address": email}
    name = {"firstName": first, "lastName": last}
    if first is not None or last is not None:
        made["person"] = {"name": {k: v for k, v in name.items() if v is not None}}
    if at is not None:
        made["occurredAt"] = at
    if segments:
        made["segmentMembership"] = {
            "ups": {
                item: {"status": status, "lastQualificationTime": when} for item, (status, when) in segments.items()
            }
        }
    return made
