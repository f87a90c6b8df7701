from __future__ import annotations

import re
from dataclasses import fields, replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.destinations.model import (
    Account,
    Consent,
    Destination,
    Limits,
    MappingRow,
    Options,
    Segment,
    Source,
    Target,
    dump,
    restore,
    without_secret,
)

words = st.text(st.characters(codec="utf-8"), max_size=12)
maybe_days = st.none() | st.dates()
accounts = st.builds(
    Account,
    subdomain=words,
    client_id=words,
    client_secret=words,
    account_id=st.none() | words,
    auth_base_url=words,
    rest_base_url=words,
    local=st.booleans(),
)
rows = st.builds(
    MappingRow,
    source=st.builds(Source, st.sampled_from(["identity", "xdm", "const"]), words),
    target=st.just(Target("contact_key")) | st.builds(Target, st.just("attribute"), words, words),
    transform=st.sampled_from([None, "sha256"]),
    fallbacks=st.lists(st.builds(Source, st.sampled_from(["identity", "xdm"]), words), max_size=2).map(tuple),
)
segments = st.builds(Segment, id=words, mapping_id=words, namespace=words, name=words, start=maybe_days, end=maybe_days)
consents = st.builds(
    Consent,
    path=st.lists(words | st.integers(0, 9), max_size=3).map(tuple),
    allowed=st.lists(words, max_size=3).map(tuple),
)
destinations = st.builds(
    Destination,
    id=words,
    name=words,
    description=words,
    account=accounts,
    mapping=st.lists(rows, max_size=4).map(tuple),
    segments=st.lists(segments, max_size=3).map(tuple),
    limits=st.builds(Limits, calls_per_minute=st.integers(1, 1_000_000), stop_at_yearly_quota=st.booleans()),
    options=st.builds(
        Options,
        html_enabled=st.sampled_from(["first", "create", "always", "never"]),
        several_identities=st.sampled_from(["exclude", "smallest", "all"]),
        status_values=st.dictionaries(words, words, max_size=3),
        consent=st.none() | consents,
    ),
)


@given(destinations)
def test_restore_gives_what_was_dumped(destination):
    again = restore(dump(without_secret(destination)), client_secret=destination.account.client_secret)
    assert again == destination
    assert again.version == destination.version


STORED = (  # as a destination was stored before sources had fallbacks and options said what input means
    b'{"account":{"subdomain":"mct0","client_id":"client","client_secret":"","account_id":"1","auth_base_url":"https://auth",'
    b'"rest_base_url":"https://rest","local":false},"description":"","id":"one","limits":{"calls_per_minute":2400,'
    b'"calls_per_year":200000000,"max_in_flight":10,"stop_at_yearly_quota":false},"mapping":[{"source":{"kind":"identity",'
    b'"name":"contactKey"},"target":{"kind":"contact_key","set_name":"","attribute":""},"transform":null},{"source":{"kind":'
    b'"xdm","name":"personalEmail.address"},"target":{"kind":"attribute","set_name":"Email Addresses","attribute":"Email '
    b'Address"},"transform":null}],"name":"One","options":{"html_enabled":"first","create_unknown":true,"send_email":"always",'
    b'"without_email":"send","status_values":{"existing":"existing","exited":"exited","realized":"realized"},"date_format":'
    b'"%Y-%m-%d","clear_nulls":false,"characters":"any","consent":{"path":["a","b"],"allowed":["y"]}},"segments":[{"id":"s",'
    b'"mapping_id":"m","namespace":"ups","name":"","start":"2026-01-01","end":null}]}'
)


def test_a_destination_that_was_stored_before_works_for_the_same_epoch():
    found = restore(STORED, client_secret="secret")
    assert found.epoch(b"p" * 32) == "572498b8d582"
    assert found.holdings == "3e8db38a"
    assert found.mapping[0].sources == (Source("identity", "contactKey"),)
    assert found.options == Options(consent=Consent(("a", "b"), ("y",)))
    assert (found.options.several_identities, found.options.profiles, found.options.invalid_values) == (
        "exclude", "partial", "leave_out",
    )  # fmt: skip


def test_another_contact_key_is_another_epoch():
    row = make().mapping[0]
    others = [
        replace(row, source=Source("identity", "other")),
        replace(row, transform="sha256"),
        replace(row, fallbacks=(Source("identity", "other"),)),
    ]
    epochs = {replace(make(), mapping=(one,)).epoch(b"p") for one in [row, *others]}
    assert len(epochs) == 4


def make(**more) -> Destination:
    account = Account("mct0", "client", "secret", "1", "https://auth", "https://rest")
    return Destination(
        id="one",
        name="One",
        account=account,
        mapping=(MappingRow(Source("identity", "key"), Target("contact_key")),),
        **more,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"id": "two"},
        {"name": "Two"},
        {"description": "x"},
        {"account": replace(make().account, client_secret="other")},
        {"mapping": ()},
        {"segments": (Segment(id="s", mapping_id="m", end=date(2026, 1, 1)),)},
        {"limits": Limits(max_in_flight=11)},
        {"options": Options(clear_nulls=True)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_version_changes_with_anything(change):
    assert re.fullmatch("[0-9a-f]{12}", make().version)
    assert make().version == make().version
    assert replace(make(), **change).version != make().version


def test_every_field_is_dumped():
    """`restore` names each field; one that it forgot would come back with its default."""
    changed = make(
        description="d",
        segments=(Segment(id="s", mapping_id="m"),),
        limits=Limits(calls_per_year=1),
        options=Options(characters="documented"),
    )
    again = restore(dump(changed), client_secret=changed.account.client_secret)
    for field in fields(Destination):
        assert getattr(again, field.name) == getattr(changed, field.name)


def local(url: str, subdomain: str = "mct0") -> Account:
    return Account(subdomain, "client", "secret", None, url, url, local=True)


def test_an_account_is_named_by_its_subdomain():
    assert make().account.key == "mct0"


def test_local_accounts_are_told_apart_by_host_port_path_and_subdomain():
    keys = [
        local(url, subdomain).key
        for subdomain in ("mct0", "mct-0")
        for url in (
            "http://127.0.0.1:8010",
            "http://127.0.0.1:8011",
            "http://127.0.0.1",
            "http://localhost:8010",
            "http://[::1]:8010",
            "http://127.0.0.1:8010/t/a-b",
            "http://127.0.0.1:8010/t/a.b",
        )
    ]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch("[a-z0-9-]+", key) for key in keys)
    assert keys[0].startswith("mct0-127-0-0-1-8010-")
    assert local("http://127.0.0.1:80").key == local("http://127.0.0.1/").key


def test_a_client_is_told_apart_by_id_and_business_unit():
    account = make().account
    others = [account, replace(account, client_id="client1", account_id=None), replace(account, account_id=None)]
    assert len({other.client_tag for other in others}) == 3
    assert replace(account, client_secret="x").client_tag == account.client_tag


def test_notation():
    assert str(Source("identity", "key")) == "IdentityMap: key"
    assert str(Source("xdm", "a.b")) == "xdm: a.b"
    assert Source("xdm", "a.b").path == ("a", "b")
    assert str(Target("attribute", "Email Demographics", "First Name")) == "Attribute: Email Demographics.First Name"
    assert str(Target("contact_key")) == "Identity: salesforceContactKey"
