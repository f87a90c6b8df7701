"""Loads of files: what a job notes about its files, and how far it has come.

A job's count of received records changes in the same step as the lanes (`app/lanes/append.lua`). Every record of a file
counts as received, even if it is excluded, so the count, minus the further contacts of profiles that have several (`more`),
is the number of finished records. A load continues after them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Self

import orjson

from app.errors import UsageError
from app.files.columns import Column
from app.keys import DestinationKeys
from app.reporting.jobs import unknown_job

if TYPE_CHECKING:
    from redis import Redis

    from app.files.reading import RecognisedFile


@dataclass(frozen=True, slots=True)
class Load:
    """What must stay the same for a load to be continued.

    `files`: fingerprints, empty for a pipe. `columns`: a fingerprint, or ''.
    """

    files: tuple[str, ...]
    columns: str
    occurred_at_ms: int | None
    backfill: bool
    force: bool

    @classmethod
    def of(
        cls,
        files: Sequence[RecognisedFile],
        given: Mapping[str, Column] | None,
        *,
        occurred_at_ms: int | None,
        backfill: bool,
        force: bool,
    ) -> Self:
        named = (
            None
            if given is None
            else orjson.dumps(
                {name: [column.path, column.type] for name, column in given.items()}, option=orjson.OPT_SORT_KEYS
            )
        )
        columns = "" if named is None else blake2b(named, digest_size=16).hexdigest()
        return cls(tuple(file.fingerprint for file in files), columns, occurred_at_ms, backfill, force)

    @property
    def text(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    def differences(self, before: Mapping[str, Any]) -> list[str]:
        """Say in words what has changed since the load began."""
        found = []
        if list(self.files) != before["files"]:
            if len(self.files) != len(before["files"]):
                found.append(f"There are {len(self.files)} files, and there were {len(before['files'])}.")
            found += [
                f"File {number} is another one, or was changed since."
                for number, (now, then) in enumerate(zip(self.files, before["files"], strict=False), 1)
                if now != then
            ]
        if self.columns != before["columns"]:
            found.append("--columns is not as it was.")
        if self.occurred_at_ms != before["occurred_at_ms"]:
            found.append("--occurred-at is not as it was.")
        found += [
            f"It was {'begun' if before[name] else 'not begun'} with --{name}."
            for name in ("backfill", "force")
            if getattr(self, name) != before[name]
        ]
        return found


@dataclass(frozen=True, slots=True)
class LoadedBefore:
    """`count`: finished records. `complete`: these were all."""

    count: int
    complete: bool


def loaded_before(redis: Redis, destination_id: str, job_id: str, load: Load) -> LoadedBefore:
    """Return how far a job has come with this load.

    Raises: `UsageError` if there is no such job, or it began with something else.
    """
    key = DestinationKeys(destination_id).job(job_id)
    found: Any = redis.hmget(key, ["received", "more", "load", "loaded"])
    received, more, text, complete = found
    if received is None:
        raise unknown_job(redis, job_id, [destination_id])
    if text is None:
        raise UsageError(
            f"Job {job_id} is not a load of files.",
            remedy="Only a load that `activation enqueue` began can be continued.",
        )
    if problems := load.differences(orjson.loads(text)):
        raise UsageError(
            f"Job {job_id} cannot be continued: these are not the files and options that it began with.",
            remedy="Enqueue it as a new job: what is delivered already costs no call.",
            problems=tuple(problems),
        )
    return LoadedBefore(int(received) - int(more or 0), complete is not None)
