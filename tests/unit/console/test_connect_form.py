"""The connect form and the file that it makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.console import connect_form
from app.destinations.file import load
from app.destinations.writing import as_file, diff, document
from app.errors import UsageError

ROOT = Path(__file__).resolve().parents[3]
FILE = """\
id: camp
name: "Camp: one"
account: {subdomain: mctest, client_id: c, client_secret: s, account_id: "0123"}
mapping:
  - {source: "IdentityMap: contactKey", target: "Identity: salesforceContactKey"}
  - {source: ["xdm: personalEmail.address", "xdm: emails[0].address"], target: "Attribute: Email Addresses.Email Address"}
  - {source: "xdm: props['a.b c']", target: "Attribute: Email Demographics.First Name", transform: sha256}
  - {source: "const: $${X} #1", target: "Attribute: Email Demographics.Market"}
segments:
  - {id: seg-1, namespace: other, name: One, mapping_id: s1, start: 2026-01-01, end: 2026-12-31}
limits: {calls_per_minute: 600, stop_at_yearly_quota: true}
alerts:
  - {webhook: "https://ops.test/hidden", secret: hush, kinds: [stopped, run_failed]}
  - {slack: "https://hooks.test/hidden"}
  - {email: hidden@mail.test, kinds: [all]}
options: {html_enabled: always, consent: {source: "xdm: consents['x y'].val", allowed: [y, "true"]}, status_values: {exited: gone}}
"""


def read(text, connected=None):
    return load(
        text, environ={"SFMC_CLIENT_SECRET": "s"}, allow_local_hosts=False, connected={connected and connected.id: connected}.get
    )  # fmt: skip


def made_of(form, connected=None):
    return connect_form.as_destination(
        form, secret="s", allow_local_hosts=False, local_names=frozenset(),
        connected={connected and connected.id: connected}.get,
    )  # fmt: skip


def fields_of(form):
    """As a browser would send it."""
    found = [
        (name, form[name]) for name in ("id", "name", "description", "options_yaml", "alerts_yaml") if form.get(name)
    ]
    for section in ("account", "limits"):
        found += [(f"{section}.{name}", str(value)) for name, value in form[section].items()]
    for section in ("mapping", "segments"):
        for number, item in enumerate(form[section]):
            found += [(f"{section}[{number}].{name}", str(value)) for name, value in item.items()]
    return found


EXAMPLE = (ROOT / "docs/examples/spring-campaign.yaml").read_text()


@pytest.mark.parametrize("text", [FILE, EXAMPLE], ids=["everything", "example"])
def test_a_file_that_is_written_reads_as_the_same_destination(text):
    destination = read(text)
    again = read(as_file(destination), destination)
    assert again == destination
    assert "hidden" not in as_file(destination)
    assert "hush" not in as_file(destination)
    assert "client_secret: ${SFMC_CLIENT_SECRET}" in as_file(destination)


@pytest.mark.parametrize("text", [FILE, EXAMPLE], ids=["everything", "example"])
def test_a_file_goes_through_the_form_unchanged(text):
    destination = read(text)
    form = connect_form.from_fields(fields_of(connect_form.from_document(document(destination))))
    assert made_of(form, destination) == destination
    assert "hidden" not in str(form)
    opened = connect_form.from_document(connect_form.read_document(text))
    assert "s" not in opened["account"].values()
    assert made_of(opened) == destination


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.strip() and text.isprintable()))
def test_any_constant_survives(text):
    value = " ".join(text.split())
    made = yaml.safe_dump(
        {"source": f"const: {value.replace('${', '$${')}", "target": "Attribute: Email Demographics.Market"}
    )
    row = "  - " + made.strip().replace("\n", "\n    ")
    destination = read(
        FILE.replace('  - {source: "const: $${X} #1", target: "Attribute: Email Demographics.Market"}', row)
    )
    assert read(as_file(destination), destination) == destination


def test_no_variable_of_this_process_is_read(monkeypatch):
    monkeypatch.setenv("HIDDEN", "of-the-server")
    form = connect_form.from_document(document(read(EXAMPLE)))
    form["account"]["client_id"] = "${HIDDEN}"
    with pytest.raises(UsageError) as caught:
        made_of(form)
    assert any("account.client_id" in problem for problem in caught.value.problems)


def test_problems_stand_beside_their_fields_also_after_an_empty_row():
    form = connect_form.from_document(document(read(EXAMPLE)))
    form["mapping"].insert(1, {"source": "", "target": ""})
    fields, others = connect_form.sort_problems(
        [
            ("mapping[1].source", "is wrong."),
            ("account.subdomain", "too."),
            ("options.x", "unknown."),
            ("mapping", "lacks."),
        ],
        form,
    )
    assert fields == {"mapping[2].source": "is wrong.", "account.subdomain": "too."}
    assert others == ["options.x: unknown.", "mapping: lacks."]


ALIASES = "a: &a [x, x]\nb: &b [*a, *a]\n"


def test_aliases_which_could_fill_the_memory_are_refused():
    with pytest.raises(UsageError):
        connect_form.read_document(f"{ALIASES}mapping: [{{source: *b, target: t}}]")
    for name, text in (
        ("options_yaml", f"{ALIASES}html_enabled: *b"),
        ("alerts_yaml", "- &a {email: a@mail.test}\n- *a"),
    ):
        form = connect_form.from_document(document(read(EXAMPLE))) | {name: text}
        with pytest.raises(UsageError):
            connect_form.to_document(form)


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "just words", "!!python/object:os.system x"])
def test_what_is_no_file_is_refused(text):
    with pytest.raises(UsageError):
        connect_form.read_document(text)


def test_a_diff_tells_what_changes_and_no_secret():
    before = read(EXAMPLE)
    after = read(EXAMPLE.replace("Rental offers", "Other offers"))
    lines = diff(before, after)
    assert [line for line in lines if line[0] in "+-"] == ["-description: Rental offers", "+description: Other offers"]
    assert diff(before, before) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('  - {slack: "https://hooks.test/hidden"}\n', "", ["-  - slack: <connected 1>"]),
        ("https://hooks.test/hidden", "https://hooks.test/hidden2", ["-  - slack: <connected 1>", "+  - slack: <not shown>"]),
        ("secret: hush", "secret: hush2", ["-    secret: <connected 0>", "+    secret: <not shown>"]),
        ("kinds: [all]", "kinds: [stopped]", ["-      - all", "+      - stopped"]),
    ],
)  # fmt: skip
def test_a_diff_tells_of_channels_and_no_address(old, new, expected):
    lines = diff(read(FILE), read(FILE.replace(old, new)))
    assert [line for line in lines if line[0] in "+-"] == expected
    assert "hidden" not in str(diff(None, read(FILE)))


@pytest.mark.parametrize("text", ["a: b", "just words", "a: [", "- a\n- b"])
def test_alerts_that_are_none_are_named(text):
    form = connect_form.from_document(document(read(EXAMPLE))) | {"alerts_yaml": text}
    with pytest.raises(UsageError) as refused:
        made_of(form)
    assert all(problem.startswith("alerts") for problem in refused.value.problems)
