"""Lines of a log: for people, for programs, and never with what came from outside."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from app.devstack.logfiles import KEPT, rotate
from app.errors import ContactRefused
from app.lanes.entries import Entry, Origin
from app.lanes.outcomes import Ledger
from app.logs import Discreet, DiscreetJson
from app.reporting.measures import Measures
from app.sealing import KeyRing, make_key
from app.settings import Settings

TAG = bytes(range(12))


@pytest.fixture
def lines() -> io.StringIO:
    return io.StringIO()


def logger(lines: io.StringIO, formatter: logging.Formatter, name: str = "app.test") -> logging.Logger:
    made = logging.Logger(name)  # noqa: LOG001  # of this test alone, and not in the tree
    handler = logging.StreamHandler(lines)
    handler.setFormatter(formatter)
    made.addHandler(handler)
    return made


def test_a_line_for_programs_is_one_object_with_its_ids(lines):
    logger(lines, DiscreetJson()).warning("It is %s.", "so", extra={"destination": "camp", "lane": 0, "job": ""})
    document = orjson.loads(lines.getvalue())
    assert lines.getvalue().count("\n") == 1
    assert {name: document[name] for name in ("level", "logger", "destination", "lane", "text")} == {
        "level": "warning", "logger": "app.test", "destination": "camp", "lane": 0, "text": "It is so.",
    }  # fmt: skip
    assert document["time"].endswith("Z")
    assert "job" not in document


def test_a_line_for_people_has_its_ids_behind_it(lines):
    logger(lines, Discreet()).warning("It is so.", extra={"destination": "camp", "lane": 3})
    assert lines.getvalue().endswith("It is so. [destination=camp lane=3]\n")


@pytest.mark.parametrize("formatter", [Discreet(), DiscreetJson()])
def test_neither_shows_what_a_library_filled_in_or_an_error_said(lines, formatter):
    logger(lines, formatter, "kombu.message").error("Could not read %r", "ann@mail.test")
    try:
        int("ann@mail.test")
    except ValueError:
        logger(lines, formatter).exception("It failed.")
    assert "ann@mail.test" not in lines.getvalue()
    assert "ValueError" in lines.getvalue()


def test_what_became_of_a_profile_is_told_with_ids_and_no_contact_key(caplog):
    ledger = Ledger("camp", KeyRing([make_key()]), Settings.from_env(), Measures())
    entry = Entry(b"1-1", False, Origin("job-1", 0, 0, 0, "", TAG), 0, 0, b"")
    error = ContactRefused("Refused.", code="invalid_email_address", request_id="m-1", service_message="ann@mail.test")
    with caplog.at_level(logging.INFO, "app.lanes.outcomes"):
        ledger.fail(entry, error, now_ms=1)
    (record,) = caplog.records
    assert (record.destination, record.job, record.lane) == ("camp", "job-1", 1)
    assert (record.contact, record.code, record.call) == (TAG.hex(), "invalid_email_address", "m-1")
    assert "ann@mail.test" not in Discreet().format(record) + DiscreetJson().format(record)


def test_a_full_log_is_put_aside_while_its_process_goes_on(tmp_path: Path):
    path = tmp_path / "worker-1.log"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(KEPT + 2):
        os.write(handle, f"{number}".encode() * 10)
        assert rotate(tmp_path, most_bytes=10) == ["worker-1.log"]
    os.write(handle, b"new")
    os.close(handle)
    assert rotate(tmp_path, most_bytes=10) == []
    assert {file.name: file.read_text()[0] for file in tmp_path.iterdir()} == {
        "worker-1.log": "n", "worker-1.log.1": "4", "worker-1.log.2": "3", "worker-1.log.3": "2",
    }  # fmt: skip


def test_what_ends_the_process_or_a_thread_is_told_without_its_text() -> None:
    program = """
import threading, warnings
from app.logs import configure
configure("INFO")
def fail():
    raise ValueError("ann@mail.test")
thread = threading.Thread(target=fail, name="of-a-test")
thread.start()
thread.join()
warnings.warn("No encoder for ann@mail.test")
fail()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "The thread of-a-test ends in an error." in done.stderr
    assert "The process ends in an error." in done.stderr
    assert re.search(r"<string>:\d+: UserWarning$", done.stderr, re.MULTILINE)
    assert done.stderr.count("ValueError") == 2
    assert "ann@mail.test" not in done.stderr


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_a_loop_or_the_interpreter_says_of_lost_errors_holds_no_value(loop: str) -> None:
    program = f"""
import asyncio, gc, {loop}
from app.logs import configure
configure("INFO")
async def fail():
    raise ValueError("ann@mail.test")
async def main():
    task = asyncio.ensure_future(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()
    asyncio.get_running_loop().call_soon(lambda text: 1 / 0, "ann@mail.test")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
{loop}.run(main())
class Ended:
    def __del__(self):
        raise KeyError("ann@mail.test")
Ended()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Task exception was never retrieved" in done.stderr
    assert "Exception in callback" in done.stderr
    assert re.search(r"An error in Ended\S* could not be raised", done.stderr)
    assert [word for word in re.findall(r"\w+Error", done.stderr) if word != "ZeroDivisionError"] == [
        "ValueError",
        "KeyError",
    ]
    assert "ann@mail.test" not in done.stderr
