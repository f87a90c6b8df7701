"""How processes log: nothing from a message or profile, and lasting conditions only once in a while.

Libraries log the messages that they cannot read, and errors quote the values they complain about. So records of libraries
keep their text but lose their arguments, and a traceback ends with the name of its error alone.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from datetime import UTC, datetime
from threading import Lock
from traceback import FrameSummary, extract_tb
from types import TracebackType
from typing import Any

import orjson

SAY_AGAIN_SECONDS = 60.0
LIBRARIES = (
    "celery",
    "kombu",
    "amqp",
    "redis",
    "urllib3",
    "requests",
    "billiard",
    "vine",
    "tornado",
    "asyncio",
    "aiohttp",
    "uvicorn",
    "starlette",
)
_FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"
_SAFE_LENGTH = 200
# beginnings of library texts whose arguments describe processes and queues, never a message
_TELLING = (
    "Task %(name)s[%(id)s] received",
    "Task %(name)s[%(id)s] succeeded",
    "Task %(name)s[%(id)s] retry",
    "%s ready.",
    "Connected to %s",
    "consumer: Cannot connect to %s",
    "Scheduler: Sending due task %s",
    "beat:",
    "mingle:",
    "sync with",
)

_WARNING = re.compile(r"(.{1,500}?:\d+: \w+):")  # file, line and kind, as `warnings.formatwarning` writes them

_said: dict[str, float] = {}
_lock = Lock()


def say_once(log: logging.Logger, what: str, text: str, *arguments: object, level: int = logging.WARNING) -> bool:
    """Log a text unless the same thing (`what`) was logged within the last minute. Returns whether it was logged."""
    now = time.monotonic()
    with _lock:
        if now - _said.get(what, float("-inf")) < SAY_AGAIN_SECONDS:
            return False
        if len(_said) > 1000:
            _said.clear()
        _said[what] = now
    log.log(level, text, *arguments)
    return True


# what a record may name besides its text (`extra=`): ids, codes, and a contact by the keyed digest of its key
IDS = ("destination", "lane", "job", "call", "contact", "code")


class Discreet(logging.Formatter):
    """Formats records for people, so that they contain nothing that came from outside."""

    def __init__(self) -> None:
        super().__init__(_FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """Return the line, followed by the ids."""
        ids = " ".join(f"{name}={value}" for name, value in _ids(record).items())
        return super().formatMessage(record) + (f" [{ids}]" if ids else "")

    def format(self, record: logging.LogRecord) -> str:
        """Make each record one line, except for a traceback's frames, so that no sender's text can look like another record."""
        if record.name == "py.warnings":
            record = logging.makeLogRecord({**record.__dict__, "msg": _warned(record), "args": None})
        elif record.name == "asyncio":
            record = logging.makeLogRecord({**record.__dict__, "msg": _begun(record), "args": None, "exc_text": None})
        elif record.name.partition(".")[0] in LIBRARIES:
            record = logging.makeLogRecord({**record.__dict__, "args": _masked(record), "exc_text": None})
        try:
            text = super().format(record)
        except (TypeError, ValueError, KeyError):  # the arguments do not fit; logging would show them all
            text = super().format(logging.makeLogRecord({**record.__dict__, "msg": str(record.msg), "args": None}))
        first, *rest = text.splitlines() or [""]
        return "\n".join([first, *(f"    {line}" for line in rest)])

    def formatException(self, info: Any) -> str:  # noqa: N802  # logging's name
        """Return the frames and the kinds of the errors, but not their texts."""
        error: BaseException | None = info[1]
        lines: list[str] = []
        while error is not None:
            lines += [_frame(frame) for frame in extract_tb(error.__traceback__)]
            lines.append(type(error).__name__)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n".join(lines)


class DiscreetJson(Discreet):
    """The same for programs: one JSON object per line, with the ids as separate members."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """Return the text alone: everything else has its own member."""
        return record.message

    def format(self, record: logging.LogRecord) -> str:
        """Return a JSON object. `time` is RFC 3339 in UTC; `text` may have several lines, those of a traceback."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        document = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.processName,
            "pid": record.process,
            **_ids(record),
            "text": super().format(record),
        }
        return orjson.dumps(document, default=str).decode()


def _ids(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name in IDS if (value := getattr(record, name, None)) not in (None, "")}


def _frame(frame: FrameSummary) -> str:
    return f"  {frame.filename}:{frame.lineno} in {frame.name}"


def _warned(record: logging.LogRecord) -> str:
    """Return where a library warns and of which kind; its text may quote what it could not read."""
    found = _WARNING.match(record.getMessage())
    return found[1] if found else "…"


def _begun(record: logging.LogRecord) -> str:
    """Return the start of asyncio's own record, which holds no value; callbacks, tasks and their errors follow."""
    return re.split(r"[\n(<]", str(record.msg), maxsplit=1)[0].rstrip()


def _masked(record: logging.LogRecord) -> Any:
    """Return the arguments of a library's record without what may come from a message."""
    told = isinstance(record.msg, str) and record.msg.startswith(_TELLING)
    if isinstance(record.args, dict):
        keep = ("name", "id", "runtime", "hostname") if told else ("name", "id")
        return {name: _mask(value) if name in keep else "…" for name, value in record.args.items()}
    if isinstance(record.args, tuple):
        return tuple(_mask(value, told=told) for value in record.args)
    return record.args


def _mask(value: Any, *, told: bool = True) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return type(value).__name__
    text = str(value) if told and isinstance(value, str) else ""
    return text if text and len(text) <= _SAFE_LENGTH and text.isprintable() else "…"


def configure(level: str, *, form: str = "console") -> None:
    """Log discreetly to standard error, including errors that end a thread or the process. `form`: console or json."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(DiscreetJson() if form == "json" else Discreet())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)

    def on_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        logging.getLogger("app").critical("The process ends in an error.", exc_info=(kind, error, trace))

    def on_thread_error(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_type is not SystemExit:
            name = ended.thread.name if ended.thread else "?"
            error = ended.exc_value or ended.exc_type()
            logging.getLogger("app").critical(
                "The thread %s ends in an error.", name, exc_info=(ended.exc_type, error, ended.exc_traceback)
            )

    def on_unraisable(lost: sys.UnraisableHookArgs) -> None:
        kind = type(lost.object) if lost.object is not None else lost.exc_type
        what = getattr(lost.object, "__qualname__", kind.__qualname__)
        error = lost.exc_value or lost.exc_type()
        logging.getLogger("app").error(
            "An error in %s could not be raised.", what, exc_info=(lost.exc_type, error, lost.exc_traceback)
        )

    sys.excepthook = on_error
    sys.unraisablehook = on_unraisable
    threading.excepthook = on_thread_error
