"""Whatever keeps a message from being sent is a failure of its channel, and its text holds nothing of the address."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.destinations.model import AlertChannel
from app.reporting.alerts import Alert, AlertEvent, What
from app.reporting.channels import ChannelFailed, send
from app.settings import Settings

EVENT = AlertEvent(What.OPENED, 1_000, Alert("stopped", "camp", "It stands still.", "Mend it."), 1_000)


@pytest.mark.parametrize(
    "channel",
    [
        AlertChannel("webhook", "https://hooks..example.test/x"),
        AlertChannel("webhook", f"https://{'a' * 64}.example.test/x"),
        AlertChannel("slack", "https://hooks..example.test/x"),
        AlertChannel("email", '"'),
        AlertChannel("email", "<"),
        AlertChannel("email", "a@["),
    ],
    ids=["no label", "a label of 64", "of slack", "a quote", "a bracket", "no end of a domain"],
)
def test_an_address_that_nothing_can_be_sent_to_is_a_failure_of_its_channel(channel):
    settings = replace(Settings(), smtp_url="smtp://127.0.0.1:1")
    with pytest.raises(ChannelFailed) as failed:
        send(channel, EVENT, "id", settings)
    assert not failed.value.gives_up
    assert channel.target not in str(failed.value).split()
    assert "example" not in str(failed.value)
