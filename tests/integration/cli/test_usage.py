"""What a command says when something is wrong, and the code it ends with; no text holds a secret or profile data."""

from __future__ import annotations

import orjson
import pytest
from redis import Redis

from app.keys import DestinationKeys
from tests.integration.cli.conftest import Shell


@pytest.mark.parametrize("connected_before", [False, True])
@pytest.mark.parametrize(
    ("switches", "text", "remedy"),
    [
        (
            {"client_secrets": ["another-secret"]},
            "Marketing Cloud does not accept the client id and secret. (bad_credentials)",
            "Check account.client_secret",
        ),
        ({"ip_refused": True}, "refuses this machine's IP address", "trusted IP ranges"),
        (
            {"package_scopes": "list_and_subscribers_read"},
            "The installed package lacks the scope list_and_subscribers_write (missing_scope).",
            "Add it in Setup > Apps > Installed Packages",
        ),
    ],
)
def test_an_account_that_refuses(
    shell: Shell, redis: Redis, switches: dict[str, object], text: str, remedy: str, connected_before: bool
) -> None:
    if connected_before:  # a token that was granted more than five minutes before must hide nothing
        assert shell("connect", shell.file()).out == "✔ Connected\n"
        (token,) = redis.scan_iter("act:*:token:????????????")
        redis.pexpire(token, redis.pttl(token) - 301_000)
    shell.admin("PATCH", "settings", switches)
    done = shell("connect", shell.file())
    assert done.code == 1
    assert text in done.said
    assert remedy in done.said
    assert "camp is not connected. Fix what is listed and connect again." in done.said
    assert "sandbox-secret" not in done.said


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            ["enqueue", "gone", "FILE"],
            "No destination 'gone' is connected. `activation destinations` lists those that are",
        ),
        (["runs", "gone"], "No destination 'gone' is connected."),
        (["pause", "gone"], "No destination 'gone' is connected."),
        (
            ["job", "nothing"],
            "No job 'nothing' is known. `activation jobs` lists the newest; they are kept for 30 days.",
        ),
        (["connect", "/no/such.yaml"], "/no/such.yaml cannot be read: No such file or directory."),
        (["enqueue", "gone", "FILE", "--occurred-at", "once"], "Write it like 2026-11-22T10:00:00Z."),
        (["failures", "gone", "--since", "once"], "--since: not a time with date, time of day and time zone."),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_wrong_usage(shell: Shell, command: list[str], text: str) -> None:
    profiles = shell.file("{}\n", "profiles.jsonl")
    done = shell(*(profiles if word == "FILE" else word for word in command))
    assert done.code == 2
    assert text in done.said


def test_lines_that_are_no_profiles_are_named_and_the_others_enqueued(shell: Shell) -> None:
    shell("connect", shell.file())
    good = '{"identityMap":{"contactKey":[{"id":"key-1"}]},"personalEmail":{"address":"ann@mail.test"}}'
    lines = shell.file(f'{good}\nann@broken.test\n\n{{"no": "key"}}\n', "profiles.jsonl")
    done = shell("enqueue", "camp", lines)
    assert done.code == 1
    assert "profiles.jsonl 2: malformed_profile (no JSON at character 1 of it)" in done.said
    assert "profiles.jsonl 4: missing_contact_key (identityMap.contactKey)" in done.said
    assert "ann@" not in done.said
    job = orjson.loads(shell("job", done.out.strip(), "--json").out)
    assert (job["received"], job["excluded"], job["pending"]) == (3, 2, 1)
    assert job["reasons"] == {"malformed_profile": 1, "missing_contact_key": 1}


def test_a_day_with_a_destination(shell: Shell) -> None:
    assert shell("connect", shell.file()).out == "✔ Connected\n"
    assert shell("check", "camp").out == "✔ camp is ready.\n"
    fields = orjson.loads(shell("fields", "camp", "--json").out)["fields"]
    assert "Attribute: Email Demographics.First Name" in [field["target"] for field in fields]
    [described] = orjson.loads(shell("destinations", "--json").out)
    assert (described["id"], described["state"], described["waiting"]) == ("camp", "enabled", 0)
    assert shell("pause", "camp").out == "camp is paused; `activation resume camp` goes on.\n"
    assert orjson.loads(shell("destinations", "--json").out)[0]["state"] == "paused"
    assert shell("resume", "camp").out == "camp is enabled.\n"
    assert orjson.loads(shell("failures", "camp", "--json").out) == []
    waiting = shell.file('{"identityMap":{"contactKey":[{"id":"key-1"}]}}\n', "profiles.jsonl")
    shell("enqueue", "camp", waiting)
    refused = shell("disconnect", "camp")
    assert refused.code == 1
    assert "1 waiting and 0 failed profiles of camp will be lost." in refused.said
    assert shell("disconnect", "camp", "--yes").out == "camp is disconnected.\n"
    assert orjson.loads(shell("destinations", "--json").out) == []


def test_a_removal_that_was_interrupted_can_be_repeated(shell: Shell, redis: Redis) -> None:
    shell("connect", shell.file())
    redis.delete(DestinationKeys("camp").epoch, DestinationKeys("camp").config)  # the first step
    assert "If its removal was interrupted: `activation disconnect camp` ends it." in shell("resume", "camp").said
    assert shell("disconnect", "camp", "--yes").out == "camp is disconnected.\n"
    assert orjson.loads(shell("destinations", "--json").out) == []
    assert list(redis.scan_iter("act:{camp}:*")) == []


def test_destinations_tell_namespace_and_days_of_segments(shell: Shell) -> None:
    shell("connect", shell.edited("{id: seg-1,", "{id: seg-1, namespace: crm, start: 2020-01-02,"))
    [described] = orjson.loads(shell("destinations", "--json").out)
    assert described["segments"] == [
        {
            "id": "seg-1", "namespace": "crm", "name": "One", "mapping_id": "salesforce_mc_segment_1",
            "start": "2020-01-02", "end": None,
        }
    ]  # fmt: skip
