"""Sends sample profiles to this machine's HTTP intake as a service would: ten per request, repeated when told to come again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any

import orjson

from app.errors import ServiceUnreachable, WorkHasProblems

TOGETHER = 10
TRY_SECONDS = 60.0


def send(port: int, destination: str, key: str, profiles: Sequence[Any], *, job: str) -> None:
    """Send profiles.

    Raises: `ServiceUnreachable` if the intake does not take them within a minute; `WorkHasProblems` if it refuses.
    """
    path = f"/v1/destinations/{destination}/profiles?job={job}"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    deadline = time.monotonic() + TRY_SECONDS
    try:
        for start in range(0, len(profiles), TOGETHER):
            body = orjson.dumps(profiles[start : start + TOGETHER])
            while (status := _post(connection, path, body, headers)) != 202:
                if status not in (0, 503):
                    raise WorkHasProblems(f"The intake answered {status}.", remedy="Its log says why.")
                if time.monotonic() > deadline:
                    raise ServiceUnreachable("The intake does not take the profiles.", remedy="Its log says why.")
                time.sleep(0.2)
    finally:
        connection.close()


def _post(connection: HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> int:
    """Return the status of the answer; 0 for none."""
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, HTTPException):
        connection.close()
        return 0
    return answer.status
