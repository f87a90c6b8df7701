"""What could not be delivered, what to do about it, and doing it: replay, export, discard."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson
from starlette.responses import StreamingResponse

from app.access.roles import Role
from app.console.visit import page
from app.errors import SealBroken, UsageError, WorkHasProblems
from app.moments import HOUR_MS, read_epoch_ms
from app.reporting.failure_acts import describe, discard, replay
from app.reporting.failure_search import Wanted, find_failures, group
from app.reporting.masking import known_names, mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.responses import Response

    from app.console.visit import Visit
    from app.resources import Resources

SHOWN = 50
AGES = {"": "any age", "1": "the last hour", "24": "the last day", "168": "the last week"}
ROLES = {"replay": Role.ACTIVATE, "discard": Role.ACTIVATE, "export": Role.MANAGE}


def _wanted(visit: Visit, until_ms: int | None = None) -> Wanted:
    hours = visit.text("hours")
    since_ms = visit.resources.clock.now_ms() - int(hours) * HOUR_MS if hours in AGES and hours else None
    return Wanted(
        visit.text("code"),
        visit.text("field"),
        visit.text("segment"),
        visit.text("job"),
        read_epoch_ms(visit.text("since_ms")) if visit.text("since_ms") else since_ms,
        until_ms,
    )


@page()
def failures(visit: Visit) -> Response:
    """Show the failures of one destination; by default the first that has any."""
    ids = visit.resources.destinations.ids()
    counts = {name: len(visit.resources.failures(name)) for name in ids}
    chosen = visit.text("destination") or next((name for name in ids if counts[name]), ids[0] if ids else "")
    if chosen and chosen not in counts:
        visit.resources.destinations.about(chosen)
        counts[chosen] = len(visit.resources.failures(chosen))  # was connected meanwhile
    wanted = _wanted(visit)
    found = list(find_failures(visit.resources, chosen, wanted)) if chosen else []
    # opening every record is costly, so do it only once
    every = found if wanted == Wanted() or not chosen else visit.resources.failures(chosen).all()
    codes = sorted({item.code for item in every})
    segments = []
    if chosen:
        try:
            segments = list(visit.resources.destinations.get(chosen).segments)
        except SealBroken:
            segments = []
    return visit.page(
        "failures.html",
        counts=counts,
        chosen=chosen,
        groups=group(found),
        found=found[::-1][:SHOWN],
        total=len(found),
        ages=AGES,
        codes=codes,
        segments=segments,
        query=_query(visit),
    )


def _query(visit: Visit) -> dict[str, str]:
    return {name: visit.text(name) for name in ("code", "field", "segment", "job", "hours")}


@page(role=Role.ACTIVATE)
def confirm(visit: Visit) -> Response:
    """Show how many failures an action would affect."""
    act = _act(visit)
    now_ms = visit.resources.clock.now_ms()
    wanted = _wanted(visit, now_ms)
    count = sum(1 for _ in find_failures(visit.resources, visit.destination_id, wanted))
    kept = {name: value for name, value in asdict(wanted).items() if value not in ("", None)}
    return visit.page(
        "failures_confirm.html", act=act, name=visit.destination_id, count=count, kept=kept, since_ms=wanted.since_ms
    )


def _act(visit: Visit) -> str:
    act = str(visit.request.path_params["act"])
    if act not in ROLES:
        raise UsageError("There is no such action.")
    visit.demand(ROLES[act])
    visit.resources.destinations.about(visit.destination_id)
    return act


@page(role=Role.ACTIVATE)
def act(visit: Visit) -> Response:
    what, name = _act(visit), visit.destination_id
    wanted = _wanted(visit, read_epoch_ms(visit.text("until_ms")))
    back = f"/failures?destination={name}"
    detail = ", ".join(f"{key} {value}" for key, value in asdict(wanted).items() if value and not key.endswith("_ms"))
    match what:
        case "replay":
            done = replay(visit.resources, name, wanted)
            count, locked, job = done.count, done.locked, done.job_id
            if job:
                visit.note("replay", name, f"{count} as job {job}" + (f"; {detail}" if detail else ""))
            if locked:
                raise WorkHasProblems(
                    f"{count:,} are enqueued again; {locked:,} stay, since no key opens them, or they were altered.",
                    remedy="Add the key that they were sealed with back to the end of ACTIVATION_SECRET_KEYS.",
                )
            return visit.go(
                back, f"{count:,} are enqueued again, as job {job}." if job else "There is nothing to enqueue again."
            )
        case "discard":
            count = discard(visit.resources, name, wanted)
            visit.note("discard", name, f"{count}" + (f"; {detail}" if detail else ""))
            return visit.go(back, f"{count:,} are discarded.")
        case _:
            visit.note("export", name, detail)
            return StreamingResponse(
                _lines(visit.resources, name, wanted),
                media_type="application/x-ndjson",
                headers={"content-disposition": f'attachment; filename="failures-{name}.jsonl"'},
            )


def _lines(resources: Resources, name: str, wanted: Wanted) -> Iterator[bytes]:
    for failure in find_failures(resources, name, wanted):
        yield orjson.dumps(describe(failure, resources, name, reveal=True)) + b"\n"


@page()
def one(visit: Visit) -> Response:
    """Show one failure: its shape or, on demand and with the role `manage`, its values."""
    name = visit.destination_id
    wanted_id = visit.request.path_params["failure"]
    destination = visit.resources.destinations.get(name)
    failure = visit.resources.failures(name).get(wanted_id)
    if failure is None:
        raise UsageError("There is no such failure (any more).", remedy="It may have been replayed or discarded.")
    reveal = visit.request.method == "POST"
    if reveal:
        visit.demand(Role.MANAGE)
        visit.note("reveal failure", name, failure.id)
    try:
        profile = failure.open(visit.resources.ring, name)
        shown = profile if reveal else mask(profile, known_names(destination))
        text = orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()
    except SealBroken as error:
        text = f"{error} {error.remedy}"
    return visit.page("failure.html", name=name, item=failure, text=text, reveal=reveal)
