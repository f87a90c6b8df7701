"""A load that is interrupted, however often and wherever, goes on with `--resume`: nothing is lost, nothing is enqueued twice."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from app.cli import report
from app.keys import LANES, DestinationKeys
from app.producer import Producer
from app.resources import Resources
from app.settings import Settings
from tests.integration.intake.conftest import wait_until

ROOT = Path(__file__).parents[3]
KEYS = DestinationKeys("spring")
RECORDS = 12_000  # three files of a third each; every hundredth record is excluded
HEADER = "identityMap.crm,person.first\n"


def lines(first: int, count: int) -> bytes:
    return b"".join(
        orjson.dumps({"identityMap": {"crm": [{"id": f"k{number}"}] if number % 100 else []}}) + b"\n"
        for number in range(first, first + count)
    )


def table(first: int, count: int) -> bytes:
    rows = (f"{f'k{number}' if number % 100 else ''},Ann\n" for number in range(first, first + count))
    return (HEADER + "".join(rows)).encode()


def array(first: int, count: int) -> bytes:
    return json.dumps([orjson.loads(line) for line in lines(first, count).splitlines()], indent=1).encode()


@pytest.fixture
def spring(run, text):
    assert run("connect", "-", stdin=text).exit_code == 0


@pytest.fixture
def files(tmp_path):
    third = RECORDS // 3
    (tmp_path / "a.jsonl").write_bytes(lines(0, third))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(table(third, third)))
    (tmp_path / "c.json").write_bytes(array(2 * third, third))
    return [str(tmp_path / name) for name in ("a.jsonl", "b.csv.gz", "c.json")]


def tags(redis) -> list[bytes]:
    """The contacts of all that waits, one for each entry."""
    found = []
    for lane in range(LANES):
        for stream in (KEYS.lane(lane).live, KEYS.lane(lane).backfill):
            found += [fields[b"c"] for _, fields in redis.xrange(stream)]
    return found


def connected(redis) -> set[str]:
    """The ids of the connections of this Redis."""
    return {client["id"] for client in redis.client_list()}


def start(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "enqueue", "spring", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_anywhere_and_resumed(run, spring, files, redis, tmp_path, number):
    left_out = tmp_path / "left-out.jsonl"
    options = [*files, "--excluded", str(left_out), "--backfill"]
    job_id, interrupted, received = "", 0, 0
    while True:
        before = connected(redis)
        with start(*options, *(["--resume", job_id] if job_id else [])) as process:
            shown = process.stdout.readline().decode().strip()
            assert shown == (job_id or shown)
            job_id = shown
            if interrupted < 3:
                goal = received + random.randrange(1, RECORDS // 6)
                while process.poll() is None and int(redis.hget(KEYS.job(job_id), "received") or 0) < goal:
                    time.sleep(0.001)
                process.send_signal(number)
            code = process.wait(60)
            stderr = process.stderr.read().decode()
        assert "Traceback" not in stderr
        wait_until(lambda: connected(redis) <= before, "what it has sent last is carried out")  # noqa: B023  # called at once
        received = int(redis.hget(KEYS.job(job_id), "received") or 0)
        if code == 1:
            break
        interrupted += 1
        assert code == (-number if number is signal.SIGKILL else 128 + number)
        assert len(tags(redis)) == received - int(redis.hget(KEYS.job(job_id), "excluded") or 0)
        if number is not signal.SIGKILL:
            assert f"--resume {job_id}\n" in stderr
    assert interrupted == 3
    waiting = tags(redis)
    assert len(waiting) == len(set(waiting)) == RECORDS - RECORDS // 100
    assert (received, int(redis.hget(KEYS.job(job_id), "excluded"))) == (RECORDS, RECORDS // 100)
    rows = [orjson.loads(row) for row in left_out.read_bytes().splitlines()]
    assert len(rows) == RECORDS // 100
    assert rows[0] == {
        "file": files[0], "number": 1, "reason": "missing_contact_key", "found": "identityMap.crm",
    }  # fmt: skip
    assert [row["number"] for row in rows if row["file"] == files[2]] == list(range(1, RECORDS // 3, 100))
    assert stat.S_IMODE(left_out.stat().st_mode) == 0o600


def test_what_is_done_is_not_done_again(run, spring, files, redis):
    done = run("enqueue", "spring", *files)
    waiting = len(tags(redis))
    again = run("enqueue", "spring", *files, "--resume", done.stdout.strip())
    assert (again.exit_code, again.stdout) == (0, done.stdout)
    assert again.stderr == f"Everything was enqueued before: {RECORDS:,} profiles.\n"
    assert len(tags(redis)) == waiting


def test_two_that_load_one_job_double_nothing(run, spring, files, redis):
    first = start(*files)
    job_id = first.stdout.readline().decode().strip()
    while not int(redis.hget(KEYS.job(job_id), "received") or 0):
        time.sleep(0.001)
    first.send_signal(signal.SIGSTOP)
    second = run("enqueue", "spring", *files, "--resume", job_id)
    assert second.exit_code == 1
    first.send_signal(signal.SIGCONT)
    _, stderr = first.communicate(timeout=60)
    assert first.returncode == 1
    assert f"Error: Job {job_id} is being continued elsewhere.\n" in stderr.decode()
    waiting = tags(redis)
    assert len(waiting) == len(set(waiting)) == RECORDS - RECORDS // 100


def test_standard_input_goes_on_behind_what_is_done(run, spring, redis):
    resources = Resources.from_settings(Settings.from_env())
    job_id = half_loaded(run, resources, "-", stdin=lines(1, 1000))
    done = run("enqueue", "spring", "-", "--resume", job_id, stdin=lines(1, 1000))
    assert done.stdout.strip() == job_id
    assert redis.hget(KEYS.job(job_id), "received") == b"1000"
    assert len(set(tags(redis))) == len(tags(redis)) == 990


def half_loaded(run, resources, *words, stdin=b""):
    """A job whose load ended behind the first 500 records, as if Redis had gone away then."""
    with pytest.MonkeyPatch.context() as patch:
        append = Producer.load

        def load(self, destination, records, exclude, **more):
            def first():
                for number, record in enumerate(records):
                    if number == 500:
                        raise KeyboardInterrupt
                    yield record

            return append(self, destination, first(), exclude, **more)

        patch.setattr(Producer, "load", load)
        done = run("enqueue", "spring", *words, stdin=stdin)
    assert done.exit_code == 130
    return done.stdout.strip()


@pytest.fixture
def begun(run, spring, tmp_path):
    (tmp_path / "a.csv").write_bytes(table(1, 1000))
    return half_loaded(run, None, "a.csv", "--backfill")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("a.csv",), "It was begun with --backfill."),
        (("a.csv", "--backfill", "--force"), "It was not begun with --force."),
        (("a.csv", "--backfill", "--occurred-at", "2026-11-22T10:00:00Z"), "--occurred-at is not as it was."),
        (("a.csv", "--backfill", "--columns", "columns.yaml"), "--columns is not as it was."),
        (("a.csv", "b.csv", "--backfill"), "There are 2 files, and there were 1."),
        (("b.csv", "--backfill"), "File 1 is another one, or was changed since."),
    ],
)
def test_another_load_is_refused(run, begun, redis, tmp_path, words, problem):
    (tmp_path / "b.csv").write_bytes(table(1, 1000))
    (tmp_path / "columns.yaml").write_text("identityMap.crm: identityMap.crm\n")
    done = run("enqueue", "spring", *words, "--resume", begun)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"Error: Job {begun} cannot be continued: these are not the files and options that it began with.\n  - {problem}\n"
        "Enqueue it as a new job: what is delivered already costs no call.\n"
    )
    assert redis.hget(KEYS.job(begun), "received") == b"500"


@pytest.mark.parametrize("change", ["one byte in the middle", "a row more"])
def test_a_file_that_was_changed_is_refused(run, begun, tmp_path, change):
    content = (tmp_path / "a.csv").read_bytes()
    middle = len(content) // 2
    (tmp_path / "a.csv").write_bytes(
        content + b"k,Ann\n" if change == "a row more" else content[:middle] + b"x" + content[middle + 1 :]
    )
    done = run("enqueue", "spring", "a.csv", "--backfill", "--resume", begun)
    assert done.exit_code == 2
    assert "  - File 1 is another one, or was changed since.\n" in done.stderr


def test_a_file_that_was_touched_only_by_reading_goes_on(run, begun, tmp_path, redis):
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    os.utime(tmp_path / "b.csv", ns=(0, (tmp_path / "b.csv").stat().st_mtime_ns))
    done = run("enqueue", "spring", "b.csv", "--backfill", "--resume", begun)
    assert done.stdout.strip() == begun
    assert redis.hget(KEYS.job(begun), "received") == b"1000"


def test_a_job_that_is_not_known(run, begun):
    done = run("enqueue", "spring", "a.csv", "--backfill", "--resume", begun[:-2] + "xx")
    assert done.exit_code == 2
    assert f"is known. Did you mean {begun}?\n" in done.stderr


def test_a_job_that_is_no_load(run, begun, tmp_path):
    job_id = Producer(Resources.from_settings(Settings.from_env())).enqueue("spring", [{}])
    done = run("enqueue", "spring", "a.csv", "--resume", job_id)
    assert (done.exit_code, done.stderr.splitlines()[0]) == (2, f"Error: Job {job_id} is not a load of files.")


def test_jobs_are_listed_with_who_began_them(run, begun, monkeypatch):
    producer = Producer(Resources.from_settings(Settings.from_env()))
    mine = producer.enqueue("spring", [{"identityMap": {"crm": [{"id": "a"}]}}, {}])
    producer.enqueue("spring", [{}], job_id="their", source="intake crm")
    listed = orjson.loads(run("jobs", "--json").stdout)
    assert [(one["job"], one["source"], one["state"], one["received"], one["pending"]) for one in listed] == [
        ("their", "intake crm", "done", 1, 0),
        (mine, "python", "waiting", 2, 1),
        (begun, "cli", "incomplete", 500, 495),
    ]
    assert all(one["destination"] == "spring" and one["last"].endswith("Z") for one in listed)
    assert run("pause", "spring").exit_code == 0
    assert [one["state"] for one in orjson.loads(run("jobs", "spring", "--json").stdout)] == [
        "done",
        "paused",
        "incomplete",
    ]
    assert [one["job"] for one in orjson.loads(run("jobs", "--limit", "1", "--json").stdout)] == ["their"]
    monkeypatch.setattr(report.out, "width", 200)
    assert begun in run("jobs").stdout
    assert run("jobs", "sprig").exit_code == 2
    assert "It is still loaded from files, or that was interrupted" in run("job", begun).stdout


@pytest.mark.parametrize("left_out", ["exports/excluded.jsonl", "link/excluded.jsonl", "./exports/b.jsonl"])
@pytest.mark.parametrize("there", [False, True])
def test_what_is_excluded_is_not_written_into_a_folder_that_is_read(run, spring, redis, tmp_path, left_out, there):
    """It would be read as it is written: what cannot be enqueued, without an end."""
    folder = tmp_path / "exports"
    folder.mkdir()
    (tmp_path / "link").symlink_to("exports")
    (folder / "a.jsonl").write_bytes(b"{}\n" * 600)
    if there:
        Path(left_out).write_bytes(b"{}\n")
    done = run("enqueue", "spring", "exports/", "--excluded", left_out)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"Error: --excluded: {Path(left_out)} is in exports, which is read as a whole.\n"
        "Nothing was enqueued. Name a file in another folder: this one would be taken for profiles.\n"
    )
    assert [path.stat().st_size for path in sorted(folder.iterdir())] == ([1800, 3] if there else [1800])
    assert tags(redis) == []


def test_what_is_excluded_is_not_written_over_what_a_folder_links_to(run, spring, tmp_path):
    (tmp_path / "exports").mkdir()
    (tmp_path / "a.jsonl").write_bytes(lines(1, 3))
    (tmp_path / "exports" / "a.jsonl").symlink_to("../a.jsonl")
    done = run("enqueue", "spring", "exports", "--excluded", "a.jsonl")
    assert (done.exit_code, done.stderr.splitlines()[0]) == (
        2,
        "Error: --excluded: a.jsonl is also one of the files to read.",
    )
    assert (tmp_path / "a.jsonl").read_bytes() == lines(1, 3)


def test_what_is_excluded_is_not_written_over_the_columns(run, spring, tmp_path):
    (tmp_path / "a.csv").write_bytes(table(1, 3))
    (tmp_path / "columns.yaml").write_text("identityMap.crm: identityMap.crm\n")
    done = run("enqueue", "spring", "a.csv", "--columns", "columns.yaml", "--excluded", "columns.yaml")
    assert (done.exit_code, done.stderr.splitlines()[0]) == (
        2,
        "Error: --excluded: columns.yaml is also one of the files to read.",
    )
    assert (tmp_path / "columns.yaml").read_text() == "identityMap.crm: identityMap.crm\n"


def test_what_is_excluded_is_not_written_over_what_is_read(run, begun, tmp_path):
    for words, said in (
        (("--excluded", "a.csv"), "--excluded: a.csv is also one of the files to read."),
        (("--excluded", "."), "--excluded: . is not a file."),
        (("--excluded", "none/x"), "--excluded: none/x cannot be written: No such file or directory."),
    ):
        done = run("enqueue", "spring", "a.csv", *words)
        assert (done.exit_code, done.stdout, done.stderr.splitlines()[0]) == (2, "", f"Error: {said}")
    assert (tmp_path / "a.csv").read_bytes() == table(1, 1000)
