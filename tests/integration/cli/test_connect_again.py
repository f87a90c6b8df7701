"""What `connect` says when it replaces a destination, and `fields` when the account refuses."""

from __future__ import annotations

import orjson
import pytest

from tests.integration.cli.conftest import DESTINATION, Shell

AGAIN = """\
options: {several_identities: smallest}
limits: {calls_per_minute: 600}
"""


def test_the_same_again_changes_nothing(shell: Shell) -> None:
    shell("connect", shell.file())
    done = shell("connect", shell.file())
    assert done.out == "camp is replaced:\n    account.client_secret: unchanged\n✔ Connected\n"
    assert done.err == ""


def test_what_is_added_removed_and_changed(shell: Shell) -> None:
    shell("connect", shell.file())
    shell.monkeypatch.setenv("SECRET", "staged-secret")
    shell.admin("PATCH", "settings", {"staged_secrets": ["staged-secret"]})
    text = (
        (DESTINATION % {"base": shell.base})
        .replace("name: Camp", "name: Camping")
        .replace("xdm: person.name.firstName", "xdm: nick")
        .replace("mapping_id: salesforce_mc_segment_1", "mapping_id: salesforce_mc_segment_2")
        .replace("segments:", '  - {source: "xdm: tier", target: "Attribute: Email Demographics.Tier"}\nsegments:')
    )
    done = shell("connect", shell.file(text + AGAIN))
    assert done.out.splitlines() == [
        "camp is replaced:",
        "  ~ name: Camp → Camping",
        "  ~ limits.calls_per_minute: 2,400 → 600",
        "  ~ options.several_identities: exclude → smallest",
        "  ~ mapping: Attribute: Email Demographics.First Name ← xdm: person.name.firstName → xdm: nick",
        "  + mapping: Attribute: Email Demographics.Tier ← xdm: tier",
        "  ~ segments: ups/seg-1 ← salesforce_mc_segment_1 (One) → salesforce_mc_segment_2 (One)",
        "  ~ account.client_secret: changed",
        "✔ Connected",
    ]
    assert "contacts get new identities" in done.err
    assert "sandbox-secret" not in done.said
    assert "staged-secret" not in done.said
    back = shell("connect", shell.file())
    assert "- mapping: Attribute: Email Demographics.Tier ← xdm: tier" in back.out


def test_programs_are_told_of_problems_and_changes(shell: Shell) -> None:
    first = orjson.loads(shell("connect", shell.file(), "--json").out)
    assert first == {
        "id": "camp", "connected": True, "problems": [], "replaced": False, "changes": [], "warnings": [], "given_limits": [],
        "resumed": False,
    }  # fmt: skip
    again = shell("connect", shell.edited("IdentityMap: contactKey", "IdentityMap: crm"), "--json")
    told = orjson.loads(again.out)
    assert (again.code, told["replaced"], again.err) == (0, True, "")
    assert told["changes"][-1] == "account.client_secret: unchanged"
    assert any("IdentityMap: contactKey → IdentityMap: crm" in line for line in told["changes"])
    assert ["contacts get new identities" in text for text in told["warnings"]] == [True]
    refused = shell("connect", shell.edited("salesforce_mc_segment_1", "gone"), "--json")
    told = orjson.loads(refused.out)
    assert (refused.code, refused.err, told["connected"], told["changes"]) == (1, "", False, [])
    (problem,) = told["problems"]
    assert (problem["level"], problem["where"]) == ("error", "segments[0].mapping_id")
    assert problem["text"]
    assert problem["remedy"]


def test_alert_channels_are_kept_by_their_place_and_told_of(shell: Shell) -> None:
    text = DESTINATION % {"base": shell.base}
    alerts = "alerts:\n  - {slack: 'https://hooks.test/hidden'}\n  - {email: hidden@mail.test}\n"
    assert "alerts" not in shell("connect", shell.file(text + alerts)).out
    kept = shell("connect", shell.file(text + "alerts:\n  - {email: <connected 1>, kinds: [all]}\n"))
    assert kept.out.splitlines()[1:3] == [
        "  ~ alerts[0]: email: warnings and worse → all",
        "  - alerts[0]: slack: warnings and worse",
    ]
    gone = shell("connect", shell.file(text))
    assert "  - alerts[0]: email: all" in gone.out.splitlines()
    assert "hidden" not in kept.said + gone.said
    assert shell("connect", shell.file(text + "alerts:\n  - {email: <connected 0>}\n")).code == 2


@pytest.mark.parametrize(
    ("old", "new", "warned"),
    [
        ("IdentityMap: contactKey", "IdentityMap: CONTACTKEY", False),
        ("IdentityMap: contactKey", "IdentityMap: crm", True),
        ("IdentityMap: contactKey", "xdm: crm.id", True),
        ('"IdentityMap: contactKey"', '["IdentityMap: contactKey", "xdm: crm.id"]', True),
        ("xdm: person.name.firstName", "xdm: nick", False),
    ],
)
def test_a_warning_where_contacts_get_other_keys(shell: Shell, old: str, new: str, warned: bool) -> None:
    shell("connect", shell.file())
    done = shell("connect", shell.edited(old, new))
    assert done.code == 0
    assert ("contacts get new identities" in done.err) is warned


@pytest.mark.parametrize(
    ("kind", "words", "numbered"),
    [
        ("server_error", "Out of order.", "(HTTP 500, errorcode 0)"),
        ("bad_request", "Out of order.", "(HTTP 400, errorcode 10001)"),
        ("html_502", "502 Bad Gateway", "(HTTP 502)"),
    ],
)
def test_fields_shows_marketing_clouds_own_words(shell: Shell, kind: str, words: str, numbered: str) -> None:
    shell("connect", shell.file())
    more = {} if kind == "html_502" else {"message": "Out of order."}
    shell.admin("POST", "faults", {"kind": kind, "route": "definitions", "times": None, **more})
    done = shell("fields", "camp", "--refresh")
    assert done.code in (1, 3)
    assert f"Marketing Cloud says: {words}" in done.said
    assert numbered in done.said


def test_preview_shows_values_and_totals(shell: Shell) -> None:
    shell("connect", shell.file())
    profiles = shell.file(
        '{"identityMap": {"CONTACTKEY": [{"id": "c-1"}]}, "personalEmail": {"address": "ann@mail.test"},'
        ' "person": {"name": {"firstName": ["x"]}}}\n'
        "nonsense\n"
        '{"identityMap": {"ecid": [{"id": "4711"}]}}\n',
        "profiles.jsonl",
    )
    done = shell("preview", "camp", profiles)
    assert done.code == 0
    assert "Profile 1 of <contact 1>: delivered" in done.out
    assert "Email Addresses.Email Address = <text of 13> from xdm: personalEmail.address" in done.said
    assert "left out: mapping[2] Email Demographics.First Name: is a list or an object, not one value" in done.out
    assert "Profile 2: excluded: malformed_profile" in done.out
    assert "missing_contact_key identityMap.contactKey; the profile has ecid" in done.out
    assert "no profile has a value for segments[0] Email Demographics.salesforce_mc_segment_1" in done.out
    assert "ann@mail.test" not in done.said
    assert "c-1" not in done.said
    revealed = shell("preview", "camp", profiles, "--reveal", "--json")
    assert '"contactKey": "c-1"' in revealed.out
    assert shell("preview", "camp", profiles, "--shown", "0").out.count("Profile ") == 0
    assert shell("preview", "gone", profiles).code == 2
    assert shell("runs", "camp", "--json").out.count('"received"') == 0


def test_runs_name_the_namespaces_that_came_instead(shell: Shell) -> None:
    shell("connect", shell.file())
    profiles = shell.file('{"identityMap": {"ECID": [{"id": "4711"}]}}\n', "profiles.jsonl")
    shell("enqueue", "camp", profiles)
    assert "identityMap.contactKey; the profile has ecid" in shell("runs", "camp", "--details", "--json").out


def test_another_business_unit_is_warned_of_and_what_is_done_here_is_in_the_audit(shell: Shell) -> None:
    shell("connect", shell.file())
    done = shell("connect", shell.edited("  client_id:", "  account_id: '510001'\n  client_id:"))
    assert done.code == 0
    assert "what was delivered to the former one is forgotten" in done.err
    shell("pause", "camp")
    shell("disconnect", "camp", "--yes")
    acts = [(act["what"], act["destination"]) for act in orjson.loads(shell("audit", "--json").out)]
    assert acts == [("disconnect", "camp"), ("pause", "camp"), ("connect", "camp"), ("connect", "camp")]
