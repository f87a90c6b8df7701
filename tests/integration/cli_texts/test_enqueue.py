"""What `activation enqueue` and `job` say of lines that are no profiles, and of names that nobody knows."""

from __future__ import annotations

import orjson
import pytest

GOOD = '{"identityMap": {"crm": [{"id": "k1"}]}, "person": {"first": "Quentin"}}\n'
BROKEN = '{"identityMap": {"crm": [{"id": "k2"}]}, "person": {"first": "Rosalind"\n'


@pytest.fixture
def spring(run, text):
    assert run("connect", "-", stdin=text).exit_code == 0


@pytest.fixture
def enqueue(run, spring, tmp_path):
    """Enqueue a file of these lines."""

    def enqueue(lines: str, *options: str):
        (tmp_path / "profiles.jsonl").write_text(lines)
        return run("enqueue", "spring", "profiles.jsonl", *options)

    return enqueue


def test_broken_lines_are_named_and_excluded_and_the_others_go_on(run, enqueue):
    enqueued = enqueue(GOOD + BROKEN + "\n" + GOOD + BROKEN)
    assert (enqueued.exit_code, enqueued.stderr) == (
        1,
        (
            "2 profiles are excluded; the others are enqueued. "
            "Fix them and enqueue them again: what is delivered already costs no call.\n"
            "  profiles.jsonl 2: malformed_profile (no JSON at character 73 of it)\n"
            "  profiles.jsonl 5: malformed_profile (no JSON at character 73 of it)\n"
        ),
    )
    job_id = enqueued.stdout.strip()
    counted = run("job", job_id, "--json")
    assert counted.exit_code == 0
    job = orjson.loads(counted.stdout)
    assert (job["job"], job["received"], job["excluded"], job["pending"]) == (job_id, 4, 2, 2)
    assert job["reasons"] == {"malformed_profile": 2}
    told = run("job", job_id)
    assert told.exit_code == 0
    assert "  malformed_profile: 2\n" in told.stdout
    assert "Rosalind" not in told.output + enqueued.output


def test_of_many_broken_lines_ten_are_named(enqueue):
    said = enqueue(BROKEN * 12).stderr
    assert said.startswith("12 profiles are excluded; ")
    assert [line.split()[1] for line in said.splitlines()[1:11]] == [f"{number}:" for number in range(1, 11)]
    assert said.endswith("  … and 2 more.\n")


def test_lines_without_a_fault_are_not_spoken_of(enqueue):
    assert enqueue(GOOD * 2).stderr == ""


def test_waiting_for_nothing_but_broken_lines_ends_at_once(enqueue):
    waited = enqueue(BROKEN * 3, "--wait", "--json")
    assert waited.exit_code == 1
    job = orjson.loads(waited.stdout)
    assert (job["received"], job["excluded"], job["pending"]) == (3, 3, 0)
    assert waited.stderr.startswith(f"Job {job['job']}\n")


def test_the_reason_stands_in_the_hourly_run(run, enqueue):
    enqueue(GOOD + BROKEN)
    (hour,) = orjson.loads(run("runs", "spring", "--json").stdout)["runs"]
    assert (hour["received"], hour["outcomes"]["excluded"]) == (2, 1)
    assert hour["reasons"] == {"malformed_profile|what was sent cannot be read as a profile": 1}


@pytest.mark.parametrize(
    "words",
    [("enqueue", "sprig", "-"), ("check", "sprig"), ("fields", "sprig"), ("runs", "sprig"), ("pause", "sprig"),
     ("resume", "sprig"), ("failures", "sprig"), ("disconnect", "sprig", "--yes")],
)  # fmt: skip
def test_an_unknown_destination(run, spring, words):
    result = run(*words, stdin=GOOD)
    assert (result.exit_code, result.stdout, result.stderr) == (
        2,
        "",
        (
            "Error: No destination 'sprig' is connected. Did you mean spring?\n"
            "`activation destinations` lists those that are; `activation connect FILE` adds one.\n"
        ),
    )


def test_an_unknown_job(run):
    result = run("job", "nothing")
    assert (result.exit_code, result.stdout, result.stderr) == (
        2,
        "",
        "Error: No job 'nothing' is known.\n`activation jobs` lists the newest; they are kept for 30 days.\n",
    )


def test_a_file_that_is_not_there(run, spring):
    result = run("enqueue", "spring", "profiles.jsonl")
    assert result.exit_code == 2
    assert result.stderr.endswith("  - profiles.jsonl cannot be read: No such file or directory.\n")


def test_a_time_that_is_none(run, spring):
    result = run("enqueue", "spring", "-", "--occurred-at", "yesterday", stdin=GOOD)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: --occurred-at: ")
    assert result.stderr.endswith("Write it like 2026-11-22T10:00:00Z.\n")
