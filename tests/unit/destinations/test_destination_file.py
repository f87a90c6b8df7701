from __future__ import annotations

from datetime import date

import pytest

from app.destinations.file import load
from app.destinations.model import Account, Consent, Destination, Limits, MappingRow, Options, Segment, Source, Target
from app.errors import UsageError

SECRET = "hush-hush-123"
GOOD = """\
id: spring-campaign
name: Spring campaign
description: Rental offers
account:
  subdomain: mcq4jrssqdlyc4lph19nnqgzzs84
  client_id: r23kxxxxxxxx0z05xxxxxx
  client_secret: ${SFMC_CLIENT_SECRET}
  account_id: 0012345
mapping:
  - {source: "IdentityMap: contactKey", target: "Identity: salesforceContactKey"}
  - {source: "xdm:personalEmail.address", target: "Attribute:Email Addresses.Email Address"}
  - {source: "xdm: person.name.firstName", target: "Attribute: Email Demographics.First Name"}
  - {source: "const: web: spring", target: "Attribute: Email Demographics.Shop v1.2", transform: sha256}
segments:
  - {id: 7841ba61, mapping_id: salesforce_mc_segment_1, name: Renters, start: 2026-01-01, end: 2026-12-31}
  - {id: 99, namespace: AAM, mapping_id: other}
limits: {calls_per_minute: 600, max_in_flight: 3}
"""


def read(text: str, *, local: bool = False, **environ: str) -> Destination:
    return load(text, environ={"SFMC_CLIENT_SECRET": SECRET} | environ, allow_local_hosts=local, where="spring.yaml")


def problems(text: str, *, local: bool = False, **environ: str) -> tuple[str, ...]:
    with pytest.raises(UsageError) as caught:
        read(text, local=local, **environ)
    assert caught.value.problems
    assert str(caught.value).startswith("spring.yaml ")
    assert SECRET not in f"{caught.value}{caught.value.problems}"
    return caught.value.problems


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def test_a_whole_file():
    assert read(GOOD) == Destination(
        id="spring-campaign",
        name="Spring campaign",
        description="Rental offers",
        account=Account(
            subdomain="mcq4jrssqdlyc4lph19nnqgzzs84",
            client_id="r23kxxxxxxxx0z05xxxxxx",
            client_secret=SECRET,
            account_id="0012345",
            auth_base_url="https://mcq4jrssqdlyc4lph19nnqgzzs84.auth.marketingcloudapis.com",
            rest_base_url="https://mcq4jrssqdlyc4lph19nnqgzzs84.rest.marketingcloudapis.com",
        ),
        mapping=(
            MappingRow(Source("identity", "contactKey"), Target("contact_key")),
            MappingRow(Source("xdm", "personalEmail.address"), Target("attribute", "Email Addresses", "Email Address")),
            MappingRow(Source("xdm", "person.name.firstName"), Target("attribute", "Email Demographics", "First Name")),
            MappingRow(
                Source("const", "web: spring"), Target("attribute", "Email Demographics", "Shop v1.2"), "sha256"
            ),
        ),
        segments=(
            Segment(
                id="7841ba61",
                mapping_id="salesforce_mc_segment_1",
                name="Renters",
                start=date(2026, 1, 1),
                end=date(2026, 12, 31),
            ),
            Segment(id="99", mapping_id="other", namespace="AAM"),
        ),
        limits=Limits(calls_per_minute=600, max_in_flight=3),
    )


def test_options():
    text = GOOD + (
        "options: {html_enabled: never, create_unknown: false, status_values: {exited: no}, date_format: '%m/%d/%Y', \n"
        "  consent: {source: 'xdm: consents.marketing.email.val', allowed: [y, true]}}\n"
    )
    assert read(text).options == Options(
        html_enabled="never",
        create_unknown=False,
        status_values={"realized": "realized", "existing": "existing", "exited": "no"},
        date_format="%m/%d/%Y",
        consent=Consent(("consents", "marketing", "email", "val"), ("y", "true")),
    )


def test_the_secret_is_not_in_the_repr():
    assert SECRET not in repr(read(GOOD))


def test_variables_are_replaced_and_escaped_ones_kept():
    text = changed("client_id: r23kxxxxxxxx0z05xxxxxx", "client_id: a${ONE}b${TWO}c$${ONE}d$5")
    assert read(text, ONE="1", TWO="{x:${ONE}}").account.client_id == "a1b{x:${ONE}}c${ONE}d$5"


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("name: Spring campaign", "name: ${AWS_KEY}", "name"),
        ("description: Rental offers", "description: a ${AWS_KEY}", "description"),
        ("const: web: spring", "const: ${AWS_KEY}", "mapping[3].source"),
        ("name: Renters", 'name: "${AWS_KEY}"', "segments[0].name"),
        ("calls_per_minute: 600", 'calls_per_minute: "${AWS_KEY}"', "limits.calls_per_minute"),
    ],
)
def test_a_variable_outside_of_the_account_is_refused_with_the_remedy(old, new, place):
    (problem,) = problems(changed(old, new), AWS_KEY=SECRET)
    assert problem == (
        f"{place}: variables are for values of account, and for addresses and secrets of alerts. "
        "Write the value here, or $${ for a plain ${."
    )
    kept = read(changed("name: Spring campaign", "name: a $${AWS_KEY}"), AWS_KEY=SECRET)
    assert kept.name == "a ${AWS_KEY}"


ALERTS = """
alerts:
  - {webhook: "https://ops.example/${PLACE}", secret: "${ALERT_SECRET}", kinds: [stopped, run_failed]}
  - {slack: "${SLACK_URL}"}
  - {email: marketing@example.com, kinds: [all]}
"""


def test_what_channels_of_alerts_keep_secret_may_be_in_variables():
    environ = {"PLACE": "here", "ALERT_SECRET": "whsec_" + 32 * "a", "SLACK_URL": "https://hooks.example/secret"}
    webhook, slack, email = read(GOOD + ALERTS, **environ).alerts
    assert (webhook.target, webhook.secret) == ("https://ops.example/here", environ["ALERT_SECRET"])
    assert slack.target == environ["SLACK_URL"]
    assert email.target == "marketing@example.com"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (changed("client_id: r23kxxxxxxxx0z05xxxxxx", "client_id: ${SFMC_CLIENT_SECRET}"), "account.client_id"),
        (GOOD + "alerts:\n  - webhook: 'https://elsewhere.test/${SFMC_CLIENT_SECRET}'\n", "alerts[0].webhook"),
        (GOOD + "alerts:\n  - {slack: 'https://a.test/b', secret: '${SFMC_CLIENT_SECRET}'}\n", "alerts[0].secret"),
    ],
)
def test_the_client_secret_stands_in_its_own_place_alone(text, place):
    found = problems(text, SFMC_CLIENT_SECRET=SECRET)
    assert any(
        problem.startswith(f"{place}: SFMC_CLIENT_SECRET stands for the client secret alone") for problem in found
    )
    assert SECRET not in str(found)


def test_an_alert_takes_no_variable_elsewhere():
    found = problems(GOOD + "alerts:\n  - {email: '${WHO}@example.com'}\n", WHO="a")
    assert any(problem.startswith("alerts[0].email: variables are for") for problem in found)


@pytest.mark.parametrize("name", ["ACTIVATION_SECRET_KEYS", "ACTIVATION_REDIS_URL", "ACTIVATION_NO_SUCH"])
def test_no_file_reads_our_own_variables(name):
    (line,) = problems(changed("${SFMC_CLIENT_SECRET}", f"${{{name}}}"), **{name: SECRET})
    assert line.startswith("account.client_secret: variables that begin with ACTIVATION_ are for no file.")


def test_a_variable_that_holds_no_text_is_told():
    (line,) = problems(changed("${SFMC_CLIENT_SECRET}", "${ODD}"), ODD="hush\udcff")
    assert line.startswith("account.client_secret: the environment variable ODD holds what is no printable text.")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("id: spring-campaign", "id: Spring", "id: must be 1 to 63 of a-z, 0-9 and -, with a letter or digit first."),
        ("id: spring-campaign", "id: " + "a" * 64, "id: must be 1 to 63 of"),
        ("id: spring-campaign", "id: -a", "id: must be 1 to 63 of"),
        ("id: spring-campaign\n", "", "id: is missing."),
        ("name: Spring campaign", "name:", "name: is empty."),
        ("name: Spring campaign", "name: [a]", "name: must be text."),
        ("description: R", "descripton: R", "descripton: is unknown here. Did you mean description?"),
        ("  account_id:", "  accountId:", "account.accountId: is unknown here. Did you mean account_id?"),
        ("  client_id: r23kxxxxxxxx0z05xxxxxx\n", "", "account.client_id: is missing."),
        ("account_id: 0012345", "account_id: 12a", "account.account_id: must be the MID, digits only."),
        ("${SFMC_CLIENT_SECRET}", '"a b"', "account.client_secret: must not hold white space."),
        ("${SFMC_CLIENT_SECRET}", "${NOPE}", "account.client_secret: the environment variable NOPE is not set."),
        ("${SFMC_CLIENT_SECRET}", "${NO PE}", "account.client_secret: ${…} holds no name of a variable."),
        ("mcq4jr", "https://mcq4jr", "account.subdomain: may hold a-z, 0-9 and - only."),
        ("mcq4jr", "mcq4_jr", "account.subdomain: may hold a-z, 0-9 and - only."),
        ("s84\n", "s84@evil.test/\n", "account.subdomain: may hold a-z, 0-9 and - only."),
        ("xdm:personalEmail", "xmd:personalEmail",
         "mapping[1].source: has an unknown kind of source. Did you mean xdm?"),
        ("xdm:personalEmail.address", "personalEmail.address", "mapping[1].source: says no source."),
        ("xdm:personalEmail.address", "xdm: a..b", "mapping[1].source: can never match"),
        ("xdm:personalEmail.address", "xdm: a.b.", "mapping[1].source: is no path to one value."),
        ("xdm:personalEmail.address", "xdm: lower(a.b)", "mapping[1].source: looks like a function"),
        ("xdm:personalEmail.address", "lower(xdm: a.b)", "mapping[1].source: looks like a function"),
        ('"IdentityMap: contactKey"', '"IdentityMap: lower(crm)"', "mapping[0].source: is no namespace."),
        ('"xdm:personalEmail.address"', "[]", "mapping[1].source: is an empty list."),
        ('"xdm:personalEmail.address"', '["xdm: a", "xdm: a"]', "mapping[1].source[1]: is in the list already."),
        ('"xdm:personalEmail.address"', '["const: a", "xdm: a"]', "mapping[1].source[1]: can never count"),
        ('"xdm:personalEmail.address"', '["xdm: a", "xdm: a[*]"]', "mapping[1].source[1]: can never match"),
        ('"IdentityMap: contactKey"', '["IdentityMap: contactKey", "IdentityMap: CONTACTKEY"]',
         "mapping[0].source[1]: is in the list already."),
        ('"IdentityMap: contactKey"', '["IdentityMap: contactKey", "const: x"]', "mapping[0].source: is a constant"),
        ('"xdm:personalEmail.address"', "{xdm: a}", "mapping[1].source: must be text in quotes"),
        ("Identity: salesforceContactKey", "Identity: contactKey", "mapping[0].target: names an unknown identity."),
        ("Email Demographics.First Name", "First Name", "mapping[2].target: names no attribute."),
        ("Email Demographics.First Name", "Email Demographics.", "mapping[2].target: names no attribute."),
        ("Attribute: Email Demographics.First", "Atribute: x.First", "mapping[2].target: says no target."),
        ("Email Demographics.First Name", "Email Addresses.Email Address",
         "mapping[2].target: is the target of mapping[1] already."),
        ("IdentityMap: contactKey", "const: 5", "mapping[0].source: is a constant"),
        (", transform: sha256", ", transform: md5", "mapping[3].transform: must be sha256"),
        ('Email Address"}', 'Email Address", transform: sha256}', "mapping[1].transform: would make the email address"),
        ("id: 7841ba61,", "id: 99, namespace: AAM,", "segments[1].id: is the segment of segments[0] already."),
        ("start: 2026-01-01", "start: 2026-02-30", "segments[0].start: must be a date such as 2026-12-31."),
        ("end: 2026-12-31", "end: 2025-12-31", "segments[0].end: lies before start."),
        (", mapping_id: other", "", "segments[1].mapping_id: is missing."),
        ("calls_per_minute: 600", "calls_per_minute: 0", "limits.calls_per_minute: must be between 1 and 1,000,000."),
        ("calls_per_minute: 600", "calls_per_minute: 1000001", "limits.calls_per_minute: must be between"),
        ("calls_per_minute: 600", "calls_per_minute: 2.5", "limits.calls_per_minute: must be a whole number."),
        ("calls_per_minute: 600", "calls_per_minute: yes", "limits.calls_per_minute: must be a whole number."),
        ("calls_per_minute: 600", f"calls_per_year: {2**64}", "limits.calls_per_year: must be between 1 and"),
        ("calls_per_minute: 600", "calls_per_year: " + "9" * 5000, "limits.calls_per_year: must be a whole number."),
        ("name: Spring campaign", 'name: "a\\e[2J"', "name: holds a control character."),
        ("description: R", '"\\e[2J": R', "\ufffd[2J: is unknown here."),
        ("calls_per_minute: 600", "calls_per_year: 0", "limits.calls_per_year: must be between 1 and 1,000,000,000,000."),
        ("max_in_flight: 3", "max_in_flight: 501", "limits.max_in_flight: must be between 1 and 500."),
        ("limits: {calls_per_minute: 600, max_in_flight: 3}", "limits: 5", "limits: must hold names and values"),
        ("limits: {calls_per_minute: 600, max_in_flight: 3}", "limits:", "limits: is empty. Remove the line."),
        ("limits: {calls_per_minute: 600, max_in_flight: 3}", "options: {html_enabled: on}",
         "options.html_enabled: must be one of first, create, always, never."),
        ("limits: {calls_per_minute: 600, max_in_flight: 3}", "options: {status_values: {left: x}}",
         "options.status_values.left: is unknown here."),
        ("limits: {calls_per_minute: 600, max_in_flight: 3}", "options: {date_format: today}",
         "options.date_format: writes the same text for every day."),
        ("limits: {calls_per_minute: 600, max_in_flight: 3}", "options: {consent: {source: 'const: a', allowed: [y]}}",
         "options.consent.source: must be an XDM field"),
        ("limits: {calls_per_minute: 600, max_in_flight: 3}", "options: {consent: {source: 'xdm: a', allowed: []}}",
         "options.consent.allowed: is empty"),
    ],
)  # fmt: skip
def test_one_fault_gives_one_line_with_its_path(old, new, expected):
    (line,) = problems(changed(old, new))
    assert line.startswith(expected)


def test_contact_key_and_email_are_mandatory():
    start, end = GOOD.index("mapping:"), GOOD.index("segments:")
    lines = problems(GOOD[:start] + "mapping: []\n" + GOOD[end:])
    assert [line.split(". Add")[0] for line in lines] == [
        'mapping: no row has the target "Identity: salesforceContactKey"',
        'mapping: no row has the target "Attribute: Email Addresses.Email Address"',
    ]


def test_all_faults_are_told_at_once():
    text = (
        GOOD.replace("id: spring-campaign", "id: A\nid: B")
        .replace("mcq4jr", "mc_4jr")
        .replace("${SFMC_CLIENT_SECRET}", "${NOPE}")
        .replace("xdm:personalEmail", "personalEmail")
        .replace("end: 2026-12-31", "end: 2025-12-31")
        .replace("max_in_flight: 3", "max_inflight: 3")
    )
    paths = [line.split(": ")[0] for line in problems(text)]
    assert sorted(paths) == [
        "account.client_secret",
        "account.subdomain",
        "id",
        "limits.max_inflight",
        "line 2",
        "mapping[1].source",
        "segments[0].end",
    ]


def test_a_name_given_twice_is_told_with_both_lines():
    assert problems(changed("  account_id: 0012345", "  client_id: abc")) == (
        "line 8: client_id is given twice, first in line 6. Remove one.",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b: c", "line 1, column 5: mapping values are not allowed here. Quote a value that holds a colon"),
        ("a: [1, 2", "line 1, column 9: "),
        ("a: 1\n\tb: 2", "line 2, column 1: found character '\\t' that cannot start any token. Indent with spaces"),
        ("a: &x 1\nb: *x", "line 2, column 4: aliases (*name) are not supported"),
        ("a: !!python/object:os.system x", "line 1, column 4: tags (!name) are not supported"),
        ("a: !!int abc", "line 1, column 4: tags (!name) are not supported"),
        ("a: !!bool abc", "line 1, column 4: tags (!name) are not supported"),
        ("a: !!timestamp abc", "line 1, column 4: tags (!name) are not supported"),
        ("a: !!map [b]", "line 1, column 4: tags (!name) are not supported"),
        ("a: !!seq {b: c}", "line 1, column 4: tags (!name) are not supported"),
        ('a: "\\ud800"', "line 1, column 4: \\ud800 to \\udfff are no characters"),
        ('"\\udfff": a', "line 1, column 1: \\ud800 to \\udfff are no characters"),
        ("a: " + "[" * 500, "line 1, column 23: there are more than 20 levels"),
        ("\n".join(" " * level + "a:" for level in range(500)), "line 20, column 20: there are more than 20 levels"),
        ("a: 1\n---\nb: 2", "line 2, column 1: but found another document"),
        ("a: 1\nb: \x00", "line 2: a character that YAML does not allow."),
        ("", "top level: must hold names and values"),
        ("- a", "top level: must hold names and values"),
        ("just text", "top level: must hold names and values"),
    ],
)
def test_what_is_no_mapping_in_yaml_is_told_with_its_place(text, expected):
    (line,) = problems(text)
    assert line.startswith(expected)


def test_broken_yaml_shows_no_excerpt():
    (line,) = problems(changed("${SFMC_CLIENT_SECRET}", f"'{SECRET}"))
    assert line.startswith("line ")


def with_urls(auth: str, rest: str) -> str:
    return changed("  account_id: 0012345", f"  auth_base_url: {auth}\n  rest_base_url: {rest}")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://127.0.0.1:8010/t/mcq4/", "http://127.0.0.1:8010/t/mcq4"),
        ("https://LOCALHOST", "https://localhost"),
        ("http://[::1]:8010", "http://[::1]:8010"),
        ("http://127.9.9.9:1", "http://127.9.9.9:1"),
    ],
)
def test_local_hosts_where_they_are_allowed(given, kept):
    account = read(with_urls(given, given), local=True).account
    assert (account.local, account.auth_base_url, account.rest_base_url) == (True, kept, kept)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://evil.test", "names a host that is not this machine."),
        ("https://localhost.evil.test", "names a host that is not this machine."),
        ("https://127.0.0.1@evil.test", "names a host that is not this machine."),
        ("https://x.rest.marketingcloudapis.com", "names a host that is not this machine."),
        ("http://0.0.0.0:80", "names a host that is not this machine."),
        ("http://user:pw@localhost", "must be a host, a port and perhaps a path"),
        ("http://localhost/?a=b", "must be a host, a port and perhaps a path"),
        ("http://localhost/a%2e", "must be a host, a port and perhaps a path"),
        ("http://localhost:port", "is no URL."),
        ("ftp://localhost", "must be a URL that begins with http:// or https://."),
        ("localhost:8010", "must be a URL that begins with http:// or https://."),
    ],
)
def test_other_base_urls_are_refused_even_then(given, expected):
    lines = problems(with_urls(given, given), local=True)
    assert [line.split(": ", 1)[0] for line in lines] == ["account.auth_base_url", "account.rest_base_url"]
    assert all(line.split(": ", 1)[1].startswith(expected) for line in lines)


@pytest.mark.parametrize("given", ["http://127.0.0.1:8010", "https://evil.test"])
def test_without_leave_every_base_url_is_refused_with_the_reason(given):
    lines = problems(with_urls(given, given))
    assert len(lines) == 2
    assert all("ACTIVATION_ALLOW_LOCAL_HOSTS=1" in line and "account.subdomain" in line for line in lines)


def test_one_base_url_asks_for_the_other():
    text = changed("  account_id: 0012345", "  rest_base_url: http://localhost:1")
    assert problems(text, local=True) == (
        "account.auth_base_url: is missing, while rest_base_url is given. Give both or neither.",
    )


@pytest.mark.parametrize(
    "written",
    ["MCQ4jrssqdlyc4lph19nnqgzzs84", "https://MCQ4jrssqdlyc4lph19nnqgzzs84.auth.marketingcloudapis.com/",
     "mcq4jrssqdlyc4lph19nnqgzzs84.rest.marketingcloudapis.com"],
)  # fmt: skip
def test_a_subdomain_is_understood_in_any_case_and_out_of_a_url(written: str) -> None:
    found = read(GOOD.replace("mcq4jrssqdlyc4lph19nnqgzzs84", written))
    assert found.account.subdomain == "mcq4jrssqdlyc4lph19nnqgzzs84"
    assert found.account.auth_base_url == "https://mcq4jrssqdlyc4lph19nnqgzzs84.auth.marketingcloudapis.com"


def test_fallbacks_and_a_name_with_spaces_at_its_ends() -> None:
    found = read(
        GOOD.replace('"xdm:personalEmail.address"', """["xdm: emails[0].address", "xdm: props['e mail']"]""")
        .replace('"Attribute: Email Demographics.First Name"', '"Attribute: Email Demographics[\' First Name\']"')
    )  # fmt: skip
    assert found.mapping[1].sources == (Source("xdm", "emails[0].address"), Source("xdm", "props['e mail']"))
    assert found.mapping[2].target == Target("attribute", "Email Demographics", " First Name")
    assert str(found.mapping[2].target) == "Attribute: Email Demographics[' First Name']"
