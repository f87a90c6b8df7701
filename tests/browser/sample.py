"""What the pages show in the tests and in the pictures of the documentation: invented people, campaigns and history."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

from app.destinations.file import load
from app.destinations.state import Status
from app.errors import DestinationBroken
from app.keys import AccountKeys, DestinationKeys

FILE = """\
id: {id}
name: {name}
description: {description}
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
  - {{id: renters, name: Renters, mapping_id: salesforce_mc_segment_1}}
  - {{id: owners, name: Owners, mapping_id: salesforce_mc_segment_2}}
limits: {{calls_per_minute: 2400, calls_per_year: 2000000}}
"""
NAMES = ("Ada", "Ben", "Cleo", "Dov", "Esra", "Finn", "Gita", "Hugo")


def fill(rig: Any) -> None:
    """Three destinations: one that delivers and has some failures, one that is paused with a backlog, one that is stopped."""
    connect(rig, "spring-campaign", "Spring campaign", "Rental offers", "mcspring")
    connect(rig, "loyalty", "Loyalty", "Points of members", "mcspring")
    connect(rig, "newsletter", "Newsletter", "The weekly letter", "mcletter")
    rig.resources.states.pause("loyalty")
    rig.settings_of("mcspring", refuse_example_com=True)
    job = rig.producer.enqueue("spring-campaign", [person(number) for number in range(120)], job_id="nightly-0421")
    rig.producer.enqueue("loyalty", [person(number) for number in range(40)])
    rig.settled([job])
    rig.resources.states.fail(
        "newsletter",
        DestinationBroken(
            "The client secret is wrong or has expired.", code="bad_credentials",
            remedy="Rotate it in Setup > Apps > Installed Packages, and connect the file again.", wait_seconds=1200,
        ),
        status=Status.STOPPED, generation=rig.resources.states.get("newsletter").generation,
    )  # fmt: skip
    rig.producer.enqueue("newsletter", [person(number) for number in range(7)])
    _history(rig, "spring-campaign", 420)
    _history(rig, "loyalty", 90)
    _calls(rig, rig.resources.destinations.get("spring-campaign").account.key)


def connect(rig: Any, name: str, title: str, description: str, tenant: str) -> None:
    text = FILE.format(
        id=name, name=title, description=description, tenant=tenant, base=rig.base(tenant), secret="sandbox-secret"
    )
    rig.resources.destinations.save(load(text, environ={}, allow_local_hosts=True))


def person(number: int) -> dict[str, Any]:
    """Every fortieth has an address that the sandbox refuses; every thirtieth a name that is too long, and is excluded."""
    host = "example.com" if number % 40 == 7 else "mail.test"
    first = "A" * 101 if number % 30 == 11 else NAMES[number % len(NAMES)]
    return {
        "identityMap": {"contactKey": [{"id": f"c-{number:04}"}]},
        "personalEmail": {"address": f"someone{number}@{host}"},
        "person": {"name": {"firstName": first, "lastName": "Sample"}},
        "segmentMembership": {
            "ups": {
                "renters" if number % 3 else "owners": {
                    "status": "realized",
                    "lastQualificationTime": "2026-03-01T08:00:00Z",
                }
            }
        },
    }


def _history(rig: Any, name: str, busy: int) -> None:
    dice = random.Random(name)
    now = rig.resources.clock.now_ms() // 3_600_000
    for hour in range(now - 30 * 24, now):
        delivered = int(busy * (0.4 + 0.6 * abs(12 - hour % 24) / 12) * dice.uniform(0.8, 1.2))
        unchanged, excluded = int(delivered * dice.uniform(0.1, 0.4)), int(delivered * 0.02)
        failed = dice.choice((0, 0, 0, 0, 1, 3))
        counts = {
            "received": delivered + unchanged + excluded + failed, "delivered": delivered, "unchanged": unchanged,
            "excluded": excluded, "failed": failed, "calls": delivered + failed, "why:missing_email": excluded // 2,
            "why:invalid_value|mapping[2] Email Demographics.First Name: is longer than 100": excluded - excluded // 2,
            "segment:renters:realized": delivered // 2, "segment:renters:exited": delivered // 9,
            "segment:owners:realized": delivered // 3, "segment:owners:existing": delivered // 12,
        }  # fmt: skip
        rig.redis.hset(DestinationKeys(name).run(hour), mapping=counts)


def _calls(rig: Any, account: str) -> None:
    dice = random.Random(account)
    today = rig.resources.clock.now_ms() // 86_400_000
    days = {day: int(4200 * dice.uniform(0.7, 1.3)) for day in range(today - 400, today)}
    year = datetime.fromtimestamp(today * 86_400, UTC).year
    first = int(datetime(year, 1, 1, tzinfo=UTC).timestamp() // 86_400)
    rig.redis.hset(AccountKeys(account).calls, mapping=days)
    rig.redis.hincrby(AccountKeys(account).calls, f"y{year}", sum(count for day, count in days.items() if day >= first))
