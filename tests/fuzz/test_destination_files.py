"""Whatever stands in a destination file, the answer is a destination that can be saved and read again, or lines that say where."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from app.destinations.file import load
from app.destinations.model import dump, restore
from app.errors import UsageError
from tests.fuzz.cases import MARK, altered, awkward, cases, marked

SECRET = "hush-hush-123"
GOOD: dict[str, Any] = {
    "id": "camp", "name": "Camp", "description": "text",
    "account": {"subdomain": "mct0", "client_id": "client", "client_secret": "${SECRET}", "account_id": "12"},
    "mapping": [
        {"source": "IdentityMap: contactKey", "target": "Identity: salesforceContactKey"},
        {"source": "xdm: personalEmail.address", "target": "Attribute: Email Addresses.Email Address"},
        {"source": "const: web", "target": "Attribute: Email Demographics.First Name", "transform": "sha256"},
    ],
    "segments": [{"id": "one", "mapping_id": "field", "namespace": "ups", "name": "One", "start": "2026-01-01", "end": "2026-12-31"}],
    "limits": {"calls_per_minute": "600", "calls_per_year": "1000", "max_in_flight": "3", "stop_at_yearly_quota": "true"},
    "options": {
        "html_enabled": "first", "create_unknown": "true", "send_email": "always", "without_email": "send",
        "status_values": {"exited": "no"}, "date_format": "%m/%d/%Y", "clear_nulls": "true", "characters": "any",
        "consent": {"source": "xdm: a.b", "allowed": ["y"]},
    },
}  # fmt: skip
ENVIRON = {"SECRET": SECRET, "ACTIVATION_SECRET_KEYS": "own-own-123", "AWS_SECRET_ACCESS_KEY": "far-far-123"}
yaml_scalars = st.none() | st.booleans() | st.integers() | st.floats() | marked | awkward | st.sampled_from(
    ["${SECRET}", "${ACTIVATION_SECRET_KEYS}", "${AWS_SECRET_ACCESS_KEY}", "$${SECRET}", "${", "%", "%999999999d", "const: ${SECRET}",
     "xdm: " + "a." * 5_000 + "a", "http://127.0.0.1:1", "http://[::1", "2026-02-30", "9" * 5_000, str(2**64), "0x10", "_1_", "\u0663"]
)  # fmt: skip
yaml_values = st.recursive(
    yaml_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(marked | awkward, inner, max_size=3),
    max_leaves=8,
)
NOISE = [
    "!!int abc", "!!bool x", "!!float x", "!!timestamp x", "!!binary x", "!!map [a]", "!!seq {a: b}", "!!set {a}", "!!omap [a: b]",
    "!!pairs [a]", "!!null x", "!!merge x", "!!value x", "!x y", "!!python/name:os.system x", "&a b", "*a", "<<: {a: b}", "? [a]\n: b",
    "? {a: b}\n: c", "~: x", "=: x", "---\n", "...\n", "%YAML 9.9\n---\n", "%TAG ! tag:x,2002:\n---\n", "|\n x", ">9\n x", "\t", "\x00",
    "\x85", "\ufeff", "'\\ud800'", '"\\ud800"', '"\\x00"', "[" * 500, "{a: " * 500, "- " * 500, "[a" * 20 + "]" * 20, "#", "''", "@", "`",
    '"\\e[2J": 1', "_schema: x", "0: x", "account: {_schema: {0: x}}", "a: &x [*x]", "9" * 5_000, str(2**64),
]  # fmt: skip


def judged(text: str) -> None:
    """Load a file; whatever it is has to end well."""
    for local in (False, True):
        try:
            made = load(text, environ=ENVIRON, allow_local_hosts=local, where="camp.yaml")
        except UsageError as error:
            assert error.problems
            said = "\n".join([str(error), error.remedy, *error.problems])
            assert all(secret not in said for secret in ENVIRON.values())
            assert all(problem.isprintable() and len(problem) < 2_000 for problem in error.problems), error.problems
            continue
        assert restore(dump(made), client_secret=made.account.client_secret) == made
        shown = repr((made.id, made.name, made.description, made.mapping, made.segments, made.limits, made.options))
        assert all(secret not in shown for secret in ENVIRON.values())
        assert ENVIRON["ACTIVATION_SECRET_KEYS"].encode() not in dump(made)


@cases(60, 2_500)
@given(altered(GOOD, yaml_values))
def test_other_values_in_other_places(document: Any) -> None:
    judged(yaml.safe_dump(document, allow_unicode=False))


TEXT = yaml.safe_dump(GOOD, sort_keys=False)


@cases(60, 2_500)
@given(
    start=st.integers(0, len(TEXT)),
    length=st.integers(0, 40),
    noise=st.sampled_from(NOISE) | st.text(st.characters(exclude_categories=()), max_size=8),
)
def test_other_text_in_other_places(start: int, length: int, noise: str) -> None:
    judged(TEXT[:start] + noise + TEXT[start + length :])


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("where", ["{}", "a: {}", "name: {}\n" + TEXT.replace("name: Camp\n", ""), TEXT + "{}"])
def test_each_trap_of_yaml(noise: str, where: str) -> None:
    judged(where.replace("{}", noise, 1))


def test_the_file_without_a_change_is_good() -> None:
    assert load(TEXT, environ=ENVIRON, allow_local_hosts=False).account.client_secret == SECRET
    assert MARK not in TEXT
