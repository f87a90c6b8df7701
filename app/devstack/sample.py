"""Sample profiles for the demo, with their expected results worked out here rather than by the pipeline.

All people are invented; the addresses end in `.test`, which no mail ever reaches.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

SEGMENTS = {
    "7841ba61-23c1-4bb3-a495-00d3e5fe1e93": "salesforce_mc_segment_1",
    "59bd2fed-3c48-4b18-bf56-4f5c5e6967ae": "salesforce_mc_segment_2",
}
DESTINATION = """\
id: demo
name: Demo
description: Rental offers to sample contacts
account:
  subdomain: mcdemo
  client_id: sandbox-client
  client_secret: sandbox-secret
  auth_base_url: {base_url}/t/mcdemo
  rest_base_url: {base_url}/t/mcdemo
mapping:
  - {{source: "IdentityMap: contactKey", target: "Identity: salesforceContactKey"}}
  - {{source: "xdm: personalEmail.address", target: "Attribute: Email Addresses.Email Address"}}
  - {{source: "xdm: person.name.firstName", target: "Attribute: Email Demographics.First Name"}}
  - {{source: "xdm: person.name.lastName", target: "Attribute: Email Demographics.Last Name"}}
  - {{source: "xdm: loyalty.points", target: "Attribute: Email Demographics.Loyalty Points"}}
  - {{source: "const: demo", target: "Attribute: Email Demographics.Market"}}
segments:
  - {{id: 7841ba61-23c1-4bb3-a495-00d3e5fe1e93, name: Renters, mapping_id: salesforce_mc_segment_1}}
  - {{id: 59bd2fed-3c48-4b18-bf56-4f5c5e6967ae, name: Owners, mapping_id: salesforce_mc_segment_2}}
limits: {{calls_per_minute: 60000, max_in_flight: 10}}
"""
_FIRST = ("Ada", "Ben", "Cleo", "Dov", "Esra", "Finn", "Gita", "Hugo", "Ines", "Jan")
_LAST = ("Abel", "Brandt", "Costa", "Duran", "Ekman", "Fischer", "Gallo", "Horvat")


@dataclass(slots=True)
class Sample:
    """Profiles in two waves (the second is sent when the first is done), and what Marketing Cloud must then hold."""

    first: list[Any] = field(default_factory=list)
    second: list[Any] = field(default_factory=list)
    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)

    @property
    def profiles(self) -> int:
        return len(self.first) + len(self.second)


def make_sample(count: int) -> Sample:
    """Return `count` profiles in total: new contacts, updates, repeats, late arrivals, and some that must not go through."""
    dice = random.Random(1)  # noqa: S311  # sample data
    sample = Sample()
    expected = {"delivered": 0, "unchanged": 0, "superseded": 0, "excluded": 0, "failed": 0}
    special = max(1, count // 50)
    people = count - 7 * special
    for number in range(people):
        profile, contact = _person(number, dice)
        sample.first.append(profile)
        sample.contacts[f"c-{number:06}"] = contact
        expected["delivered"] += 1
    for number in range(special):
        key = f"c-{number % people:06}"
        # the same again: nothing to do
        repeat, _ = _person(number % people, random.Random(0), like=sample.first[number % people])  # noqa: S311
        sample.second.append(repeat)
        expected["unchanged"] += 1
        # an older name that arrives late
        sample.second.append(
            _profile(
                key,
                "2026-01-01T00:00:00Z",
                person={"name": {"firstName": "Older", "lastName": "Older"}},
                loyalty={"points": 1},
            )
        )
        expected["superseded"] += 1
        # a partial update: what it does not mention stays
        points = dice.randrange(5_000)
        sample.second.append(_profile(key, "2026-03-01T00:00:00Z", loyalty={"points": 10_000 + points}))
        sample.contacts[key]["Email Demographics.Loyalty Points"] = 10_000 + points
        expected["delivered"] += 1
        # excluded: no contact key, no address, not even an object
        sample.first.append({"person": {"name": {"firstName": "Nobody"}}})
        sample.first.append(_profile(f"x-{number:06}", personalEmail={"address": "nobody"}))
        sample.first.append(["not", "a", "profile"])
        expected["excluded"] += 3
        # refused by Marketing Cloud itself
        sample.first.append(_profile(f"f-{number:06}", personalEmail={"address": f"someone{number}@example.com"}))
        expected["failed"] += 1
    dice.shuffle(sample.first)
    sample.outcomes = expected
    return sample


def _person(number: int, dice: random.Random, like: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    if like is not None:
        return dict(like), {}
    first, last = dice.choice(_FIRST), dice.choice(_LAST)
    email, points = f"{first}.{last}.{number}@mail.test".lower(), dice.randrange(5_000)
    statuses = {segment: dice.choice(("realized", "existing", "exited")) for segment in SEGMENTS}
    profile = _profile(
        f"c-{number:06}",
        "2026-02-01T00:00:00Z",
        person={"name": {"firstName": first, "lastName": last}},
        personalEmail={"address": email},
        loyalty={"points": points},
        segmentMembership={
            "ups": {
                segment: {"status": status, "lastQualificationTime": "2026-02-01T10:00:00Z"}
                for segment, status in statuses.items()
            }
        },
    )
    contact = {
        "Email Addresses.Email Address": email,
        "Email Addresses.HTML Enabled": True,
        "Email Demographics.First Name": first,
        "Email Demographics.Last Name": last,
        "Email Demographics.Loyalty Points": points,
        "Email Demographics.Market": "demo",
        **{f"Email Demographics.{SEGMENTS[segment]}": status for segment, status in statuses.items()},
    }
    return profile, contact


def _profile(key: str, occurred_at: str | None = None, **parts: Any) -> dict[str, Any]:
    profile = {"identityMap": {"contactKey": [{"id": key, "primary": True}]}, **parts}
    if occurred_at is not None:
        profile["occurredAt"] = occurred_at
    return profile
