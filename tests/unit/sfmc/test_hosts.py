from __future__ import annotations

import pytest

from app.destinations.model import Account
from app.errors import DestinationBroken
from app.sfmc.hosts import trusted_rest_url


def account(*, local: bool) -> Account:
    return Account(
        subdomain="mct0",
        client_id="id",
        client_secret="secret",
        account_id=None,
        auth_base_url="http://127.0.0.1:8010" if local else "https://mct0.auth.marketingcloudapis.com",
        rest_base_url="http://127.0.0.1:8010" if local else "https://mct0.rest.marketingcloudapis.com",
        local=local,
    )


@pytest.mark.parametrize(
    ("named", "trusted"),
    [
        ("https://mct0.rest.marketingcloudapis.com/", "https://mct0.rest.marketingcloudapis.com"),
        ("mct0.rest.marketingcloudapis.com", "https://mct0.rest.marketingcloudapis.com"),
        ("https://MCT0.REST.marketingcloudapis.com:443", "https://mct0.rest.marketingcloudapis.com"),
        ("https://mc5-63.rest.marketingcloudapis.com", "https://mc5-63.rest.marketingcloudapis.com"),
        ("", "https://mct0.rest.marketingcloudapis.com"),
    ],
)
def test_each_spelling_of_a_salesforce_host_is_normalised(named, trusted):
    assert trusted_rest_url(account(local=False), named) == trusted


@pytest.mark.parametrize(
    "named",
    [
        "https://evil.test",
        "https://mct0.rest.marketingcloudapis.com.evil.test",
        "https://evil.test/mct0.rest.marketingcloudapis.com",
        "https://evil.test#.rest.marketingcloudapis.com",
        "https://mct0.rest.marketingcloudapis.com@evil.test",
        "https://user:pass@mct0.rest.marketingcloudapis.com",
        "https://a.b.rest.marketingcloudapis.com",
        "https://xrest.marketingcloudapis.com",
        "https://.rest.marketingcloudapis.com",
        "http://mct0.rest.marketingcloudapis.com",
        "https://mct0.rest.marketingcloudapis.com:8443",
        "https://mct0.rest.marketingcloudapis.com/path",
        "https://mct0.soap.marketingcloudapis.com",
        "http://127.0.0.1:8010",
        "https://[::1",
        "https://x:notaport",
    ],
)
def test_any_other_host_gets_no_token(named):
    with pytest.raises(DestinationBroken) as caught:
        trusted_rest_url(account(local=False), named)
    assert caught.value.code == "foreign_host"


@pytest.mark.parametrize("named", ["http://127.0.0.1:8010/", "127.0.0.1:8010", ""])
def test_a_local_account_trusts_its_own_host_and_port(named):
    assert trusted_rest_url(account(local=True), named) == "http://127.0.0.1:8010"


@pytest.mark.parametrize(
    "named", ["http://127.0.0.1:8011", "http://evil.test:8010", "https://mct0.rest.marketingcloudapis.com"]
)
def test_a_local_account_trusts_no_other(named):
    with pytest.raises(DestinationBroken):
        trusted_rest_url(account(local=True), named)
