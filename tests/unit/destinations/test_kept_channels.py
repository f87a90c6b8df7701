"""Alert channels that stay as they are connected while neither their address nor their secret is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.destinations.changes import changes
from app.destinations.channels import NOT_SHOWN, describe, names_connected, put_back
from app.destinations.file import load
from app.destinations.model import AlertChannel
from tests.unit.destinations.test_alert_channels import FILE

HOOK = AlertChannel("webhook", "https://ops.test/x", "hush", ("stopped",))
OTHER = AlertChannel("webhook", "https://ops.test/y")
SLACK = AlertChannel("slack", "https://hooks.test/T")
MAIL = AlertChannel("email", "ops@mail.test", kinds=("all",))


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [
        ([{"webhook": "<connected 0>", "secret": "<connected 0>"}], [{"webhook": HOOK.target, "secret": "hush"}]),
        ([{"webhook": HOOK.target, "secret": "<connected 0>"}], [{"webhook": HOOK.target, "secret": "hush"}]),
        ([{"slack": " <connected 1> "}, {"email": "a@mail.test"}], [{"slack": SLACK.target}, {"email": "a@mail.test"}]),
        ([{"webhook": "<connected 0>", "secret": "new"}], [{"webhook": HOOK.target, "secret": "new"}]),
        (["words", None, {"webhook": ["x"]}], ["words", None, {"webhook": ["x"]}]),
        ("words", "words"),
        (None, None),
    ],
)
def test_what_is_kept_is_put_back(alerts, expected):
    assert put_back(alerts, [HOOK, SLACK]) == (expected, {})


@pytest.mark.parametrize(
    ("alert", "path"),
    [
        ({"webhook": "<connected 2>"}, "alerts[0].webhook"),
        ({"webhook": "<connected 1>"}, "alerts[0].webhook"),
        ({"email": "<connected 0>"}, "alerts[0].email"),
        ({"webhook": "https://evil.test", "secret": "<connected 0>"}, "alerts[0].secret"),
        ({"slack": "<connected 1>", "secret": "<connected 0>"}, "alerts[0].secret"),
        ({"slack": "<connected 1>", "secret": "<connected 1>"}, "alerts[0].secret"),
        ({"webhook": HOOK.target, "secret": "<connected 7>"}, "alerts[0].secret"),
    ],
)
def test_what_cannot_be_kept_is_named_and_a_secret_goes_to_its_own_address_alone(alert, path):
    assert names_connected([alert])
    made, problems = put_back([alert], [HOOK, SLACK])
    assert list(problems) == [path]
    assert "hush" not in str(made)


CHANNELS = st.lists(
    st.sampled_from([HOOK, OTHER, SLACK, MAIL, AlertChannel("webhook", HOOK.target, "other")]), max_size=5
)


@given(CHANNELS)
def test_channels_that_are_described_are_put_back_as_they_were(channels):
    described = describe(channels, channels)
    made, problems = put_back(described, channels)
    assert problems == {}
    for told, item, channel in zip(described, made, channels, strict=True):
        assert channel.target not in told.values()
        assert (item[channel.channel], item.get("secret", "")) == (channel.target, channel.secret)


def test_what_is_not_connected_is_described_without_address_and_secret():
    assert describe([HOOK, SLACK], []) == [
        {"webhook": NOT_SHOWN, "secret": NOT_SHOWN, "kinds": ["stopped"]},
        {"slack": NOT_SHOWN},
    ]


KEPT = "{webhook: 'https://ops.test/x', secret: hush, kinds: [stopped]}"


def having(*channels):
    return load(FILE + "".join(f"  - {channel}\n" for channel in channels) if channels else FILE.replace("alerts:\n", ""),
                environ={}, allow_local_hosts=False)  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([KEPT], [KEPT], []),
        ([KEPT, "{email: a@mail.test}"], ["{email: a@mail.test}", KEPT], []),
        ([], [KEPT], ["+ alerts[0]: webhook: stopped, signed"]),
        ([KEPT, "{slack: 'https://h.test'}"], [KEPT], ["- alerts[1]: slack: warnings and worse"]),
        (
            [KEPT],
            ["{email: a@mail.test}"],
            ["- alerts[0]: webhook: stopped, signed", "+ alerts[0]: email: warnings and worse"],
        ),
        ([KEPT], [KEPT.replace("/x", "/y")], ["~ alerts[0]: webhook: another address"]),
        ([KEPT], [KEPT.replace("hush", "loud")], ["~ alerts[0]: webhook: another secret"]),
        ([KEPT], [KEPT.replace(" secret: hush,", "")], ["~ alerts[0]: webhook: no secret"]),
        ([KEPT], [KEPT.replace("[stopped]", "[all, stopped]")], ["~ alerts[0]: webhook: stopped → all stopped"]),
    ],
)
def test_changes_tell_of_channels_but_no_address(old, new, expected):
    assert changes(having(*old), having(*new)) == [*expected, "  account.client_secret: unchanged"]
