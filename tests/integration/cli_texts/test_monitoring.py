"""What operators look at: doctor, alerts, watch, and names that are completed or guessed."""

from __future__ import annotations

import os

import orjson
import pytest
from click.shell_completion import ShellComplete
from redis import Redis

from app.cli import activation
from app.devstack.home import Home
from app.errors import DestinationBroken
from app.keys import DestinationKeys
from app.reporting.alerts import Alert, OpenAlert, What, apply_change, changes
from app.reporting.processes import note_process, note_sweep, this_process
from app.sealing import make_key
from app.settings import Settings


@pytest.fixture
def spring(run, text):
    assert run("connect", "-", stdin=text).exit_code == 0


def alive(redis: Redis) -> None:
    """A worker of each kind, and a sweep, as they would say it themselves."""
    seconds, _ = redis.time()
    for name, queues in (("worker-1@here", ("activation", "delivery")), ("maintenance@here", ("maintenance",))):
        note_process(redis, this_process(name, "worker", now_ms=0, queues=queues), now_ms=seconds * 1000)
    note_sweep(redis, now_ms=seconds * 1000)


def append_only(redis: Redis) -> None:
    redis.config_set("appendonly", "yes")


def test_doctor_finds_nothing_wrong(run, redis, spring):
    alive(redis)
    append_only(redis)
    result = run("doctor")
    assert result.exit_code == 0, result.output
    for line in (
        "✔ redis policy: noeviction",
        "✔ workers of delivery: worker-1@here",
        "✔ spring: enabled",
        "✔ alerts: 0 open",
    ):
        assert line in result.stdout
    assert result.stdout.count("✘") == 0


def test_doctor_tells_what_is_wrong_and_what_to_do(run, redis, spring, monkeypatch, closed_port):
    monkeypatch.setenv("ACTIVATION_BROKER_URL", f"redis://127.0.0.1:{closed_port}/0")
    result = run("doctor", "--json")
    assert result.exit_code == 1
    wrong = {item["what"]: item for item in orjson.loads(result.stdout) if item["level"] == "problem"}
    assert {"broker", "beat", "workers of activation", "workers of delivery", "workers of maintenance"} <= wrong.keys()
    assert all(item["remedy"] for item in wrong.values())
    assert "problems." in result.stderr


def test_doctor_looks_at_the_disk_of_a_home(run, redis, monkeypatch, tmp_path):
    home = Home(tmp_path / "home")
    monkeypatch.setenv("ACTIVATION_HOME", str(home.path))

    def disk() -> list[str]:
        return [item["text"] for item in orjson.loads(run("doctor", "--json").stdout) if item["what"] == "disk"]

    assert disk() == []  # nothing of this installation rests there
    home.create()
    file = home.path / "redis" / "appendonlydir" / "appendonly.aof.1.incr.aof"
    file.parent.mkdir()
    file.touch()
    os.truncate(file, 3 * 2**30)
    (told,) = disk()
    assert told.endswith(" GiB free, 3.0 GiB in the append-only file")


def test_doctor_without_redis_says_so(run, monkeypatch, closed_port):
    monkeypatch.setenv("ACTIVATION_REDIS_URL", f"redis://127.0.0.1:{closed_port}/0")
    assert run("doctor").exit_code == 3


@pytest.fixture
def stopped(redis, spring) -> Alert:
    """An alert that is open."""
    alert = Alert("stopped", "spring", "It stands still.", "Mend it.")
    (change,) = changes({}, [alert], judged=[], now_ms=1_764_000_000_000, repeat_ms=1, muted=lambda _: False)
    assert change.event is What.OPENED
    assert apply_change(redis, change, now_ms=1_764_000_000_000, muted=False, messages=[])
    assert isinstance(change.after, OpenAlert)
    return alert


def test_alerts_are_listed_muted_and_told_again(run, stopped):
    listed = run("alerts")
    assert "stopped spring since 2025-11-24 16:00:00Z: It stands still. Mend it." in listed.stdout
    assert run("alerts", "mute", "stopped", "spring", "--for", "2h").exit_code == 0
    document = orjson.loads(run("alerts", "--json").stdout)
    assert [item["kind"] for item in document["open"]] == ["stopped"]
    assert document["events"][0]["at"] == "2025-11-24T16:00:00.000Z"
    assert [item["destination"] for item in document["muted"]] == ["spring"]
    assert run("alerts", "unmute", "stopped", "spring").exit_code == 0
    assert run("alerts", "unmute", "stopped", "spring").exit_code == 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("alerts", "mute", "stoped"), 2, "There is no kind of alert 'stoped'. Did you mean stopped?"),
        (("alerts", "mute", "stopped", "sprig"), 2, "Did you mean spring?"),
        (("alerts", "mute", "stopped", "--for", "soon"), 2, "write it like 30m, 2h or 1d"),
        (("alerts", "test"), 1, "No channel is set."),
        (("failures", "spring", "--replay", "--code", "typo"), 1, "No failure has the code 'typo'."),
        (("watch", "sprig"), 2, "Did you mean spring?"),
    ],
)
def test_what_is_misspelt_is_told(run, spring, words, code, told):
    result = run(*words)
    assert (result.exit_code, told in result.stderr) == (code, True), result.stderr


def test_a_channel_that_does_not_answer_is_told_without_its_address(run, redis, monkeypatch, closed_port):
    monkeypatch.setenv("ACTIVATION_ALERT_URL", f"http://127.0.0.1:{closed_port}/hush")
    result = run("alerts", "test")
    assert result.exit_code == 1
    assert "✘ webhook: it does not answer (ConnectionError)" in result.stdout
    assert "hush" not in result.output


def test_what_channels_took_is_told_to_programs(run, spring, monkeypatch, closed_port):
    monkeypatch.setenv("ACTIVATION_ALERT_URL", f"http://127.0.0.1:{closed_port}/hush")
    result = run("alerts", "test", "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    assert orjson.loads(result.stdout) == {
        "ok": False,
        "channels": [{"channel": "webhook", "taken": False, "error": "it does not answer (ConnectionError)"}],
    }
    assert "hush" not in result.output


def test_a_destination_that_no_key_opens_is_unreadable_wherever_it_is_listed(run, spring, monkeypatch):
    monkeypatch.setenv("ACTIVATION_SECRET_KEYS", make_key())
    assert [row["state"] for row in orjson.loads(run("destinations", "--json").stdout)] == ["unreadable"]
    assert "spring  unreadable" in run("watch", "--every", "0.2", "--times", "1").stdout


def test_watch_in_a_pipe_prints_a_line_a_look(run, spring):
    result = run("watch", "spring", "--every", "0.2", "--times", "2")
    assert result.exit_code == 0
    header, *rows = result.stdout.splitlines()
    assert header.split()[:3] == ["destination", "state", "live"]
    assert [row.split()[:2] for row in rows] == [["spring", "enabled"]] * 2


def complete(words: list[str], incomplete: str) -> list[str]:
    found = ShellComplete(activation, {}, "activation", "_ACTIVATION_COMPLETE").get_completions(words, incomplete)
    return [item.value for item in found]


def test_the_shell_completes_ids(run, spring):
    assert complete(["runs"], "sp") == ["spring"]
    assert complete(["runs"], "x") == []
    assert "doctor" in complete([], "do")


def test_the_shell_completes_nothing_where_nothing_runs(monkeypatch, tmp_path):
    monkeypatch.delenv("ACTIVATION_REDIS_URL")
    monkeypatch.setenv("ACTIVATION_HOME", str(tmp_path / "none"))
    assert complete(["runs"], "") == []
    assert not (tmp_path / "none").exists()


def test_times_are_rfc_3339_for_programs(run, redis, spring):
    error = DestinationBroken("Not accepted.", code="bad_credentials")
    from app.destinations.state import StateStore, Status

    StateStore(redis, Settings.from_env()).fail("spring", error, status=Status.STOPPED, generation=0)
    assert redis.hget(DestinationKeys("spring").state, "status") == b"stopped"
    (row,) = orjson.loads(run("destinations", "--json").stdout)
    assert row["since"].endswith("Z")
    assert row["next_probe"].endswith("Z")
    assert not [name for name in row if name.endswith("_ms")]
