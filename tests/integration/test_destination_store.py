"""The stores of destinations and catalogs against a real Redis."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.destinations.catalogs import CatalogStore
from app.destinations.model import Account, Destination, MappingRow, Source, Target, dump
from app.destinations.store import DestinationStore
from app.errors import SealBroken, UnknownDestination
from app.keys import ACCOUNTS, AccountKeys, DestinationKeys
from app.mapping.catalog import parse_definitions
from app.sealing import KeyRing, make_key

OLD, NEW = make_key(), make_key()


@pytest.fixture
def store(redis):
    return DestinationStore(redis, KeyRing([OLD]))


def destination(name: str = "spring", subdomain: str = "mct0", secret: str = "hush-hush") -> Destination:
    url = f"https://{subdomain}.test"
    return Destination(
        id=name,
        name=name.title(),
        account=Account(subdomain, "client", secret, None, url, url),
        mapping=(MappingRow(Source("identity", "key"), Target("contact_key")),),
    )


def accounts(redis) -> set[bytes]:
    return redis.smembers(ACCOUNTS)


def test_what_was_saved_is_there_for_every_process(redis, store):
    store.save(destination())
    other = DestinationStore(redis, KeyRing([OLD]))
    assert other.get("spring") == destination()
    assert other.ids() == ["spring"]
    assert accounts(redis) == {b"mct0"}


def test_a_replaced_destination_is_seen_at_once_and_an_unchanged_one_is_not_parsed_again(redis, store):
    reader = DestinationStore(redis, KeyRing([OLD]))
    store.save(destination())
    first = reader.get("spring")
    assert reader.get("spring") is first
    store.save(destination(secret="mended"))
    assert reader.get("spring").account.client_secret == "mended"


def test_the_secret_does_not_rest_in_clear(redis, store):
    store.save(destination())
    for key in redis.scan_iter():
        if redis.type(key) == b"string":
            assert b"hush" not in redis.get(key)


def test_an_unknown_destination_is_told_as_such(store):
    for ask in (store.get, store.pepper, store.remove):
        with pytest.raises(UnknownDestination):
            ask("nobody")


def test_the_pepper_stays_through_replacement_and_rotation(redis, store):
    store.save(destination())
    pepper = store.pepper("spring")
    assert len(pepper) == 32
    store.save(destination(secret="mended"))
    assert store.pepper("spring") == pepper
    rotating = DestinationStore(redis, KeyRing([NEW, OLD]))
    assert rotating.pepper("spring") == pepper
    with pytest.raises(SealBroken):
        DestinationStore(redis, KeyRing([NEW])).pepper("spring")
    rotating.save(destination())  # moves both to the new key
    after = DestinationStore(redis, KeyRing([NEW]))
    assert after.pepper("spring") == pepper
    assert after.get("spring") == destination()


def test_a_sealed_destination_opens_only_under_its_own_name(redis, store):
    store.save(destination())
    for part in ("config", "secret"):
        redis.copy(getattr(DestinationKeys("spring"), part), getattr(DestinationKeys("autumn"), part))
    with pytest.raises(SealBroken):
        store.get("autumn")


@pytest.mark.parametrize("changed", ["auth_base_url", "rest_base_url", "client_id", "account_id"])
def test_who_has_a_data_key_alone_cannot_lead_the_secret_to_another_host(redis, store, changed):
    store.save(destination())
    restricted = KeyRing(KeyRing([OLD]).restricted)
    taken = DestinationStore(redis, restricted).get("spring")
    forged = replace(taken, account=replace(taken.account, **{changed: "https://elsewhere.test"}))
    redis.set(DestinationKeys("spring").config, restricted.seal(dump(forged), b"destination:spring"))
    assert DestinationStore(redis, restricted).get("spring") == forged
    with pytest.raises(SealBroken):
        store.get("spring")


def test_each_destination_has_a_pepper_of_its_own_and_a_new_one_when_connected_again(redis, store):
    store.save(destination())
    store.save(destination("autumn"))
    before = store.pepper("spring")
    assert store.pepper("autumn") != before
    other = DestinationStore(redis, KeyRing([OLD]))
    other.remove("spring")
    other.save(destination())
    assert store.pepper("spring") == other.pepper("spring") != before


def test_replacing_keeps_the_backlog(redis, store):
    store.save(destination())
    redis.xadd(DestinationKeys("spring").lane(3).live, {"p": "x"})
    store.save(destination(secret="mended"))
    assert redis.xlen(DestinationKeys("spring").lane(3).live) == 1


def test_removing_takes_all_of_it_and_nothing_else(redis, store):
    for name in ("spring", "spring-2"):
        store.save(destination(name))
        with redis.pipeline() as pipeline:
            for number in range(1200):  # more than one batch, and more than one SCAN
                pipeline.set(DestinationKeys(name).chunk(str(number)), "1")
            pipeline.execute()
    redis.set(AccountKeys("mct0").pace, "1")
    store.remove("spring")
    assert list(redis.scan_iter(match=DestinationKeys("spring").everything)) == []
    assert len(list(redis.scan_iter(match=DestinationKeys("spring-2").everything))) == 1206
    assert store.ids() == ["spring-2"]
    assert store.get("spring-2").id == "spring-2"
    with pytest.raises(UnknownDestination):
        store.get("spring")
    assert redis.exists(AccountKeys("mct0").pace)


def test_removing_leaves_an_account_of_the_same_name(redis, store):
    store.save(destination("mct0"))
    account = AccountKeys("mct0")
    kept = [account.pace, account.calls, account.token("abc"), account.token_lock("abc")]
    for key in kept:
        redis.set(key, "1")
    store.remove("mct0")
    assert redis.exists(*kept) == len(kept)
    assert not redis.exists(DestinationKeys("mct0").config)


def test_removing_can_be_repeated_after_it_was_cut_short(redis, store):
    store.save(destination())
    redis.delete(DestinationKeys("spring").config)
    store.remove("spring")
    assert store.ids() == []
    assert list(redis.scan_iter(match=DestinationKeys("spring").everything)) == []


def test_an_account_is_registered_as_long_as_a_destination_uses_it(redis, store):
    store.save(destination("spring"))
    store.save(destination("autumn"))
    store.save(destination("autumn", subdomain="mct1"))
    assert accounts(redis) == {b"mct0", b"mct1"}
    store.save(destination("spring", subdomain="mct1"))
    assert accounts(redis) == {b"mct1"}
    store.remove("autumn")
    assert accounts(redis) == {b"mct1"}
    store.remove("spring")
    assert accounts(redis) == set()


def test_a_neighbour_that_cannot_be_opened_stops_no_one_else(redis, store):
    DestinationStore(redis, KeyRing([NEW])).save(destination("locked", subdomain="mct9"))
    store.save(destination())
    store.remove("spring")
    assert store.ids() == ["locked"]
    assert b"mct9" in accounts(redis)


NAMES = {"key": "EmailDemographics", "attributes": [{"key": "a", "name": "A", "restrictedValues": ["x"]}]}


def test_a_catalog_comes_back_as_it_was_and_is_not_read_again_for_a_while(redis):
    catalog = parse_definitions([NAMES], fetched_at_ms=7)
    CatalogStore(redis).put("spring", catalog)
    reader = CatalogStore(redis)
    assert reader.get("spring") == catalog
    redis.delete(DestinationKeys("spring").catalog)
    assert reader.get("spring") == catalog
    assert CatalogStore(redis).get("spring") is None


def test_another_process_sees_a_new_catalog_when_its_copy_has_aged(redis, monkeypatch):
    monkeypatch.setattr("app.destinations.catalogs._REREAD_SECONDS", 0.0)
    writer, reader = CatalogStore(redis), CatalogStore(redis)
    assert reader.get("spring") is None
    catalog = parse_definitions([NAMES], fetched_at_ms=7)
    writer.put("spring", catalog)
    first = reader.get("spring")
    assert first == catalog
    assert reader.get("spring") is first
    writer.put("spring", replace(catalog, fetched_at_ms=8))
    found = reader.get("spring")
    assert found is not None
    assert found.fetched_at_ms == 8


def test_a_failed_fetch_is_noted_beside_the_catalog_until_one_goes_well(redis):
    store = CatalogStore(redis)
    catalog = parse_definitions([NAMES], fetched_at_ms=7)
    assert store.last_failure("spring") is None
    store.put("spring", catalog)
    store.note_failure("spring", "nobody answers", at_ms=8)
    assert store.last_failure("spring") is None, "of one that is not connected nothing is noted"
    redis.set(DestinationKeys("spring").epoch, "1")
    store.note_failure("spring", "nobody answers", at_ms=9)
    failure = CatalogStore(redis).last_failure("spring")
    assert failure is not None
    assert (failure.text, failure.at_ms) == ("nobody answers", 9)
    assert CatalogStore(redis).get("spring") == catalog
    store.put("spring", catalog)
    assert store.last_failure("spring") is None
