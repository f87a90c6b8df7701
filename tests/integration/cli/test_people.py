"""`user`, `api-key`, `audit` and `contact`, as somebody types them."""

from __future__ import annotations

import json
import os

import pytest

from app.sealing import make_key

PROFILE = {
    "identityMap": {"contactKey": [{"id": "c-1"}]}, "personalEmail": {"address": "ann@mail.test"},
    "person": {"name": {"firstName": "Ann"}},
}  # fmt: skip


def test_a_user_is_added_listed_and_removed(shell):
    added = shell("user", "add", "ann", "--role", "activate")
    assert added.code == 0
    assert added.out.startswith("http://127.0.0.1:8081/link/")
    assert "signs ann in once, within 60 minutes" in added.said
    listed = json.loads(shell("user", "list", "--json").out)
    assert [(one["user"], one["role"], one["has_password"]) for one in listed] == [("ann", "activate", False)]
    assert shell("user", "add", "ann", "--role", "view").code == 0
    assert json.loads(shell("user", "list", "--json").out)[0]["role"] == "view"
    assert shell("user", "link", "ann").out.startswith("http://127.0.0.1:8081/link/")
    refused = shell("user", "remove", "ann")  # nobody is there to agree
    assert (refused.code, len(json.loads(shell("user", "list", "--json").out))) == (1, 1)
    assert shell("user", "remove", "ann", "--yes").code == 0
    assert json.loads(shell("user", "list", "--json").out) == []


def test_links_name_the_address_that_browsers_use(shell):
    shell.monkeypatch.setenv("ACTIVATION_CONSOLE_URL", "https://activation.corp.test/")
    link = json.loads(shell("user", "link", "--json").out)
    assert link["link"].startswith("https://activation.corp.test/link/")
    assert (link["user"], link["role"], link["expires_in_seconds"]) == ("local", "manage", 3600)


@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "link", "nobody"),
        ("user", "remove", "nobody"),
        ("user", "add", "not a name"),
        ("api-key", "revoke", "none"),
        ("api-key", "add", "Not a name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_wrong_usage(shell, arguments):
    done = shell(*arguments)
    assert (done.code, "Traceback" in done.err) == (2, False)


def test_a_key_is_shown_once_and_all_of_it_is_in_the_audit(shell):
    key = shell("api-key", "add", "nightly", "--role", "activate").out.strip()
    assert key.startswith("act_nightly_")
    listed = shell("api-key", "list", "--json").out
    assert key not in listed
    assert json.loads(listed)[0]["role"] == "activate"
    assert shell("api-key", "revoke", "nightly").code == 0
    acts = json.loads(shell("audit", "--json").out)
    assert [(act["what"], act["detail"]) for act in acts] == [
        ("api-key revoke", "nightly"),
        ("api-key add", "nightly activate"),
    ]
    assert all(act["who"].startswith("command line (") for act in acts)


def test_users_and_keys_outlive_a_change_of_the_sealing_key(shell):
    old, new = os.environ["ACTIVATION_SECRET_KEYS"], make_key()
    shell("user", "add", "ann", "--role", "activate")
    shell("api-key", "add", "nightly", "--role", "view")
    shell.monkeypatch.setenv("ACTIVATION_SECRET_KEYS", f"{new},{old}")
    assert shell("user", "reseal").out.strip() == "1 users and 1 API keys are sealed with the first key."
    shell.monkeypatch.setenv("ACTIVATION_SECRET_KEYS", new)
    assert [one["user"] for one in json.loads(shell("user", "list", "--json").out)] == ["ann"]
    assert [one["name"] for one in json.loads(shell("api-key", "list", "--json").out)] == ["nightly"]
    shell.monkeypatch.setenv("ACTIVATION_SECRET_KEYS", make_key())
    locked = shell("user", "reseal")
    assert (locked.code, locked.out.strip()) == (1, "0 users and 0 API keys are sealed with the first key.")
    assert "user ann, API key nightly" in locked.err
    shell.monkeypatch.setenv("ACTIVATION_SECRET_KEYS", new)
    assert len(json.loads(shell("user", "list", "--json").out)) == 1, "what no key opened is as it was"


def test_a_contact_is_looked_up_without_and_with_the_account(shell):
    assert shell("connect", shell.file()).code == 0
    assert "Nothing is noted" in shell("contact", "camp", "c-1").said
    shell("enqueue", "camp", shell.file(json.dumps(PROFILE), name="one.jsonl"))
    found = json.loads(shell("contact", "camp", "c-1", "--json").out)
    assert [(one["kind"], one["attributes"]) for one in found["waiting"]] == [
        ("live", ["Email Addresses.Email Address", "Email Demographics.First Name"])
    ]
    table = shell("contact", "camp", "c-1").said
    assert "Email Demographics.First Name" in table
    assert "ann@mail.test" not in table
    missing = shell("contact", "camp", "c-1", "--account")
    assert "The account has no contact of this key." in missing.said
    assert shell("contact", "camp", " ").code == 2
    assert shell("contact", "nothing", "c-1").code == 2


def test_of_many_waiting_profiles_of_a_contact_the_first_are_shown(shell):
    assert shell("connect", shell.file()).code == 0
    shell("enqueue", "camp", shell.file("\n".join([json.dumps(PROFILE)] * 53), name="many.jsonl"))
    assert "and 3 more, which --json shows" in shell("contact", "camp", "c-1").said
    assert len(json.loads(shell("contact", "camp", "c-1", "--json").out)["waiting"]) == 53
