"""What a command says when something is wrong, and the code it ends with; no text holds a secret or profile data."""

from __future__ import annotations

import orjson
import pytest

from tests.integration.cli.conftest import Shell

EMAIL_ROW = '  - {source: "xdm: personalEmail.address", target: "Attribute: Email Addresses.Email Address"}\n'


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
    shell: Shell, switches: dict[str, object], text: str, remedy: str, connected_before: bool
) -> None:
    if connected_before:  # a token that was granted before must hide nothing
        assert shell("connect", shell.file()).out == "✔ Connected\n"
    shell.admin("PATCH", "settings", switches)
    done = shell("connect", shell.file())
    assert done.code == 1
    assert text in done.said
    assert remedy in done.said
    assert "camp is not connected. Mend what is listed and connect again." in done.said
    assert "sandbox-secret" not in done.said


@pytest.mark.parametrize(
    ("old", "new", "code", "texts"),
    [
        (
            "salesforce_mc_segment_1",
            "salesforce_mc_segmnt_1",
            1,
            ["segments[0].mapping_id: The Mapping ID 'salesforce_mc_segmnt_1' names no field of Email Demographics.",
             "Did you mean 'salesforce_mc_segment_1'?"],
        ),
        (
            "Demographics.First Name",
            "Demographics.Firstname",
            1,
            ["mapping[2].target: The account has no attribute 'Email Demographics.Firstname'.",
             "Did you mean 'First Name'? Case and spaces count."],
        ),
        (
            EMAIL_ROW,
            "",
            2,
            ['mapping: no row has the target "Attribute: Email Addresses.Email Address".',
             'Add {source: "xdm: personalEmail.address"'],
        ),
        ("id: camp", "id: Camp Two", 2, ["id: must begin with a-z or 0-9"]),
        ("name: Camp\n", "name: [broken\n", 2, ["camp.yaml is not valid YAML.", "line 3, column"]),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit(shell: Shell, old: str, new: str, code: int, texts: list[str]) -> None:
    done = shell("connect", shell.edited(old, new))
    assert done.code == code
    for text in texts:
        assert text in done.said
    assert shell("destinations", "--json").out.strip() == "[]"


def test_every_problem_of_a_file_at_once(shell: Shell) -> None:
    done = shell(
        "connect",
        shell.file(
            "id: Bad Id\nname: X\naccount: {subdomain: a/b, client_id: x, client_secret: y}\n"
            "mapping:\n - {source: 'xdm: a', target: nowhere}\nlimits: {calls_per_minute: 0}\n"
        ),
    )
    assert done.code == 2
    assert "camp.yaml has 4 problems." in done.said
    for place in ("id:", "account.subdomain:", "mapping[0].target:", "limits.calls_per_minute:"):
        assert f"- {place}" in done.said


def test_hosts_that_are_not_salesforces(shell: Shell) -> None:
    elsewhere = shell("connect", shell.edited(f"auth_base_url: {shell.base}", "auth_base_url: https://elsewhere.test"))
    assert elsewhere.code == 2
    assert "account.auth_base_url: names a host that is not this machine." in elsewhere.said
    shell.monkeypatch.delenv("ACTIVATION_ALLOW_LOCAL_HOSTS")
    local = shell("connect", shell.file())
    assert local.code == 2
    assert "account.rest_base_url: is for local hosts only" in local.said


def test_a_variable_that_is_not_set(shell: Shell) -> None:
    shell.monkeypatch.delenv("SECRET")
    done = shell("connect", shell.file())
    assert done.code == 2
    assert "account.client_secret: the environment variable SECRET is not set." in done.said


def test_services_that_do_not_answer(shell: Shell) -> None:
    usual = shell.folder / shell.file()
    away = shell("connect", shell.file(usual.read_text().replace(shell.base, "http://127.0.0.1:9")))
    assert away.code == 3
    assert "127.0.0.1:9 does not take connections. Nothing was changed; try again." in away.said
    shell.monkeypatch.setenv("ACTIVATION_REDIS_URL", "redis://127.0.0.1:9/0")
    without = shell("destinations")
    assert without.code == 3
    assert "Redis does not answer. Check ACTIVATION_REDIS_URL and that the server runs." in without.said


def test_settings_that_are_wrong(shell: Shell) -> None:
    shell.monkeypatch.setenv("ACTIVATION_SECRET_KEYS", "short")
    keys = shell("destinations")
    assert keys.code == 2
    assert "ACTIVATION_SECRET_KEYS: key 1 is not 32 bytes of URL-safe base64. Make one with:" in keys.said
    shell.monkeypatch.setenv("ACTIVATION_WINDOW_SIZ", "3")
    name = shell("destinations")
    assert name.code == 2
    assert "ACTIVATION_WINDOW_SIZ: no such setting. Did you mean ACTIVATION_WINDOW_SIZE?" in name.said


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            ["enqueue", "gone", "FILE"],
            "No destination 'gone' is connected. `activation destinations` lists those that are",
        ),
        (["runs", "gone"], "No destination 'gone' is connected."),
        (["pause", "gone"], "No destination 'gone' is connected."),
        (["job", "nothing"], "No job 'nothing' is known. Jobs are kept for 30 days"),
        (["connect", "/no/such.yaml"], "/no/such.yaml cannot be read: No such file or directory."),
        (["enqueue", "gone", "FILE", "--occurred-at", "once"], "Write it like 2026-11-22T10:00:00Z."),
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
    assert done.code == 0
    assert "1 of its lines are no JSON and were excluded: 2. Mend them and enqueue the file again" in done.said
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
