"""Trying a profile: what would be sent and from where, and what would not and why. Nothing is changed."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from app.access.roles import Role
from app.console.visit import page
from app.errors import ActivationError, SealBroken, UsageError
from app.reporting.preview import preview_profiles

if TYPE_CHECKING:
    from starlette.responses import Response

    from app.console.visit import Visit

PICKED_FROM = 30
MOST = 200


@page()
def preview(visit: Visit) -> Response:
    """Preview profiles that were pasted, or one that failed.

    Only `manage` sees values. For other roles what was delivered does not count, or values could be found out by guessing.
    """
    ids = visit.resources.destinations.ids()
    chosen, text, picked = (
        visit.text("destination") or (ids[0] if ids else ""),
        visit.text("profile"),
        visit.text("failure"),
    )
    found, problem = None, ""
    if visit.request.method == "POST":
        try:
            profiles = [_picked(visit, chosen, picked)] if picked else read_profiles(text)
            manages = visit.may(Role.MANAGE)
            if picked and manages:
                visit.note("reveal failure", chosen, picked)
            found = preview_profiles(visit.resources, chosen, profiles, reveal=manages, delivered_counts=manages)
            if found.delivered_counts:
                visit.note("preview", chosen, f"{len(profiles)} profiles")
        except ActivationError as error:
            problem = f"{error} {error.remedy}".strip()
    failures = list(islice(visit.resources.failures(chosen).all(), PICKED_FROM)) if chosen else []
    bodies = {
        call.number: orjson.dumps(call.body, option=orjson.OPT_INDENT_2).decode()
        for call in (found.calls if found else ())
    }
    return visit.page(
        "preview.html",
        ids=ids,
        chosen=chosen,
        text=text,
        picked=picked,
        found=found,
        problem=problem,
        failures=failures,
        bodies=bodies,
    )


def _picked(visit: Visit, destination_id: str, failure_id: str) -> Any:
    for failure in visit.resources.failures(destination_id).all():
        if failure.id == failure_id:
            try:
                return failure.open(visit.resources.ring, destination_id)
            except SealBroken as error:
                raise UsageError(str(error), remedy=error.remedy) from None
    raise UsageError("There is no such failure (any more).")


def read_profiles(text: str) -> list[Any]:
    """Read one profile, a list of them, or one per line. Raises: `UsageError`, which quotes nothing."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            found = [orjson.loads(line) for line in text.splitlines() if line.strip()]
        except orjson.JSONDecodeError:
            found = []
        if not found:
            raise UsageError(
                f"This is no JSON: line {error.lineno}, column {error.colno}.",
                remedy="Paste one profile, a list, or one in each line.",
            ) from None
    profiles = found if isinstance(found, list) else [found]
    if len(profiles) > MOST:
        raise UsageError(
            f"These are {len(profiles):,} profiles; at most {MOST} are tried here.",
            remedy="`activation preview` takes files.",
        )
    return profiles
