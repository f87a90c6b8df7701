"""`activation enqueue` and what files may hold: every kind goes in whole, and what holds no profiles is refused before anything is."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from app.destinations.model import Limits
from app.errors import AccountThrottled, Throttle
from app.files.streams import zstd
from app.keys import AccountKeys
from app.pacing.account import tell_throttled

ROOT = Path(__file__).parents[3]
PROFILES = [{"identityMap": {"crm": [{"id": f"k{number}"}]}, "person": {"first": "Ann"}} for number in range(3)]
LINES = "".join(f"{json.dumps(profile)}\n" for profile in PROFILES).encode()
CSV = "identityMap.crm,person.first,segmentMembership.ups.renters\nk0,Ann,realized\nk1,,\nk2,Bö,exited@2026-11-22T10:00:00Z\n"
KINDS = {
    "CSV": CSV.encode(),
    "CSV as Excel writes it": b"\xef\xbb\xbf" + CSV.replace(",", ";").replace("\n", "\r\n").encode(),
    "CSV in gzip": gzip.compress(CSV.encode()),
    "JSON Lines": LINES,
    "JSON Lines behind a byte-order mark": b"\xef\xbb\xbf" + LINES,
    "an array on one line": json.dumps(PROFILES).encode(),
    "an array on many lines": json.dumps(PROFILES, indent=2).encode(),
    "objects on many lines": "\n".join(json.dumps(profile, indent=2) for profile in PROFILES).encode(),
    "gzip": gzip.compress(LINES),
    "gzip in two parts": gzip.compress(LINES[:50]) + gzip.compress(LINES[50:]),
    "zstd": zstd.compress(LINES),
    "an array in zstd": zstd.compress(json.dumps(PROFILES, indent=2).encode()),
}


@pytest.fixture
def spring(run, text):
    assert run("connect", "-", stdin=text).exit_code == 0


@pytest.fixture
def received(run):
    """What jobs have received, their exclusions, and the waiting of `spring`."""

    def received(job_id: str) -> tuple[int, int]:
        job = orjson.loads(run("job", job_id.strip(), "--json").stdout)
        return job["received"], job["excluded"]

    return received


@pytest.mark.parametrize("content", KINDS.values(), ids=KINDS)
def test_every_kind_goes_in_whole(run, spring, tmp_path, received, content):
    (tmp_path / "profiles").write_bytes(content)
    for words, stdin in ((("profiles",), b""), (("-",), content)):
        done = run("enqueue", "spring", *words, stdin=stdin)
        assert (done.exit_code, done.stderr) == (0, "")
        assert received(done.stdout) == (3, 0)


@pytest.mark.parametrize(
    ("content", "seems"),
    [
        (b"", "an empty file"),
        (LINES.decode().encode("utf-16"), "text in UTF-16"),
        (gzip.compress(b"", mtime=0), "an empty file"),
        (b"%PDF-1.7", "a PDF document"),
        (b"<html></html>", "a web page (HTML)"),
    ],
)
def test_what_holds_no_profiles_is_refused(run, spring, tmp_path, content, seems):
    (tmp_path / "good.jsonl").write_bytes(LINES)
    (tmp_path / "other").write_bytes(content)
    done = run("enqueue", "spring", "good.jsonl", "other")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"Error: Nothing was enqueued: not everything that is named can be read as profiles.\n  - other seems to be {seems}. "
    )
    assert orjson.loads(run("destinations", "--json").stdout)[0]["waiting"] == 0


@pytest.mark.parametrize("name", ["-", "table.csv"])
def test_a_table_that_leads_to_no_contact_is_refused(run, spring, tmp_path, name):
    content = CSV.replace("identityMap.crm", "crm_id").encode()
    (tmp_path / "table.csv").write_bytes(content)
    done = run("enqueue", "spring", name, stdin=content)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "seems to be a table (CSV), and none of its columns leads to the contact key. Name columns" in done.stderr
    (tmp_path / "columns.yaml").write_text("crm_id: identityMap.crm\nperson.frist: person.first\n")
    done = run("enqueue", "spring", name, "--columns", "columns.yaml", stdin=content)
    assert (done.exit_code, done.stdout) == (2, "")
    shown = "Standard input" if name == "-" else name
    assert f"  - {shown}: There is no column 'person.frist'. Did you mean 'person.first'?\n" in done.stderr
    (tmp_path / "columns.yaml").write_text("crm_id: identityMap.crm\n")
    assert run("enqueue", "spring", name, "--columns", "columns.yaml", stdin=content).exit_code == 0


def test_parquet_goes_in_whole(run, spring, tmp_path, received):
    table = pa.table({"identityMap.crm": ["k1", None, "k2"], "person.first": ["Ann", "Bo", None]})
    parquet.write_table(table, tmp_path / "profiles")
    done = run("enqueue", "spring", "profiles")
    assert (done.exit_code, received(done.stdout)) == (1, (3, 1))
    assert "  profiles 2: missing_contact_key (identityMap.crm)\n" in done.stderr


@pytest.mark.parametrize("name", ["-", "packed"])
def test_parquet_through_a_pipe_or_packed_is_refused(run, spring, tmp_path, name):
    parquet.write_table(pa.table({"identityMap.crm": ["k1"]}), tmp_path / "profiles")
    content = (tmp_path / "profiles").read_bytes()
    (tmp_path / "packed").write_bytes(gzip.compress(content))
    done = run("enqueue", "spring", name, stdin=content)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "seems to be Parquet that is packed or comes through a pipe. Name the Parquet file itself" in done.stderr


def test_parquet_without_what_reads_it(run, spring, tmp_path, monkeypatch):
    parquet.write_table(pa.table({"identityMap.crm": ["k1"]}), tmp_path / "profiles")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = run("enqueue", "spring", "profiles")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "profiles is a Parquet file, and the library that reads such files is not installed." in done.stderr
    assert "pip install 'activation-pipeline[parquet]'." in done.stderr


def test_files_and_folders_are_one_job(run, spring, tmp_path, received):
    folder = tmp_path / "export"
    folder.mkdir()
    for name, content in (
        ("b.jsonl", LINES),
        ("a.json.gz", gzip.compress(json.dumps(PROFILES).encode())),
        ("_SUCCESS", b""),
    ):
        (folder / name).write_bytes(content)
    (tmp_path / "one.jsonl").write_bytes(LINES)
    done = run("enqueue", "spring", "one.jsonl", "export")
    assert (done.exit_code, received(done.stdout)) == (0, (9, 0))


@pytest.mark.parametrize("words", [("connect", "-"), ("enqueue", "spring", "-"), ("preview", "spring", "-")])
def test_standard_input_that_is_closed(spring, words):
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "app.cli", *words], capture_output=True, text=True,
        cwd=ROOT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: Standard input is closed.\nName a file, or give it one with < or a pipe.\n"


def test_an_empty_name_is_not_the_current_folder(run, spring, tmp_path):
    (tmp_path / "profiles").write_bytes(LINES)
    done = run("enqueue", "spring", "")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "Error: The name of a file is empty.\nNothing was enqueued.\n"
    assert orjson.loads(run("destinations", "--json").stdout)[0]["waiting"] == 0


def test_a_folder_without_files(run, spring, tmp_path):
    (tmp_path / "export").mkdir()
    done = run("enqueue", "spring", "export")
    assert (done.exit_code, done.stderr) == (2, "Error: export is a folder without files.\nNothing was enqueued.\n")


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_a_packed_file_that_is_cut_off(run, spring, tmp_path, received, pack):
    many = [
        {**profile, "noise": os.urandom(500).hex()} for profile in PROFILES * 1000
    ]  # more than is looked at beforehand
    packed = pack("\n".join(json.dumps(profile) for profile in many).encode())
    (tmp_path / "profiles").write_bytes(packed[:-1000])
    done = run("enqueue", "spring", "profiles")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: profiles is cut off or damaged after 2,")
    count, excluded = received(done.stdout)
    assert 2000 < count < 3000
    assert excluded == 0


def test_an_array_that_is_cut_off(run, spring, tmp_path, received):
    (tmp_path / "profiles").write_bytes(json.dumps(PROFILES).encode()[:-10])
    done = run("enqueue", "spring", "profiles")
    assert done.exit_code == 1
    assert "Error: profiles is cut off or damaged after 3 records; what was read before is enqueued.\n" in done.stderr
    assert received(done.stdout) == (3, 1)


DAMAGED = "Error: profiles is cut off or damaged after 3 records; what was read before is enqueued.\n"


def test_a_file_that_is_cut_off_is_a_job_for_programs_as_well(run, spring, tmp_path):
    (tmp_path / "profiles").write_bytes(json.dumps(PROFILES).encode()[:-10])
    done = run("enqueue", "spring", "profiles", "--json")
    assert (done.exit_code, DAMAGED in done.stderr) == (1, True)
    job_id = orjson.loads(done.stdout)["job"]
    assert orjson.loads(run("job", job_id, "--json").stdout)["received"] == 3


def test_what_came_of_a_file_that_is_cut_off_is_waited_for(run, spring, tmp_path):
    (tmp_path / "profiles").write_bytes(json.dumps(PROFILES).encode()[:-10])
    assert run("pause", "spring").exit_code == 0
    done = run("enqueue", "spring", "profiles", "--json", "--wait", "--timeout", "0.1")
    assert done.exit_code == 1
    job = orjson.loads(done.stdout)
    assert (job["received"], job["pending"]) == (3, 2)
    assert done.stderr.index(DAMAGED) < done.stderr.index("Error: 2 of 3 profiles are pending after 0.1 s.\n")


def test_a_file_that_is_cut_off_ends_with_1_after_waiting(run, spring, tmp_path):
    (tmp_path / "profiles").write_bytes(b'[{"no": "key"}, {"no": "key"')
    done = run("enqueue", "spring", "profiles", "--wait")
    assert (done.exit_code, "is cut off or damaged after" in done.stderr) == (1, True)
    assert "excluded" in done.stdout


def test_exclusions_end_with_1_and_name_the_place(run, spring, received):
    done = run("enqueue", "spring", "-", stdin=LINES + b'{"identityMap": {"ECID": [{"id": "Rosalind"}]}}\n')
    assert done.exit_code == 1
    assert "  Standard input 4: missing_contact_key (identityMap.crm; the profile has ecid)\n" in done.stderr
    assert "Rosalind" not in done.output
    assert received(done.stdout) == (4, 1)


def test_waiting_for_a_paused_destination_says_why_and_ends_in_time(run, spring, tmp_path):
    (tmp_path / "profiles").write_bytes(LINES)
    assert run("pause", "spring").exit_code == 0
    done = run("enqueue", "spring", "profiles", "--wait", "--timeout", "0.5")
    assert done.exit_code == 1
    assert "spring is paused: Paused by hand. `activation resume spring` goes on.\n" in done.stderr
    assert "Error: 3 of 3 profiles are pending after 0.5 s.\n" in done.stderr
    assert done.stderr.startswith("Job ")


def test_waiting_without_a_worker_says_so_once(run, spring, tmp_path, monkeypatch):
    (tmp_path / "profiles").write_bytes(LINES)
    monkeypatch.setattr(sys.modules["app.cli.jobs"], "STILL_SECONDS", 0.3)
    done = run("enqueue", "spring", "profiles", "--wait", "--timeout", "1.5")
    assert done.exit_code == 1
    assert done.stderr.count("no worker holds a lane of it. Is one running? `activation up` starts some.\n") == 1


def test_waiting_for_an_account_that_asked_to_wait_blames_no_worker(run, spring, tmp_path, monkeypatch, redis):
    (tmp_path / "profiles").write_bytes(LINES)
    monkeypatch.setattr(sys.modules["app.cli.jobs"], "STILL_SECONDS", 0.3)
    (row,) = orjson.loads(run("destinations", "--json").stdout)
    throttled = AccountThrottled("Too often.", kind=Throttle.TOKENS, wait_seconds=90)
    tell_throttled(redis, row["account"], Limits(), throttled)
    done = run("enqueue", "spring", "profiles", "--wait", "--timeout", "2.5")
    assert done.exit_code == 1
    assert re.findall(
        r"spring: its account asks to wait another [89]\d s; `activation resume spring` does not wait\.", done.stderr
    )
    assert (done.stderr.count("asks to wait"), done.stderr.count("no worker")) == (1, 0)


def test_waiting_where_the_calls_of_the_year_are_used_up_says_so(run, text, tmp_path, monkeypatch, redis):
    assert run("connect", "-", stdin=text + "limits: {calls_per_year: 5, stop_at_yearly_quota: true}\n").exit_code == 0
    (tmp_path / "profiles").write_bytes(LINES)
    monkeypatch.setattr(sys.modules["app.cli.jobs"], "STILL_SECONDS", 0.3)
    (row,) = orjson.loads(run("destinations", "--json").stdout)
    redis.hset(AccountKeys(row["account"]).calls, f"y{datetime.now(UTC).year}", 5)
    done = run("enqueue", "spring", "profiles", "--wait", "--timeout", "1.5")
    assert done.stderr.count("spring: All 5 calls of this year are used") == 1
    assert "no worker" not in done.stderr


def test_a_timeout_without_waiting(run, spring):
    done = run("enqueue", "spring", "-", "--timeout", "1", stdin=LINES)
    assert (done.exit_code, done.stderr) == (2, "Error: --timeout needs --wait.\n")


def test_the_job_is_named_before_the_end_of_the_input(run, spring, received):
    """Also when the command is interrupted: what it has enqueued can be found."""
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli", "enqueue", "spring", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    ) as process:  # fmt: skip
        process.stdin.write(LINES * 5000)
        process.stdin.flush()
        job_id = process.stdout.readline().decode().strip()
        assert len(job_id) == 32
        deadline = time.monotonic() + 60
        while True:
            job = run("job", job_id, "--json")
            if job.exit_code == 0 and orjson.loads(job.stdout)["received"]:
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        stderr = process.stderr.read().decode()
    assert "Stopped" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("words", [("enqueue", "--backfill"), ("preview",), ("enqueue", "--json")])
def test_columns_that_nothing_reads_are_named_once(run, spring, tmp_path, words):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("identityMap.crm,email_address\nk0,ann@mail.test\n")
    (tmp_path / "c.jsonl").write_text('{"identityMap": {"crm": [{"id": "k0"}]}, "phone": "1"}\n')
    command, *options = words
    done = run(command, "spring", "a.csv", "b.csv", "c.jsonl", *options)
    told = [line for line in done.stderr.splitlines() if "read by nothing" in line]
    assert told == ["Warning: column 'email_address' is read by nothing; did you mean 'mail.address'?"]
    assert "read by nothing" not in done.stdout


def test_of_profiles_in_json_no_name_is_told(run, spring, tmp_path):
    (tmp_path / "c.jsonl").write_text('{"identityMap": {"crm": [{"id": "k0"}]}, "email_address": "1"}\n')
    assert run("enqueue", "spring", "c.jsonl").stderr == ""
