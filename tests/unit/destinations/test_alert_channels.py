"""Who is told of a destination's alerts, as its file says it."""

from __future__ import annotations

from typing import Any

import pytest

from app.destinations.file import load
from app.destinations.model import AlertChannel, dump, restore
from app.errors import UsageError

FILE = """\
id: camp
name: Camp
account: {subdomain: mct0, client_id: id, client_secret: hush}
mapping:
  - {source: "IdentityMap: contactKey", target: "Identity: salesforceContactKey"}
  - {source: "xdm: personalEmail.address", target: "Attribute: Email Addresses.Email Address"}
alerts:
"""


def read(channel: str) -> Any:
    return load(f"{FILE}  - {channel}\n", environ={}, allow_local_hosts=False, where="camp.yaml")


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("{webhook: 'https://ops.test/x', secret: s3}", AlertChannel("webhook", "https://ops.test/x", "s3")),
        ("{webhook: 'http://127.0.0.1:8000/x'}", AlertChannel("webhook", "http://127.0.0.1:8000/x")),
        (
            "{slack: 'https://hooks.test/T/B', kinds: [all]}",
            AlertChannel("slack", "https://hooks.test/T/B", kinds=("all",)),
        ),
        ("{email: ops@mail.test, kinds: [stopped]}", AlertChannel("email", "ops@mail.test", kinds=("stopped",))),
    ],
)
def test_a_channel_is_read_and_kept(channel, expected):
    destination = read(channel)
    assert destination.alerts == (expected,)
    assert restore(dump(destination), client_secret="hush").alerts == (expected,)
    assert "hooks.test" not in repr(destination)


@pytest.mark.parametrize(
    ("channel", "problem"),
    [
        ("{webhook: 'http://ops.test/x'}", "alerts[0].webhook: must be a URL that begins with https://."),
        ("{slack: 'no url'}", "alerts[0].slack: must be a URL that begins with https://."),
        ("{webhook: 'https://hooks..ops.test/x'}", "alerts[0].webhook: is no URL."),
        (f"{{webhook: 'https://{'a' * 64}.ops.test/x'}}", "alerts[0].webhook: is no URL."),
        ("{slack: 'https://hooks.test:port/x'}", "alerts[0].slack: is no URL."),
        ("{email: ops}", "alerts[0].email: is no email address."),
        ("{kinds: [stopped]}", "alerts[0]: must name one of webhook, slack and email."),
        (
            "{email: ops@mail.test, slack: 'https://hooks.test'}",
            "alerts[0]: must name one of webhook, slack and email.",
        ),
        ("{webhook: '<connected 0>'}", "alerts[0].webhook: keeps what is not connected as webhook. Write the address."),
        ("{email: ops@mail.test, secret: s3}", "alerts[0].secret: signs what a webhook is sent. Remove it."),
        ("{email: ops@mail.test, kinds: [stoped]}", "alerts[0].kinds[0]: is no kind of alert"),
        ("{mail: ops@mail.test}", "alerts[0].mail: is unknown here. Did you mean email?"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(channel, problem):
    with pytest.raises(UsageError) as refused:
        read(channel)
    assert any(problem in found for found in refused.value.problems), refused.value.problems
