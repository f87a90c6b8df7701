"""What `activation connect` and `check` say of an account that refuses, or whose fields are not those of the file."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from app.keys import AccountKeys, DestinationKeys

NOT_CONNECTED = "Error: spring is not connected.\nFix what is listed and connect again.\n"
LACKS_WRITE = (
    "error: account: The installed package lacks the scope list_and_subscribers_write (missing_scope). "
    "Add it in Setup > Apps > Installed Packages; it may take 5 minutes to show.\n"
)


def connected(run) -> list[str]:
    return [row["id"] for row in orjson.loads(run("destinations", "--json").stdout)]


def test_a_file_without_a_fault_is_connected_and_ready(run, text):
    done = run("connect", "-", stdin=text)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "✔ Connected\n", "")
    assert connected(run) == ["spring"]
    checked = run("check", "spring")
    assert (checked.exit_code, checked.stdout, checked.stderr) == (0, "✔ spring is ready.\n", "")


def test_a_wrong_secret(run, text):
    refused = run("connect", "-", stdin=text.replace("sandbox-secret", "mistyped-5ecret"))
    assert refused.exit_code == 1
    assert (
        "error: account: Marketing Cloud does not accept the client id and secret. (bad_credentials) "
        "Check account.client_secret (a secret ends 180 days after it was made: rotate it and connect again)"
    ) in refused.stderr
    assert refused.stderr.endswith(NOT_CONNECTED)
    assert "5ecret" not in refused.output
    assert connected(run) == []


def test_a_mended_secret_is_tried_at_once(run, text):
    assert run("connect", "-", stdin=text.replace("sandbox-secret", "mistyped")).exit_code == 1
    assert run("connect", "-", stdin=text).exit_code == 0


def test_a_client_id_of_another_account(run, text):
    refused = run("connect", "-", stdin=text.replace("sandbox-client", "elsewhere"))
    assert refused.exit_code == 1
    assert "Marketing Cloud does not know the client id (invalid_client). (bad_credentials)" in refused.stderr
    assert "Copy account.client_id from Setup > Apps > Installed Packages" in refused.stderr


def test_an_ip_address_that_is_not_listed(run, text, sandbox):
    sandbox.switch(ip_refused=True)
    refused = run("connect", "-", stdin=text)
    assert refused.exit_code == 1
    assert (
        "error: account: Marketing Cloud refuses this machine's IP address (invalid_grant). (ip_not_allowed) "
        "Ask the Marketing Cloud administrator to add the addresses that this machine's calls come from"
    ) in refused.stderr
    assert "Setup > Security > Login IP Allowlist.\n" in refused.stderr
    assert refused.stderr.endswith(NOT_CONNECTED)
    assert connected(run) == []


@pytest.mark.parametrize(
    ("change", "code"), [({"ip_refused": True}, "ip_not_allowed"), ({"client_secrets": ["new"]}, "bad_credentials")]
)
def test_a_token_that_still_works_hides_no_refusal(run, text, sandbox, change, code):
    assert run("connect", "-", stdin=text).exit_code == 0
    sandbox.switch(**change)
    checked = run("check", "spring", "--new-token", "--json")
    assert checked.exit_code == 1
    found = orjson.loads(checked.stdout)
    assert found["ok"] is False
    assert [(item["level"], item["where"]) for item in found["problems"]] == [("error", "account")]
    assert f"({code})" in found["problems"][0]["text"]
    assert found["problems"][0]["remedy"]


def token_requests(sandbox) -> int:
    return sum(call["route"] == "token" for call in sandbox.calls)


def test_connect_and_check_take_one_token_and_hold_no_delivery(run, text, sandbox):
    sandbox.switch(token_requests_per_window=1, token_window_seconds=1200)
    for words in (("connect", "-"), ("connect", "-"), ("check", "spring"), ("fields", "spring", "--refresh")):
        assert run(*words, stdin=text).exit_code == 0, words
    assert token_requests(sandbox) == 1
    refused = run("check", "spring", "--new-token")
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert refused.stderr == (
        "Error: The token endpoint is asked too often (HTTP 429).\nDelivery goes on by itself after a wait. If it comes again, see "
        "which other programs ask for tokens of the installed package, and give each a package of its own. Nothing was changed; "
        "try again in 60 s.\n"
    )
    (row,) = orjson.loads(run("destinations", "--json").stdout)
    assert row["throttled_seconds"] == 0
    assert run("check", "spring").exit_code == 0


def test_an_old_token_is_tested_while_no_new_one_is_to_be_had(run, text, sandbox, redis):
    sandbox.switch(token_requests_per_window=1, token_window_seconds=1200)
    assert run("connect", "-", stdin=text).exit_code == 0
    (key,) = redis.scan_iter("act:*:token:????????????")
    redis.pexpire(key, redis.pttl(key) - 301_000)
    checked = run("check", "spring")
    assert (checked.exit_code, checked.stdout) == (0, "✔ spring is ready.\n")
    assert checked.stderr == (
        "warning: account: The token endpoint is asked too often (HTTP 429). The token in use was tested instead of a new one. "
        "Check again later: it may have outlived the client secret and permissions that it was granted for.\n"
    )


@pytest.mark.parametrize(("code", "requests"), [("missing_scope", 2), ("mapping_broken", 1)])
def test_a_destination_stopped_for_its_permissions_is_tested_with_a_new_token(
    run, text, sandbox, redis, code, requests
):
    assert run("connect", "-", stdin=text).exit_code == 0
    redis.hset(DestinationKeys("spring").state, mapping={"status": "stopped", "code": code, "text": "It was refused."})
    assert run("check", "spring").exit_code == 0
    assert token_requests(sandbox) == requests


def test_a_missing_scope(run, text, sandbox):
    sandbox.switch(package_scopes="list_and_subscribers_read")
    refused = run("connect", "-", stdin=text)
    assert (refused.exit_code, refused.stdout, refused.stderr) == (1, "", LACKS_WRITE + NOT_CONNECTED)
    assert connected(run) == []


def test_a_scope_that_was_taken_away(run, text, sandbox):
    assert run("connect", "-", stdin=text).exit_code == 0
    sandbox.switch(package_scopes="list_and_subscribers_read")
    checked = run("check", "spring", "--new-token")
    assert (checked.exit_code, checked.stdout, checked.stderr) == (
        1,
        "",
        f"{LACKS_WRITE}Error: 1 problem to fix.\n",
    )


@pytest.mark.parametrize(
    ("typo", "hint"),
    [
        ("salesforce_mc_segmnt_2", "Did you mean 'salesforce_mc_segment_2'?"),
        ("Salesforce_MC_Segment_2", "Did you mean 'salesforce_mc_segment_2'? Case and spaces count."),
        ("loyaltyTier", "Did you mean 'Loyalty Tier'? Case and spaces count."),
        ("zzz", "Create it in Contact Builder: type Text, length 254 to 4000, exactly this name."),
    ],
)
def test_a_mapping_id_with_a_typo_names_its_row_and_the_near_miss(run, text, sandbox, typo, hint):
    sandbox.admin("PUT", "/attributes", {"add": [{"name": "Loyalty Tier", "length": 254}]})
    refused = run("connect", "-", stdin=text.replace("salesforce_mc_segment_2", typo))
    line = f"error: segments[1].mapping_id: The Mapping ID '{typo}' names no field of Email Demographics. {hint}\n"
    assert (refused.exit_code, refused.stdout, refused.stderr) == (1, "", line + NOT_CONNECTED)
    assert connected(run) == []


def test_a_faulty_file_leaves_what_is_connected_as_it_was(run, text):
    assert run("connect", "-", stdin=text).exit_code == 0
    assert run("connect", "-", stdin=text.replace("segment_2", "sgment_2")).exit_code == 1
    assert run("check", "spring").exit_code == 0


def test_all_that_the_account_lacks_is_told_at_once(run, text):
    refused = run("connect", "-", stdin=text.replace("_segment_", "_sgment_").replace("First Name", "Frist Name"))
    assert refused.exit_code == 1
    assert [line.partition(": The ")[0] for line in refused.stderr.splitlines()[:-2]] == [
        "error: mapping[2].target",
        "error: segments[0].mapping_id",
        "error: segments[1].mapping_id",
    ]
    assert "has no attribute 'Email Demographics.Frist Name'. Did you mean 'First Name'?" in refused.stderr
    assert refused.stderr.endswith(NOT_CONNECTED)


def test_the_number_of_problems_of_a_check(run, text, sandbox):
    assert run("connect", "-", stdin=text).exit_code == 0
    sandbox.admin("PUT", "/attributes", {"remove": ["First Name", "salesforce_mc_segment_1"]})
    checked = run("check", "spring")
    assert checked.exit_code == 1
    assert "error: mapping[2].target: " in checked.stderr
    assert "error: segments[0].mapping_id: " in checked.stderr
    assert checked.stderr.endswith("Error: 2 problems to fix.\n")


def test_an_account_whose_token_names_a_foreign_host(run, text, sandbox, closed_port):
    own, other = f"rest_base_url: {sandbox.base_url}", f"rest_base_url: http://127.0.0.1:{closed_port}"
    refused = run("connect", "-", stdin=text.replace(own, other))
    assert refused.exit_code == 1
    assert "names a REST host that is not Marketing Cloud's; the token is not sent there. (foreign_host)" in (
        refused.stderr
    )
    assert "Check account.subdomain in the destination file" in refused.stderr
    assert {call["route"] for call in sandbox.calls} == {"token"}


STANDSTILL = (
    "All 5 calls of this year are used and limits.stop_at_yearly_quota is set: delivery stands still until the year ends (UTC). "
    "Ask Salesforce for more calls, then raise limits.calls_per_year in the file and `activation connect` it "
    "(`--limits-of-account` for all destinations of the account).\n"
)


@pytest.mark.parametrize(("used", "stops"), [(5, True), (4, True), (5, False)])
def test_a_year_whose_calls_are_used_up(run, text, redis, used, stops):
    limits = f"limits: {{calls_per_year: 5, stop_at_yearly_quota: {str(stops).lower()}}}\n"
    assert run("connect", "-", stdin=text + limits).exit_code == 0
    (row,) = orjson.loads(run("destinations", "--json").stdout)
    year = datetime.now(UTC).year
    redis.hset(AccountKeys(row["account"]).calls, f"y{year}", used)
    listed, checked = run("destinations"), run("check", "spring")
    stands_still = stops and used == 5
    assert (f"spring: {STANDSTILL}" in listed.stdout) is stands_still
    assert (f"error: limits.calls_per_year: {STANDSTILL}" in checked.stderr) is stands_still
    assert checked.exit_code == int(stands_still)
