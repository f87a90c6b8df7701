"""A destination file and the catalog of a seeded account, as the mapping's tests vary them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from app.destinations.file import load
from app.destinations.model import Destination
from app.mapping.catalog import Catalog, parse_definitions
from app.sandbox.seed import seeded_catalogue

CONTACT_KEY = {"source": "IdentityMap: contactKey", "target": "Identity: salesforceContactKey"}
EMAIL = {"source": "xdm: personalEmail.address", "target": "Attribute: Email Addresses.Email Address"}


def row(source: str, name: str, **more: Any) -> dict[str, Any]:
    return {"source": source, "target": f"Attribute: Email Demographics.{name}", **more}


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return parse_definitions([one.as_json() for one in seeded_catalogue()], fetched_at_ms=0)


@pytest.fixture
def make() -> Callable[..., Destination]:
    def made(*rows: dict[str, Any], segments: list[dict[str, Any]] | None = None, **options: Any) -> Destination:
        document = {
            "id": "camp",
            "name": "Camp",
            "account": {"subdomain": "mctest", "client_id": "an-id", "client_secret": "a-secret"},
            "mapping": [CONTACT_KEY, EMAIL, *rows],
            "segments": segments or [],
            "options": options,
        }
        return load(yaml.safe_dump(document), environ={}, allow_local_hosts=False, where="camp.yaml")

    return made
