"""From a profile to what is set on its contact: keys, rows, segments, versions, exclusions, and the body of a call."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog import EMAIL_ADDRESS, HTML_ENABLED, Attribute, Catalog
from app.destinations import Account, Consent, Destination, MappingRow, Options, Segment, Source, Target
from app.errors import UsageError
from app.mapping import CompiledMapping, ContactUpdate, Excluded, Reason, Value, compile_mapping, contact_key_reader

NOW = 1_795_341_600_000  # 2026-11-22T10:00:00Z
EARLIER, EARLIER_TEXT = NOW - 3_600_000, "2026-11-22T09:00:00Z"
LATER_TEXT = "2026-11-22T11:00:00Z"
ARRIVED = NOW - 1_000

DEMOGRAPHICS = "Email Demographics"
EMAIL = "Email Addresses.Email Address"
FIRST, POINTS, MEMBER_SINCE = f"{DEMOGRAPHICS}.First Name", f"{DEMOGRAPHICS}.Points", f"{DEMOGRAPHICS}.Since"
RENTERS, OWNERS = f"{DEMOGRAPHICS}.renters", f"{DEMOGRAPHICS}.owners"


def attribute(name: str, data_type: str = "Text", **more: Any) -> Attribute:
    return Attribute(DEMOGRAPHICS, "EmailDemographics", name, name.replace(" ", ""), data_type, **more)


CATALOG = Catalog.of(
    [
        attribute("First Name", length=20),
        attribute("Points", "Number", is_nullable=False),
        attribute("Since", "Date"),
        attribute("renters", length=254),
        attribute("owners", length=254),
        EMAIL_ADDRESS,
        HTML_ENABLED,
    ],
    fetched_at_ms=0,
)
ACCOUNT = Account("mcdemo", "client", "secret", None, "https://auth.test", "https://rest.test")
KEY_ROW = MappingRow(Source("identity", "contactKey"), Target("contact_key"))
EMAIL_ROW = MappingRow(Source("xdm", "personalEmail.address"), Target("attribute", "Email Addresses", "Email Address"))


def row(source: str, target: str, *, kind: Any = "xdm", transform: Any = None) -> MappingRow:
    return MappingRow(Source(kind, source), Target("attribute", DEMOGRAPHICS, target), transform)


FIRST_ROW, POINTS_ROW = row("person.name.firstName", "First Name"), row("loyalty.points", "Points")


def destination(
    *rows: MappingRow, segments: tuple[Segment, ...] = (), key: MappingRow = KEY_ROW, **options: Any
) -> Destination:
    return Destination(
        id="demo",
        name="Demo",
        account=ACCOUNT,
        mapping=(key, EMAIL_ROW, *rows),
        segments=segments,
        options=Options(**options),
    )


def resolve(profile: Any, *rows: MappingRow, **more: Any) -> ContactUpdate | Excluded:
    mapping = compile_mapping(destination(*rows, **more), CATALOG)
    return mapping.resolve(profile, occurred_at_ms=ARRIVED, now_ms=NOW)


def profile_of(**more: Any) -> dict[str, Any]:
    return {"identityMap": {"contactKey": [{"id": "c-1"}]}, **more}


def update(profile: Any, *rows: MappingRow, **more: Any) -> ContactUpdate:
    found = resolve(profile, *rows, **more)
    assert isinstance(found, ContactUpdate), found
    return found


def member(**segments: Any) -> dict[str, Any]:
    return {"segmentMembership": {"ups": {name: item for name, item in segments.items() if item is not None}}}


def is_(status: str, since: str | None = None) -> dict[str, str]:
    return {"status": status} | ({} if since is None else {"lastQualificationTime": since})


class TestContactKey:
    @pytest.mark.parametrize(
        ("source", "profile", "key"),
        [
            (KEY_ROW.source, {"identityMap": {"contactKey": [{"id": "c-1"}]}}, "c-1"),
            (KEY_ROW.source, {"identityMap": {"contactKey": [{"id": "a"}, {"id": "b", "primary": True}]}}, "b"),
            (KEY_ROW.source, {"identityMap": {"contactKey": [{"id": 1001}]}}, "1001"),
            (Source("xdm", "crm.id"), {"crm": {"id": "c-1"}}, "c-1"),
            (Source("xdm", "crm.id"), {"crm": {"id": 1001}}, "1001"),
            (Source("xdm", "crm.id"), {"crm": {"id": " c 1 "}}, " c 1 "),  # taken exactly
        ],
    )
    def test_where_it_is_read(self, source: Source, profile: dict[str, Any], key: str) -> None:
        plain = MappingRow(source, Target("contact_key"))
        hashed = MappingRow(source, Target("contact_key"), "sha256")
        assert contact_key_reader(destination(key=plain))(profile) == key
        assert contact_key_reader(destination(key=hashed))(profile) == hashlib.sha256(key.encode()).hexdigest()

    @pytest.mark.parametrize(
        ("source", "profile", "expected"),
        [
            (KEY_ROW.source, {}, Excluded(Reason.MISSING_CONTACT_KEY, "identityMap.contactKey")),
            (
                KEY_ROW.source,
                {"identityMap": {"email": [{"id": "x"}]}},
                Excluded(Reason.MISSING_CONTACT_KEY, "identityMap.contactKey"),
            ),
            (
                KEY_ROW.source,
                {"identityMap": {"contactKey": [{"id": " "}]}},
                Excluded(Reason.MISSING_CONTACT_KEY, "identityMap.contactKey"),
            ),
            (
                KEY_ROW.source,
                {"identityMap": {"contactKey": "c-1"}},
                Excluded(Reason.MALFORMED_PROFILE, "identityMap.contactKey is not a list"),
            ),
            (Source("xdm", "crm.id"), {"crm": {}}, Excluded(Reason.MISSING_CONTACT_KEY, "crm.id")),
            (Source("xdm", "crm.id"), {"crm": {"id": None}}, Excluded(Reason.MISSING_CONTACT_KEY, "crm.id")),
            (Source("xdm", "crm.id"), {"crm": {"id": "\t"}}, Excluded(Reason.MISSING_CONTACT_KEY, "crm.id")),
            (Source("xdm", "crm.id"), {"crm": {"id": True}}, Excluded(Reason.MALFORMED_PROFILE, "crm.id is not text")),
            (Source("xdm", "crm.id"), {"crm": {"id": 1.5}}, Excluded(Reason.MALFORMED_PROFILE, "crm.id is not text")),
            (Source("xdm", "crm.id"), {"crm": {"id": ["x"]}}, Excluded(Reason.MALFORMED_PROFILE, "crm.id is not text")),
            (Source("xdm", "crm.id"), {"crm": "x"}, Excluded(Reason.MALFORMED_PROFILE, "crm is not an object")),
            (KEY_ROW.source, None, Excluded(Reason.MALFORMED_PROFILE, "the profile is not a JSON object")),
            (KEY_ROW.source, ["c-1"], Excluded(Reason.MALFORMED_PROFILE, "the profile is not a JSON object")),
            (KEY_ROW.source, "c-1", Excluded(Reason.MALFORMED_PROFILE, "the profile is not a JSON object")),
        ],
    )
    def test_without_one_a_profile_is_excluded(self, source: Source, profile: Any, expected: Excluded) -> None:
        for transform in (None, "sha256"):
            key: Any = MappingRow(source, Target("contact_key"), transform)
            assert contact_key_reader(destination(key=key))(profile) == expected
            assert resolve(profile, key=key) == expected

    def test_a_mapping_without_the_row_is_no_mapping(self) -> None:
        with pytest.raises(UsageError, match="no contact key") as refused:
            contact_key_reader(destination(key=FIRST_ROW))
        assert "contactKey" in refused.value.remedy


class TestRows:
    def test_what_is_mapped_and_mentioned_is_set(self) -> None:
        profile = profile_of(
            personalEmail={"address": "ann@mail.test"},
            person={"name": {"firstName": "Ann", "lastName": "Lee"}},
            loyalty={"points": "7"},
        )
        rows = (FIRST_ROW, POINTS_ROW, row("joined", "Since"))
        assert update(profile, *rows) == ContactUpdate(
            "c-1",
            {EMAIL: Value("ann@mail.test", ARRIVED), FIRST: Value("Ann", ARRIVED), POINTS: Value(7, ARRIVED)},
            {},
        )

    def test_a_constant_and_an_identity(self) -> None:
        profile = profile_of(identityMap={"contactKey": [{"id": "c-1"}], "nick": [{"id": "annie"}]})
        rows = (row("nick", "First Name", kind="identity"), row("2026-01-01", "Since", kind="const"))
        assert update(profile, *rows).values == {
            FIRST: Value("annie", ARRIVED), MEMBER_SINCE: Value("2026-01-01", ARRIVED),
        }  # fmt: skip

    @pytest.mark.parametrize("value", ["Ann", "", "ü", 7])
    def test_sha256_is_that_of_the_text(self, value: object) -> None:
        hashed = Catalog.of([attribute("First Name", length=64), EMAIL_ADDRESS], fetched_at_ms=0)
        mapping = compile_mapping(destination(row("nick", "First Name", transform="sha256")), hashed)
        found = mapping.resolve(profile_of(nick=value), occurred_at_ms=ARRIVED, now_ms=NOW)
        assert isinstance(found, ContactUpdate)
        assert found.values[FIRST].value == hashlib.sha256(str(value).encode()).hexdigest()

    @pytest.mark.parametrize(
        ("profile", "detail"),
        [
            ({"personalEmail": {"address": "ann"}}, f"mapping[1] {EMAIL}: is not an email address"),
            ({"person": {"name": {"firstName": "A" * 21}}}, f"mapping[2] {FIRST}: longer than 20 characters"),
            ({"person": {"name": {"firstName": {}}}}, f"mapping[2] {FIRST}: is a list or an object, not one value"),
            ({"loyalty": {"points": "many"}}, f"mapping[3] {POINTS}: is not a whole number"),
        ],
    )
    def test_a_value_that_does_not_fit_excludes_the_profile_and_names_the_row(
        self, profile: dict[str, Any], detail: str
    ) -> None:
        found = resolve(profile_of(**profile), FIRST_ROW, POINTS_ROW)
        assert found == Excluded(Reason.INVALID_VALUE, detail)

    def test_a_list_cannot_be_hashed(self) -> None:
        found = resolve(profile_of(nick=["Ann"]), row("nick", "First Name", transform="sha256"))
        assert found == Excluded(
            Reason.INVALID_VALUE, f"mapping[2] {FIRST}: is a list or an object, not one value"
        )  # fmt: skip

    def test_a_path_through_text_is_malformed(self) -> None:
        found = resolve(profile_of(person="Ann"), FIRST_ROW)
        assert found == Excluded(Reason.MALFORMED_PROFILE, "person is not an object")

    @pytest.mark.parametrize("profile", [{}, {"person": None}, {"person": {"name": {"firstName": None}}}])
    def test_a_profile_that_mentions_nothing_mapped(self, profile: dict[str, Any]) -> None:
        assert resolve(profile_of(**profile), FIRST_ROW) == Excluded(Reason.NOTHING_MAPPED)

    def test_the_options_reach_the_check(self) -> None:
        rows = (FIRST_ROW, row("joined", "Since"))
        profile = profile_of(person={"name": {"firstName": "Łukasz"}}, joined="2026-02-28")
        assert update(profile, *rows, date_format="%d.%m.%Y").values[MEMBER_SINCE].value == "28.02.2026"
        found = resolve(profile, *rows, characters="documented")
        assert isinstance(found, Excluded)
        assert found.detail.startswith(f"mapping[2] {FIRST}: ")

    @pytest.mark.parametrize(("character", "documented"), [("\x1f", False), (" ", True), ("þ", True), ("ÿ", False)])
    def test_the_ends_of_the_documented_characters(self, character: str, documented: bool) -> None:
        profile = profile_of(person={"name": {"firstName": character}})
        found = resolve(profile, FIRST_ROW, characters="documented")
        assert isinstance(found, ContactUpdate) is documented
        assert isinstance(resolve(profile, FIRST_ROW), ContactUpdate)


class TestNulls:
    NULL = {"person": {"name": {"firstName": None}}, "personalEmail": {"address": "ann@mail.test"}}

    def test_by_default_null_does_not_mention(self) -> None:
        assert FIRST not in update(profile_of(**self.NULL), FIRST_ROW).values

    def test_with_clear_nulls_it_empties_the_attribute(self) -> None:
        assert update(profile_of(**self.NULL), FIRST_ROW, clear_nulls=True).values[FIRST] == Value("", ARRIVED)

    def test_but_not_one_that_requires_a_value(self) -> None:
        found = resolve(profile_of(loyalty={"points": None}), FIRST_ROW, POINTS_ROW, clear_nulls=True)
        assert found == Excluded(
            Reason.INVALID_VALUE, f"mapping[3] {POINTS}: is null, and the attribute requires a value"
        )  # fmt: skip

    def test_nor_does_null_hash_to_anything(self) -> None:
        rows = (row("person.name.firstName", "First Name", transform="sha256"),)
        assert update(profile_of(**self.NULL), *rows, clear_nulls=True).values[FIRST].value == ""

    def test_what_is_missing_is_not_null(self) -> None:
        profile = profile_of(personalEmail={"address": "ann@mail.test"})
        assert update(profile, FIRST_ROW, POINTS_ROW, clear_nulls=True).values == {
            EMAIL: Value("ann@mail.test", ARRIVED)
        }  # fmt: skip


class TestVersions:
    @pytest.mark.parametrize(
        ("occurred_at", "version_ms"),
        [
            (None, ARRIVED),
            (EARLIER_TEXT, EARLIER),
            ("2026-11-22T10:00:00.000+0000", NOW),
            (LATER_TEXT, NOW),  # a time in the future counts as now
        ],
    )
    def test_of_a_value_it_is_occurred_at_or_what_is_handed_in(self, occurred_at: str | None, version_ms: int) -> None:
        profile = profile_of(person={"name": {"firstName": "Ann"}}, occurredAt=occurred_at)
        assert update(profile, FIRST_ROW).values[FIRST].version_ms == version_ms

    def test_one_handed_in_from_the_future_counts_as_now(self) -> None:
        mapping = compile_mapping(destination(FIRST_ROW), CATALOG)
        profile = profile_of(person={"name": {"firstName": "Ann"}})
        found = mapping.resolve(profile, occurred_at_ms=NOW + 1, now_ms=NOW)
        assert isinstance(found, ContactUpdate)
        assert found.values[FIRST].version_ms == NOW

    @pytest.mark.parametrize("occurred_at", ["yesterday", "2026-11-22", 5, True, ""])
    def test_an_occurred_at_that_is_no_time(self, occurred_at: object) -> None:
        profile = profile_of(person={"name": {"firstName": "Ann"}}, occurredAt=occurred_at)
        assert resolve(profile, FIRST_ROW) == Excluded(Reason.MALFORMED_PROFILE, "occurredAt is not a time")

    @pytest.mark.parametrize(("since", "version_ms"), [(None, ARRIVED), (EARLIER_TEXT, EARLIER), (LATER_TEXT, NOW)])
    def test_of_a_status_it_is_its_own_time(self, since: str | None, version_ms: int) -> None:
        profile = profile_of(**member(s1=is_("realized", since)))
        found = update(profile, segments=(Segment("s1", "renters"),))
        assert found.values == {RENTERS: Value("realized", version_ms)}

    def test_occurred_at_is_the_time_of_a_status_that_has_none(self) -> None:
        profile = profile_of(**member(s1=is_("realized"), s2=is_("exited", LATER_TEXT)), occurredAt=EARLIER_TEXT)
        found = update(profile, segments=(Segment("s1", "renters"), Segment("s2", "owners")))
        assert found.values == {RENTERS: Value("realized", EARLIER), OWNERS: Value("exited", NOW)}


class TestSegments:
    @pytest.mark.parametrize("status", ["realized", "existing", "exited"])
    def test_a_status_is_written_as_it_is(self, status: str) -> None:
        found = update(profile_of(**member(s1=is_(status))), segments=(Segment("s1", "renters"),))
        assert found.values[RENTERS].value == status
        assert found.statuses == {"s1": status}

    def test_exited_alone_is_an_update_like_any_other(self) -> None:
        """Only so is a member taken off the audience."""
        segments = (Segment("s1", "renters"), Segment("s2", "owners"))
        found = update(profile_of(**member(s1=is_("exited"), s2=is_("exited"))), FIRST_ROW, segments=segments)
        assert {name: value.value for name, value in found.values.items()} == {RENTERS: "exited", OWNERS: "exited"}

    @pytest.mark.parametrize("status", ["realized", "existing", "exited"])
    def test_or_translated(self, status: str) -> None:
        table = {"realized": "in", "existing": "in", "exited": "out"}
        found = update(profile_of(**member(s1=is_(status))), segments=(Segment("s1", "renters"),), status_values=table)
        assert found.values[RENTERS].value == table[status]
        assert found.statuses == {"s1": status}  # the runs count what the profile says

    @pytest.mark.parametrize("status", ["Realized", "", "hunter2"])
    def test_an_unknown_status_is_refused_without_quoting_it(self, status: str) -> None:
        found = resolve(profile_of(**member(s1=is_(status))), segments=(Segment("s1", "renters"),))
        assert found == Excluded(
            Reason.INVALID_VALUE,
            f"segments[0] {RENTERS}: segment s1 has a status that is none of realized, existing, exited",
        )

    def test_only_segments_of_the_destination_and_in_their_own_namespace_count(self) -> None:
        profile = profile_of(segmentMembership={"ups": {"s2": is_("realized")}, "AAM": {"s1": is_("realized")}})
        assert resolve(profile, segments=(Segment("s1", "renters"),)) == Excluded(Reason.NOTHING_MAPPED)
        found = update(profile, segments=(Segment("s1", "renters", namespace="AAM"),))
        assert found.statuses == {"s1": "realized"}

    @pytest.mark.parametrize(
        ("item", "detail"),
        [
            ({}, "segmentMembership.ups.s1 has no status"),
            (is_("realized", "soon"), "segmentMembership.ups.s1.lastQualificationTime is not a time"),
        ],
    )
    def test_a_malformed_membership(self, item: dict[str, str], detail: str) -> None:
        found = resolve(profile_of(**member(s1=item)), segments=(Segment("s1", "renters"),))
        assert found == Excluded(Reason.MALFORMED_PROFILE, detail)

    @pytest.mark.parametrize(
        ("one", "other", "written"),
        [
            (is_("realized"), None, Value("realized", ARRIVED)),
            (None, is_("exited"), Value("exited", ARRIVED)),
            (is_("exited"), is_("realized"), Value("realized", ARRIVED)),
            (is_("realized"), is_("exited"), Value("realized", ARRIVED)),
            (is_("exited"), is_("existing"), Value("existing", ARRIVED)),
            (is_("exited"), is_("exited"), Value("exited", ARRIVED)),
            # the newest time counts, whichever status it belongs to
            (is_("exited", LATER_TEXT), is_("realized", EARLIER_TEXT), Value("realized", NOW)),
            (is_("realized", EARLIER_TEXT), is_("exited", EARLIER_TEXT), Value("realized", EARLIER)),
        ],
    )
    def test_of_segments_that_share_a_field_a_member_wins(self, one: Any, other: Any, written: Value) -> None:
        segments = (Segment("s1", "renters"), Segment("s2", "renters"))
        found = update(profile_of(**member(s1=one, s2=other)), segments=segments)
        assert found.values == {RENTERS: written}
        told = {"s1": one, "s2": other}
        assert found.statuses == {name: item["status"] for name, item in told.items() if item is not None}

    @pytest.mark.parametrize(
        ("now", "counts"),
        [
            (datetime(2025, 12, 31, 23, 59, 59, 999_000, UTC), False),
            (datetime(2026, 1, 1, tzinfo=UTC), True),
            (datetime(2026, 12, 31, 23, 59, 59, 999_000, UTC), True),
            (datetime(2027, 1, 1, tzinfo=UTC), False),
        ],
    )
    def test_the_first_and_last_day_both_count_in_utc(self, now: datetime, counts: bool) -> None:
        segment = Segment("s1", "renters", start=date(2026, 1, 1), end=date(2026, 12, 31))
        mapping = compile_mapping(destination(segments=(segment,)), CATALOG)
        now_ms = round(now.timestamp() * 1000)
        found = mapping.resolve(profile_of(**member(s1=is_("realized"))), occurred_at_ms=now_ms, now_ms=now_ms)
        if counts:
            assert found == ContactUpdate("c-1", {RENTERS: Value("realized", now_ms)}, {"s1": "realized"})
        else:
            assert found == Excluded(Reason.NOTHING_MAPPED)

    def test_outside_its_days_a_segment_does_not_speak_for_a_shared_field(self) -> None:
        segments = (Segment("s1", "renters", end=date(2026, 1, 1)), Segment("s2", "renters"))
        found = update(profile_of(**member(s1=is_("realized"), s2=is_("exited"))), segments=segments)
        assert found.values[RENTERS].value == "exited"
        assert found.statuses == {"s2": "exited"}


class TestConsent:
    CONSENT = Consent(("consents", "marketing", "val"), ("y", "true"))

    @pytest.mark.parametrize("said", ["y", "true", True, None])
    def test_one_of_the_allowed_goes_through(self, said: object) -> None:
        profile = profile_of(person={"name": {"firstName": "Ann"}}, consents={"marketing": {"val": said}})
        assert isinstance(resolve(profile, FIRST_ROW, consent=self.CONSENT), ContactUpdate)

    @pytest.mark.parametrize("consents", [{}, None, {"marketing": None}, {"marketing": {}}])
    def test_saying_nothing_is_no_refusal(self, consents: object) -> None:
        profile = profile_of(person={"name": {"firstName": "Ann"}}, consents=consents)
        assert isinstance(resolve(profile, FIRST_ROW, consent=self.CONSENT), ContactUpdate)

    @pytest.mark.parametrize("said", ["n", "", "Y", "yes", False, 1, ["y"], {}])
    def test_anything_else_excludes(self, said: object) -> None:
        profile = profile_of(person={"name": {"firstName": "Ann"}}, consents={"marketing": {"val": said}})
        assert resolve(profile, FIRST_ROW, consent=self.CONSENT) == Excluded(
            Reason.CONSENT, "consents.marketing.val"
        )  # fmt: skip

    def test_a_refusal_is_told_before_any_fault_of_a_value(self) -> None:
        profile = profile_of(loyalty={"points": "many"}, consents={"marketing": {"val": "n"}})
        found = resolve(profile, POINTS_ROW, consent=self.CONSENT)
        assert isinstance(found, Excluded)
        assert found.reason is Reason.CONSENT


class TestCompiling:
    def test_a_mapping_that_does_not_fit_names_every_row_and_what_was_meant(self) -> None:
        wrong = destination(row("a", "first name"), row("b", "Points"), segments=(Segment("s1", "Renters"),))
        with pytest.raises(UsageError, match="mapping of demo does not fit") as refused:
            compile_mapping(wrong, CATALOG)
        one, two = refused.value.problems
        assert one.startswith("mapping[2].target: ")
        assert "Did you mean 'First Name'?" in one
        assert two.startswith("segments[0].mapping_id: ")
        assert "Did you mean 'renters'?" in two

    def test_a_warning_does_not_stand_in_the_way(self) -> None:
        segments = tuple(Segment(f"s{number}", "renters") for number in range(251))
        assert isinstance(compile_mapping(destination(segments=segments), CATALOG), CompiledMapping)


class TestBody:
    MAPPING = compile_mapping(destination(FIRST_ROW, POINTS_ROW, segments=(Segment("s1", "renters"),)), CATALOG)

    def test_the_shape_of_a_call(self) -> None:
        values: dict[str, Any] = {FIRST: "Ann", EMAIL: "ann@mail.test", POINTS: 7, HTML_ENABLED.qualified: True}
        assert orjson.loads(self.MAPPING.body("c-1", values)) == {
            "contactKey": "c-1",
            "attributeSets": [
                {
                    "name": "Email Addresses",
                    "items": [
                        {
                            "values": [
                                {"name": "Email Address", "value": "ann@mail.test"},
                                {"name": "HTML Enabled", "value": True},
                            ]
                        }
                    ],
                },
                {
                    "name": "Email Demographics",
                    "items": [{"values": [{"name": "First Name", "value": "Ann"}, {"name": "Points", "value": 7}]}],
                },
            ],
        }

    @given(st.permutations([FIRST, EMAIL, POINTS, RENTERS]).flatmap(lambda names: st.sampled_from([names[:n] for n in range(1, 5)])))  # fmt: skip  # noqa: E501  # reads as one
    def test_each_set_once_the_addresses_first_and_every_value_in_it(self, names: list[str]) -> None:
        body = orjson.loads(self.MAPPING.body("c-1", {name: f"of {name}" for name in names}))
        sets = [item["name"] for item in body["attributeSets"]]
        assert sets == sorted({name.split(".")[0] for name in names})  # Addresses before Demographics
        told = [
            (f"{group['name']}.{item['name']}", item["value"])
            for group in body["attributeSets"]
            for item in group["items"][0]["values"]
        ]
        assert sorted(told) == sorted((name, f"of {name}") for name in names)


WIDE = compile_mapping(
    destination(FIRST_ROW, POINTS_ROW, row("joined", "Since"), segments=(Segment("s1", "renters"), Segment("s2", "owners"))),
    CATALOG,
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e15, 1e15)
secrets = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=25)
anything: st.SearchStrategy[Any] = st.recursive(
    scalars | secrets,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(secrets, inner, max_size=2),
    max_leaves=5,
)


def objects(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly an object of these keys, each of which may be missing; now and then anything else."""
    return st.fixed_dictionaries({}, optional=keys) | anything


memberships = objects(
    status=st.sampled_from(["realized", "existing", "exited"]) | anything,
    lastQualificationTime=st.sampled_from([EARLIER_TEXT, LATER_TEXT]) | anything,
)
profiles = objects(
    identityMap=st.just({"contactKey": [{"id": "c-1"}]})
    | objects(contactKey=st.lists(objects(id=secrets | anything, primary=st.booleans()), max_size=2) | anything),
    personalEmail=objects(address=st.just("ann@mail.test") | anything),
    person=objects(name=objects(firstName=secrets | anything)),
    loyalty=objects(points=anything),
    joined=st.just("2026-02-28") | anything,
    occurredAt=st.sampled_from([EARLIER_TEXT, LATER_TEXT]) | anything,
    segmentMembership=objects(ups=objects(s1=memberships, s2=memberships)),
)


@given(profiles)
def test_whatever_comes_becomes_an_update_that_can_be_sent_or_an_exclusion_that_quotes_nothing(profile: Any) -> None:
    found = WIDE.resolve(profile, occurred_at_ms=ARRIVED, now_ms=NOW)
    if isinstance(found, Excluded):
        assert found.detail.isascii()  # every text of the profile is not
        return
    assert found.values
    assert max(value.version_ms for value in found.values.values()) <= NOW
    body = orjson.loads(WIDE.body(found.contact_key, {name: value.value for name, value in found.values.items()}))
    assert body["contactKey"] == found.contact_key
    assert sum(len(group["items"][0]["values"]) for group in body["attributeSets"]) == len(found.values)
