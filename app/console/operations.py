"""The operations of the JSON API."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from app.access.roles import Role
from app.console.api import Ask, Operation
from app.destinations import operating
from app.destinations.file import load
from app.destinations.writing import SECRET_VARIABLE, as_file
from app.errors import UsageError
from app.ids import JOB_ID
from app.intake.counts import SourceCounts, read_counts
from app.intake.sources import SourceStore
from app.mapping.paths import spell_target
from app.moments import parse_time
from app.producer import Producer
from app.reporting.alerts import read_alerts
from app.reporting.audit import read_acts
from app.reporting.contact import account_copy, read_contact
from app.reporting.destinations import Glance, describe_segments, glance, glances
from app.reporting.failure_acts import describe, discard, replay
from app.reporting.failure_search import Wanted, find_failures
from app.reporting.jobs import Job, read_job, read_jobs
from app.reporting.losses import find_losses
from app.reporting.preview import preview_as_json, preview_profiles
from app.reporting.runs import read_runs

MOST_HOURS = 840
SHOWN = 100
FILTER = {"code": "text", "field": "text", "segment": "text", "job": "text", "since_ms": "number", "until_ms": "number"}


def _told(item: Glance) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.name,
        "state": asdict(item.state) | {"status": item.status},
        "waiting": asdict(item.waiting),
        "oldest_waiting_seconds": item.oldest_seconds,
        "failures": item.failures,
        "success": item.success,
        "quota": asdict(item.quota),
        "pace": None if item.pace is None else asdict(item.pace),
        "catalog_failure": item.catalog_failure,
        "problem": item.problem,
        "segments": describe_segments(item.destination),
    }


def list_destinations(ask: Ask) -> Any:
    return {"destinations": [_told(item) for item in glances(ask.resources)]}


def get_destination(ask: Ask) -> Any:
    ask.resources.destinations.about(ask.destination_id)
    item = glance(ask.resources, ask.destination_id)
    return _told(item) | {"file": None if item.destination is None else as_file(item.destination)}


def connect_destination(ask: Ask) -> Any:
    local = ask.resources.settings.local_hosts
    destination = load(
        ask.given["file"],
        environ={SECRET_VARIABLE: ask.given.get("client_secret", "")},
        where="file",
        allow_local_hosts=local is not None,
        local_names=local or frozenset(),
        connected=partial(operating.former, ask.resources),
    )
    if destination.id != ask.destination_id:
        raise UsageError("The id in the file is not the one in the address.")
    of_account = bool(ask.given.get("limits_of_account"))
    if ask.given.get("test_only"):
        problems = operating.try_destination(ask.resources, destination, limits_of_account=of_account).problems
    else:
        connection = operating.connect(ask.resources, destination, limits_of_account=of_account)
        problems = connection.problems
        if not connection.connected:
            texts = tuple(f"{item.where}: {item.text} {item.remedy}".strip() for item in problems)
            raise UsageError(
                f"{destination.id} is not connected.", remedy="Fix what is listed and try again.", problems=texts
            )
        ask.note("connect", destination.id, f"version {destination.version}")
    return {"connected": not ask.given.get("test_only"), "problems": [asdict(item) for item in problems]}


def pause_destination(ask: Ask) -> Any:
    state = operating.pause(ask.resources, ask.destination_id)
    ask.note("pause", ask.destination_id)
    return asdict(state)


def resume_destination(ask: Ask) -> Any:
    state = operating.resume(ask.resources, ask.destination_id)
    ask.note("resume", ask.destination_id)
    return asdict(state)


def disconnect_destination(ask: Ask) -> Any:
    lost = find_losses(ask.resources, ask.destination_id)
    ask.resources.destinations.remove(ask.destination_id)
    ask.note("disconnect", ask.destination_id, str(lost))
    return {"connected": False, "lost": asdict(lost)}


def refresh_fields(ask: Ask) -> Any:
    operating.refresh_fields(ask.resources, ask.destination_id)
    ask.note("refresh fields", ask.destination_id)
    return list_fields(ask)


def list_fields(ask: Ask) -> Any:
    ask.resources.destinations.about(ask.destination_id)
    found = ask.resources.catalogs.get(ask.destination_id)
    if found is None:
        return {"fetched_at_ms": 0, "fields": []}
    candidates = {one.qualified for one in found.mapping_id_candidates()}
    return {
        "fetched_at_ms": found.fetched_at_ms,
        "fields": [
            {
                "target": spell_target(one.set_name, one.name),
                "type": one.data_type,
                "length": one.length,
                "required": not one.is_nullable,
                "values": one.restricted_values,
                "mapping_id": one.qualified in candidates,
            }
            for one in found.selectable()
        ],
    }


def list_runs(ask: Ask) -> Any:
    ask.resources.destinations.about(ask.destination_id)
    hours = min(max(1, ask.given.get("hours", 24)), MOST_HOURS)
    runs = read_runs(ask.resources.redis, ask.destination_id, hours=hours)
    return {"runs": [{"start_ms": run.start_ms, **asdict(run)} for run in runs]}


def enqueue_profiles(ask: Ask) -> Any:
    problems, job, occurred_at = [], ask.given.get("job"), ask.given.get("occurred_at")
    if job is not None and not JOB_ID.allows(job):
        problems.append(f"job: {JOB_ID.must}.")
    if occurred_at is not None:
        try:
            parse_time(occurred_at)
        except ValueError as error:
            problems.append(f"occurred_at: {error}, like 2026-11-22T10:00:00Z.")
    if problems:
        raise UsageError("The request has problems.", problems=tuple(problems))
    job = Producer(ask.resources).enqueue(
        ask.destination_id,
        ask.given["profiles"],
        occurred_at=occurred_at,
        job_id=job,
        backfill=ask.given.get("backfill", False),
    )
    ask.note("enqueue", ask.destination_id, f"{len(ask.given['profiles'])} as job {job}")
    return {"job": job}


def preview(ask: Ask) -> Any:
    manages = ask.actor.role.covers(Role.MANAGE)
    found = preview_profiles(
        ask.resources,
        ask.destination_id,
        ask.given["profiles"],
        backfill=ask.given.get("backfill", False),
        reveal=manages,
        delivered_counts=manages,
    )
    if found.delivered_counts:
        ask.note("preview", ask.destination_id, f"{len(ask.given['profiles'])} profiles")
    return preview_as_json(found)


def _wanted(ask: Ask) -> Wanted:
    return Wanted(**{name: ask.given[name] for name in FILTER if name in ask.given})


def list_failures(ask: Ask) -> Any:
    ask.resources.destinations.about(ask.destination_id)
    found = list(find_failures(ask.resources, ask.destination_id, _wanted(ask)))
    newest = found[::-1][: min(ask.given.get("limit", SHOWN), 1_000)]
    return {
        "count": len(found),
        "failures": [describe(item, ask.resources, ask.destination_id, reveal=False) for item in newest],
    }


def replay_failures(ask: Ask) -> Any:
    done = replay(ask.resources, ask.destination_id, _wanted(ask))
    if done.job_id:
        ask.note("replay", ask.destination_id, f"{done.count} as job {done.job_id}")
    return {"replayed": done.count, "locked": done.locked, "job": done.job_id or None}


def discard_failures(ask: Ask) -> Any:
    ask.resources.destinations.about(ask.destination_id)
    count = discard(ask.resources, ask.destination_id, _wanted(ask))
    ask.note("discard", ask.destination_id, str(count))
    return {"discarded": count}


def look_up_contact(ask: Ask) -> Any:
    found = read_contact(ask.resources, ask.destination_id, ask.given["key"])
    told: dict[str, Any] = {
        "delivered": [asdict(item) for item in found.delivered],
        "waiting": [asdict(item) for item in found.waiting],
        "failed": [describe(item, ask.resources, ask.destination_id, reveal=False) for item in found.failed],
        "incomplete": found.incomplete,
    }
    if ask.given.get("account"):
        if not ask.actor.role.covers(Role.MANAGE):
            raise UsageError("`account` shows values, and needs the role manage.")
        told["account"] = account_copy(ask.resources, ask.destination_id, ask.given["key"])
    ask.note(
        "read contact of account" if ask.given.get("account") else "look up contact",
        ask.destination_id,
        f"contact {found.tag}",
    )
    return told


def _job(job: Job) -> dict[str, Any]:
    return asdict(job) | {"pending": job.pending}


def list_jobs(ask: Ask) -> Any:
    return {
        "jobs": [_job(job) for job in read_jobs(ask.resources.redis, limit=min(ask.given.get("limit", SHOWN), 1_000))]
    }


def list_sources(ask: Ask) -> Any:
    store = SourceStore(ask.resources.redis, ask.resources.ring)
    known, locked = store.all()
    counted = read_counts(ask.resources.redis).sources
    return {
        "sources": [
            {"name": one.name, "destinations": one.destinations, **asdict(counted.get(one.name, SourceCounts()))}
            for one in known
        ],
        "locked": locked,
    }


def get_job(ask: Ask) -> Any:
    return _job(read_job(ask.resources.redis, str(ask.given["job"])))


def list_alerts(ask: Ask) -> Any:
    found = read_alerts(ask.resources.redis)
    return {
        "open": [
            {**asdict(item.alert), "severity": item.alert.severity, "opened_ms": item.opened_ms} for item in found.open
        ],
        "events": [
            {"event": one.what, "at_ms": one.at_ms, "muted": one.muted, **asdict(one.alert)} for one in found.events
        ],
        "muted": [asdict(item) for item in found.muted],
    }


def list_acts(ask: Ask) -> Any:
    found = read_acts(ask.resources.redis, ask.resources.ring, most=min(ask.given.get("limit", SHOWN), 10_000))
    return {"acts": [{"at_ms": at_ms, **asdict(act)} for at_ms, act in found]}


_D = "/v1/destinations/{destination}"
OPERATIONS = [
    Operation(
        "GET", "/v1/destinations", Role.VIEW, "Every destination with state, backlog, quota and pace", list_destinations
    ),
    Operation(
        "GET",
        _D,
        Role.VIEW,
        "One destination, with its file (without secrets and addresses of alerts)",
        get_destination,
    ),
    Operation(
        "PUT",
        _D,
        Role.MANAGE,
        "Connect or replace after a live test; `test_only` changes nothing",
        connect_destination,
        body={"file": "text", "client_secret": "text", "test_only": "flag", "limits_of_account": "flag"},
        needed=("file",),
    ),
    Operation(
        "DELETE",
        _D,
        Role.MANAGE,
        "Disconnect: its backlog, failures and delivered state are lost; contacts in Marketing Cloud stay",
        disconnect_destination,
    ),
    Operation("POST", f"{_D}/pause", Role.ACTIVATE, "Stop delivering; profiles wait", pause_destination),
    Operation("POST", f"{_D}/resume", Role.ACTIVATE, "Deliver again, or probe at once", resume_destination),
    Operation("GET", f"{_D}/fields", Role.VIEW, "The fields that a mapping may target, as cached", list_fields),
    Operation("POST", f"{_D}/fields/refresh", Role.ACTIVATE, "Fetch the fields now", refresh_fields),
    Operation("GET", f"{_D}/runs", Role.VIEW, "Hourly counts, newest first", list_runs, query={"hours": "number"}),
    Operation(
        "POST",
        f"{_D}/profiles",
        Role.ACTIVATE,
        "Enqueue profiles",
        enqueue_profiles,
        body={"profiles": "list", "job": "text", "backfill": "flag", "occurred_at": "text"},
        needed=("profiles",),
    ),
    Operation(
        "POST",
        f"{_D}/preview",
        Role.VIEW,
        "What would be sent for profiles, and why not; changes nothing. Below `manage` as if nothing had been delivered",
        preview,
        body={"profiles": "list", "backfill": "flag"},
        needed=("profiles",),
    ),
    Operation(
        "GET",
        f"{_D}/failures",
        Role.VIEW,
        "Failures without their profiles, newest first",
        list_failures,
        query={**FILTER, "limit": "number"},
    ),
    Operation("POST", f"{_D}/failures/replay", Role.ACTIVATE, "Enqueue failures again", replay_failures, body=FILTER),
    Operation("POST", f"{_D}/failures/discard", Role.ACTIVATE, "Drop failures for good", discard_failures, body=FILTER),
    Operation(
        "POST",
        f"{_D}/contact",
        Role.VIEW,
        "One contact by key: delivered, waiting, failed",
        look_up_contact,
        body={"key": "text", "account": "flag"},
        needed=("key",),
    ),
    Operation("GET", "/v1/jobs", Role.VIEW, "The newest jobs", list_jobs, query={"limit": "number"}),
    Operation("GET", "/v1/sources", Role.VIEW, "Who may send by HTTP, and what came of it", list_sources),
    Operation("GET", "/v1/jobs/{job}", Role.VIEW, "One job's counts", get_job),
    Operation("GET", "/v1/alerts", Role.VIEW, "Alerts: open, of late, muted", list_alerts),
    Operation("GET", "/v1/audit", Role.MANAGE, "Who did what when, newest first", list_acts, query={"limit": "number"}),
]
