"""An alert opens once, is repeated sparingly, and closes when its cause has been gone for a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.alert_kinds import KINDS, Severity, is_wanted
from app.reporting.alerts import ANY, Alert, Mute, OpenAlert, What, changes

HOUR = 3_600_000
ALERT = Alert("stopped", "camp", "It stands still.")
OTHER = Alert("stopped", "camp", "It stands still for another reason.")
MENDED_OTHERWISE = Alert("stopped", "camp", "It stands still for another reason.", "Do something else.")
WARNING = Alert("degraded", "camp", "Nobody answers.", "Wait.")
WARNING_OTHERWISE = Alert("degraded", "camp", "Nobody answers.", "Wait longer.")
FIELD = ALERT.field


def known(told_ms: int = 0, gone_ms: int = 0) -> dict[str, OpenAlert]:
    return {FIELD: OpenAlert(ALERT, 0, told_ms, gone_ms)}


@pytest.mark.parametrize(
    ("before", "found", "judged", "now_ms", "expected"),
    [
        ({}, [ALERT], [], 5, [(What.OPENED, OpenAlert(ALERT, 5, 5))]),
        (known(), [ALERT], [FIELD], HOUR, []),
        (known(told_ms=5), [OTHER], [FIELD], HOUR, [(None, OpenAlert(OTHER, 0, 5))]),
        (known(), [OTHER], [FIELD], 6 * HOUR, [(What.REPEATED, OpenAlert(OTHER, 0, 6 * HOUR))]),
        (known(), [MENDED_OTHERWISE], [FIELD], HOUR, [(What.REPEATED, OpenAlert(MENDED_OTHERWISE, 0, HOUR))]),
        (known(gone_ms=100), [MENDED_OTHERWISE], [FIELD], 9_000, [(What.REPEATED, OpenAlert(MENDED_OTHERWISE, 0, 9_000))]),
        (
            {WARNING.field: OpenAlert(WARNING, 0, 5)}, [WARNING_OTHERWISE], [WARNING.field], HOUR,
            [(None, OpenAlert(WARNING_OTHERWISE, 0, 5))],
        ),
        (known(), [], [FIELD], 100, [(None, OpenAlert(ALERT, 0, 0, 100))]),
        (known(gone_ms=100), [], [FIELD], 60_099, []),
        (known(gone_ms=100), [], [FIELD], 60_100, [(What.CLOSED, None)]),
        (known(gone_ms=100), [ALERT], [FIELD], 30_000, [(None, OpenAlert(ALERT, 0, 0))]),
        (known(gone_ms=100), [OTHER], [FIELD], 30_000, [(None, OpenAlert(OTHER, 0, 0))]),
        (known(gone_ms=100), [], [], HOUR, []),
        ({}, [], [FIELD], HOUR, []),
    ],
    ids=[
        "opens", "stays", "has another text in silence", "is repeated with the new text", "is told with another remedy",
        "comes back with another remedy", "a warning has another remedy in silence", "its cause goes", "waits a little",
        "closes", "comes back within a minute",
        "comes back with another text", "what was not judged stays", "what is not open does not close",
    ],
)  # fmt: skip
def test_changes(before, found, judged, now_ms, expected):
    made = changes(before, found, judged=judged, now_ms=now_ms, repeat_ms=6 * HOUR, muted=lambda _: False)
    assert [(change.event, change.after) for change in made] == expected


@pytest.mark.parametrize(
    ("before", "found", "now_ms", "expected", "is_told_after"),
    [
        ({}, ALERT, 7 * HOUR, [(What.OPENED, OpenAlert(ALERT, 7 * HOUR, 0))], True),
        (known(), ALERT, 7 * HOUR, [], True),
        (known(told_ms=HOUR), ALERT, 7 * HOUR, [], True),
        (known(told_ms=2 * HOUR), ALERT, 7 * HOUR, [], False),
        (
            known(told_ms=6 * HOUR), MENDED_OTHERWISE, 7 * HOUR,
            [(What.REPEATED, OpenAlert(MENDED_OTHERWISE, 0, 0))], True,
        ),
        (
            {WARNING.field: OpenAlert(WARNING, 0, 6 * HOUR)}, WARNING_OTHERWISE, 7 * HOUR,
            [(None, OpenAlert(WARNING_OTHERWISE, 0, 6 * HOUR))], False,
        ),
        (known(told_ms=6 * HOUR, gone_ms=5), ALERT, 7 * HOUR, [(None, OpenAlert(ALERT, 0, 6 * HOUR))], False),
    ],
    ids=["opens", "stays untold", "is due", "is not due", "has another remedy", "a warning has another remedy", "comes back"],
)  # fmt: skip
def test_what_is_muted_is_told_once_it_is_not(before, found, now_ms, expected, is_told_after):
    made = changes(before, [found], judged=list(before), now_ms=now_ms, repeat_ms=6 * HOUR, muted=lambda _: True)
    assert [(change.event, change.after) for change in made] == expected
    after = {found.field: made[0].after if made else before[found.field]}
    told = changes(after, [found], judged=[], now_ms=now_ms + 1, repeat_ms=6 * HOUR, muted=lambda _: False)
    assert [change.event for change in told] == ([What.REPEATED] if is_told_after else [])


@pytest.mark.parametrize(
    ("mute", "now_ms", "covers"),
    [
        (Mute(ANY, ANY, 0), 1, True),
        (Mute("stopped", ANY, 0), 1, True),
        (Mute("stopped", "camp", 10), 9, True),
        (Mute("stopped", "camp", 10), 10, False),
        (Mute("stopped", "other", 0), 1, False),
        (Mute("degraded", ANY, 0), 1, False),
    ],
)
def test_a_mute_covers_what_it_names_until_its_end(mute, now_ms, covers):
    assert mute.covers(ALERT, now_ms) is covers


@pytest.mark.parametrize(
    ("kind", "kinds", "wanted"),
    [
        ("stopped", (), True), ("run_started", (), False), ("run_started", ("all",), True),
        ("run_started", ("run_started",), True), ("stopped", ("run_started",), False),
        ("of_another_build", (), True), ("of_another_build", ("stopped",), False), ("of_another_build", ("all",), True),
    ],
)  # fmt: skip
def test_a_channel_gets_what_it_wants(kind, kinds, wanted):
    assert is_wanted(kind, kinds) is wanted


@pytest.mark.parametrize(
    ("kind", "severity"), [("stopped", "critical"), ("run_started", "info"), ("of_another_build", "warning")]
)
def test_a_kind_that_only_another_build_knows_is_a_warning(kind, severity):
    assert Alert(kind, "camp", "Something is wrong.").severity == severity


def test_the_documentation_names_every_kind():
    page = Path(__file__).parents[3].joinpath("docs/operations.md").read_text()
    lacking = [kind for kind, what in KINDS.items() if f"| `{kind}` | {what.severity} | {what.meaning} |" not in page]
    assert lacking == []
    assert {what.severity for what in KINDS.values()} == set(Severity)
