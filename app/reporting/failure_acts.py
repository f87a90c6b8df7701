"""Describes failures, enqueues them again and drops them, for the command line and the console alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import SealBroken
from app.producer import Producer
from app.reporting.failure_search import find_failures

if TYPE_CHECKING:
    from app.lanes.failures import Failure
    from app.producer import Replayed
    from app.reporting.failure_search import Wanted
    from app.resources import Resources


def replay(resources: Resources, destination_id: str, wanted: Wanted) -> Replayed:
    """Enqueue failures again. Raises: as `Producer.replay`."""
    found = find_failures(resources, destination_id, wanted)
    return Producer(resources).replay(destination_id, resources.failures(destination_id), found)


def discard(resources: Resources, destination_id: str, wanted: Wanted) -> int:
    """Drop failures. Returns how many there were."""
    ids = [failure.id for failure in find_failures(resources, destination_id, wanted)]
    resources.failures(destination_id).remove(ids)
    return len(ids)


def describe(failure: Failure, resources: Resources, name: str, *, reveal: bool) -> dict[str, object]:
    """Describe a failure for programs and files; without `reveal` the profile is left out."""
    found: dict[str, object] = {
        "id": failure.id,
        "failed_at_ms": failure.failed_at_ms,
        "code": failure.code,
        "text": failure.text,
        "remedy": failure.remedy,
        "request_id": failure.request_id,
        "http_status": failure.http_status,
        "attempts": failure.attempts,
        "job": failure.origin.job_id,
    }
    if reveal:
        try:
            profile = failure.open(resources.ring, name)
        except SealBroken:
            profile = None
        found |= {"service_message": failure.service_message, "profile": profile}
    return found
