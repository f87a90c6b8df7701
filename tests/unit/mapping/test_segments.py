"""Statuses of segments: whose counts, when, under which version; and consent."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from app.destinations.model import Consent, Segment
from app.mapping.compiled import compile_mapping
from app.mapping.update import ContactUpdate, Excluded, Reason, Value
from tests.unit.mapping.campaign import (
    ARRIVED,
    CATALOG,
    EARLIER,
    EARLIER_TEXT,
    FIRST,
    FIRST_ROW,
    LATER_TEXT,
    NOW,
    OWNERS,
    POINTS_ROW,
    RENTERS,
    destination,
    is_,
    member,
    profile_of,
    resolve,
    update,
)


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
            (is_("realized"), is_("existing"), Value("realized", ARRIVED)),
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

    def test_who_asks_is_told_the_places_of_a_shared_field(self) -> None:
        segments = (Segment("s1", "renters"), Segment("s2", "renters"), Segment("s3", "renters"))
        mapping = compile_mapping(destination(FIRST_ROW, segments=segments), CATALOG)
        read_from = mapping.read_from(profile_of(**member(s1=is_("exited"), s3=is_("exited"))))
        assert read_from[RENTERS].source == "xdm: segmentMembership.ups.s1 and xdm: segmentMembership.ups.s3"
        assert mapping.places()[RENTERS] == f"segments[0] {RENTERS}"
        assert mapping.places()[FIRST] == f"mapping[2] {FIRST}"

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
        found = mapping.resolve(
            profile_of(**member(s1=is_("realized"))), occurred_at_ms=now_ms, arrived_at_ms=now_ms, now_ms=now_ms
        )
        if counts:
            assert found == ContactUpdate("c-1", {RENTERS: Value("realized", now_ms)}, {"s1": "realized"})
        else:
            why = f"segments[0] {RENTERS}: segment s1 is outside start/end"
            assert found == Excluded(Reason.NOTHING_MAPPED, why)

    @pytest.mark.parametrize(
        ("dates", "said", "left_out"),
        [
            ({"start": date(2999, 1, 1)}, is_("realized"), True),
            ({"end": date(2020, 1, 1)}, is_("exited"), True),
            ({"end": date(2020, 1, 1)}, {"status": 7}, True),  # it is not looked at any closer
            ({"end": date(2020, 1, 1)}, None, False),
            ({"start": date(2020, 1, 1), "end": date(2999, 1, 1)}, is_("realized"), False),
        ],
    )
    def test_a_status_outside_its_dates_is_left_out_and_told(self, dates: Any, said: Any, left_out: bool) -> None:
        segments = (Segment("s1", "renters", **dates), Segment("s2", "owners"))
        memberships = {"s2": is_("realized")} | ({} if said is None else {"s1": said})
        found = update(profile_of(**member(**memberships)), segments=segments)
        expected = (f"segments[0] {RENTERS}: segment s1 is outside start/end",) if left_out else ()
        assert tuple(map(str, found.left_out)) == expected
        assert "s1" not in found.statuses or not left_out

    @pytest.mark.parametrize("memberships", [{"ups": 7}, {"AAM": 7, "ups": {}}])
    def test_a_malformed_namespace_of_segments_outside_their_dates_is_nobodys_fault(self, memberships: Any) -> None:
        segments = (Segment("s1", "renters", end=date(2020, 1, 1)),)
        found = update(
            profile_of(person={"name": {"firstName": "Ann"}}, segmentMembership=memberships),
            FIRST_ROW,
            segments=segments,
        )
        assert found.left_out == ()

    def test_the_first_and_the_last_day_of_all_are_days(self) -> None:
        found = update(
            profile_of(**member(s1=is_("realized"))), segments=(Segment("s1", "renters", start=date.min, end=date.max),)
        )
        assert found.statuses == {"s1": "realized"}

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
