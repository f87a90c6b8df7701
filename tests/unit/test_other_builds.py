"""What older and newer builds wrote, as a reader takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from app.destinations.model import (
    Account,
    AlertChannel,
    Consent,
    Destination,
    MappingRow,
    Options,
    Segment,
    Source,
    Target,
    dump,
    restore,
)
from app.errors import OtherBuild, SealBroken, UnknownDestination
from app.other_builds import known_fields, understood_fields


@dataclass(frozen=True)
class Told:
    name: str
    count: int = 3
    digest: str = field(init=False, default="")


@pytest.mark.parametrize(
    ("document", "known"),
    [
        ({"name": "a", "count": 1}, {"name": "a", "count": 1}),
        ({"name": "a"}, {"name": "a"}),
        ({"name": "a", "of_tomorrow": {"b": [1]}}, {"name": "a"}),
        ({"name": "a", "digest": "of the class alone"}, {"name": "a"}),
    ],
)
def test_a_reader_takes_what_it_knows(document, known):
    assert known_fields(Told, document) == known
    assert Told(**known).name == "a"


@pytest.mark.parametrize("off", [None, False, 0, "", [], {}])
def test_what_is_off_may_be_overlooked(off):
    assert understood_fields(Told, {"name": "a", "of_tomorrow": off}, "The source a") == {"name": "a"}


@pytest.mark.parametrize("asked", [True, 1, "always", ["x"], {"path": "x"}])
def test_what_is_asked_for_may_not(asked):
    with pytest.raises(OtherBuild, match=r"The source a .* not know: of_tomorrow") as caught:
        understood_fields(Told, {"name": "a", "of_tomorrow": asked}, "The source a")
    assert isinstance(caught.value, SealBroken), "it is treated as what no key opens: it waits, and nothing is lost"
    assert (caught.value.tampered, bool(caught.value.remedy)) == (False, True)


URL = "https://mct0.test"
CAMP = Destination(
    id="camp",
    name="Camp",
    account=Account("mct0", "client", "hush", None, URL, URL),
    mapping=(MappingRow(Source("identity", "key"), Target("contact_key"), fallbacks=(Source("xdm", "a"),)),),
    segments=(Segment("s", "m"),),
    options=Options(consent=Consent(("a",), ("true",))),
    alerts=(AlertChannel("webhook", "https://hooks.test"),),
)
PARTS: dict[str, Callable[[Any], Any]] = {
    "destination": lambda raw: raw,
    "account": lambda raw: raw["account"],
    "row": lambda raw: raw["mapping"][0],
    "source": lambda raw: raw["mapping"][0]["source"],
    "target": lambda raw: raw["mapping"][0]["target"],
    "fallback": lambda raw: raw["mapping"][0]["fallbacks"][0],
    "segment": lambda raw: raw["segments"][0],
    "limits": lambda raw: raw["limits"],
    "options": lambda raw: raw["options"],
    "consent": lambda raw: raw["options"]["consent"],
    "alerts": lambda raw: raw["alerts"][0],
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_destination_of_a_newer_build_is_read_unless_it_asks_for_more(part):
    raw = orjson.loads(dump(CAMP))
    part(raw)["of_tomorrow"] = None
    assert restore(orjson.dumps(raw), client_secret="hush") == CAMP
    part(raw)["of_tomorrow"] = "always"
    with pytest.raises(OtherBuild, match=r"destination camp .*of_tomorrow"):
        restore(orjson.dumps(raw), client_secret="hush")


@pytest.mark.parametrize("name", ["description", "segments", "limits", "options", "alerts"])
def test_what_an_older_build_did_not_write_has_its_default(name):
    raw = orjson.loads(dump(CAMP))
    del raw[name]
    bare = Destination("camp", "Camp", CAMP.account, CAMP.mapping)
    assert getattr(restore(orjson.dumps(raw), client_secret="hush"), name) == getattr(bare, name)


def test_nobody_is_asked_whether_they_meant_what_they_wrote():
    assert "Did you mean camp?" in str(UnknownDestination("cmap", ["camp", "spring"]))
    told = UnknownDestination("camp", ["camp", "spring"])
    assert "Did you mean" not in str(told)
    assert "this build cannot read it" in str(told)
    assert "activation connect FILE" in told.remedy
