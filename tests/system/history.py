"""Random histories of contacts, with what must be true in the end worked out by the simplest possible rule."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.system.rig import SEGMENTS, profile

START = datetime(2026, 1, 1, tzinfo=UTC)


class History:
    """Updates of contacts at distinct times; the newest value of every attribute wins, whatever the order of arrival."""

    def __init__(
        self, updates: int, contacts: int, *, seed: int = 7, duplicates: float = 0.1, shuffled: bool = True
    ) -> None:
        dice = random.Random(seed)
        self.profiles: list[dict[str, Any]] = []
        self.expected: dict[str, dict[str, Any]] = {}
        for number in range(updates):
            key = f"c-{number % contacts:05}"
            at = (START + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
            held = self.expected.setdefault(key, {"Email Addresses.HTML Enabled": True})
            kind = dice.random() if number >= contacts else 0.0
            email = f"{key}.{number}@mail.test"
            held["Email Addresses.Email Address"] = email
            if kind < 0.5:
                first = f"First{number}"
                held["Email Demographics.First Name"] = first
                self.profiles.append(profile(key, email=email, first=first, at=at))
            elif kind < 0.7:
                last = f"Last{number}"
                held["Email Demographics.Last Name"] = last
                self.profiles.append(profile(key, email=email, last=last, at=at))
            else:
                segment = dice.choice(list(SEGMENTS))
                status = dice.choice(("realized", "exited", "existing"))
                held[f"Email Demographics.{SEGMENTS[segment]}"] = status
                self.profiles.append(profile(key, email=email, at=at, segments={segment: (status, at)}))
        self.profiles += dice.sample(self.profiles, int(updates * duplicates))
        if shuffled:
            dice.shuffle(self.profiles)

    def differences(self, held: dict[str, dict[str, Any]]) -> list[str]:
        return [
            f"{key}: {held.get(key)} instead of {wanted}"
            for key, wanted in self.expected.items()
            if held.get(key) != wanted
        ] + [f"{key} is not expected" for key in held.keys() - self.expected.keys()]
