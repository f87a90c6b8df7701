"""The preflight against a real HTTP server that plays Marketing Cloud just as far as each test says."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from app.destinations import catalogs
from app.destinations.catalogs import CatalogStore
from app.destinations.model import Account, Destination, Limits, MappingRow, Segment, Source, Target
from app.destinations.preflight import preflight
from app.errors import DestinationBroken
from app.keys import DestinationKeys
from app.sealing import KeyRing, make_key
from app.sfmc import MarketingCloud

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
BOTH = "list_and_subscribers_read list_and_subscribers_write"


class Far(ThreadingHTTPServer):
    """Grants `scope`, or refuses credentials when it is None; has `fields` in Email Demographics, or no such set."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.scope: str | None = BOTH
        self.fields: list[str] | None = ["First Name", "segment_1", "segment_2"]

    def answer(self, path: str) -> tuple[int, dict]:
        if path == "/v2/token":
            if self.scope is None:
                return 401, {"error": "invalid_client", "error_description": "Client authentication failed."}
            return 200, {"access_token": "t", "expires_in": 1079, "scope": self.scope, "rest_instance_url": self.url}
        if path == "/platform/v1/tokenContext":
            return 202, {"enterprise": {"id": 1}}
        if self.scope and "list_and_subscribers_read" not in self.scope:
            return 403, {"message": "Insufficient privileges", "errorcode": 20002, "documentation": ""}
        if self.fields is None:
            return 404, {"message": "not found", "errorcode": 30003, "documentation": ""}
        own = [{"key": name, "name": {"value": name}, "dataType": "Text", "length": 254} for name in self.fields]
        return 200, {
            "page": 1,
            "pageSize": 50,
            "count": 1,
            "items": [{"key": "EmailDemographics", "name": {"value": "Email Demographics"}, "attributes": own}],
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Far

    def serve(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, data = self.server.answer(self.path)
        body = orjson.dumps(data)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = serve  # noqa: N815  # the names that http.server calls

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def far():
    server = Far()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def store(redis):
    return CatalogStore(redis)


@pytest.fixture
def client(far, redis):
    return MarketingCloud(
        destination(far).account,
        redis,
        KeyRing([make_key()]),
        connect_timeout_seconds=2.0,
        read_timeout_seconds=5.0,
    )


def destination(far: Far, *segments: Segment) -> Destination:
    return Destination(
        id="spring",
        name="Spring",
        account=Account("mct0", "client", "secret", None, far.url, far.url, local=True),
        mapping=(
            MappingRow(Source("identity", "key"), Target("contact_key")),
            MappingRow(Source("xdm", "mail.address"), Target("attribute", "Email Addresses", "Email Address")),
            MappingRow(Source("xdm", "person.first"), Target("attribute", "Email Demographics", "First Name")),
        ),
        segments=segments,
    )


RENTERS = Segment(id="a", mapping_id="segment_1")


def test_a_good_destination_has_no_problems(far, client):
    found = preflight(destination(far, RENTERS), client, now_ms=NOW_MS)
    assert found.ok
    assert found.problems == ()
    assert found.catalog is not None
    assert "Email Demographics.segment_1" in found.catalog.attributes
    assert found.catalog.fetched_at_ms == NOW_MS


def test_bad_credentials_are_the_only_problem_told(far, client):
    far.scope = None
    (problem,) = preflight(destination(far, replace(RENTERS, mapping_id="gone")), client, now_ms=NOW_MS).problems
    assert (problem.level, problem.where) == ("error", "account")
    assert "bad_credentials" in problem.text
    assert problem.remedy


def test_credentials_that_were_mended_are_asked_for_anew(far, client):
    far.scope = None
    assert preflight(destination(far), client, now_ms=NOW_MS).problems
    far.scope = BOTH
    assert preflight(destination(far), client, now_ms=NOW_MS).problems == ()


@pytest.mark.parametrize(
    ("scope", "lacking"),
    [
        ("list_and_subscribers_read", ["list_and_subscribers_write"]),
        ("list_and_subscribers_write", ["list_and_subscribers_read"]),
        ("email_read", ["list_and_subscribers_read", "list_and_subscribers_write"]),
    ],
)
def test_each_scope_that_lacks_is_told_once(far, client, scope, lacking):
    far.scope = scope
    found = preflight(destination(far), client, now_ms=NOW_MS).problems
    assert [name for problem in found for name in lacking if f"{name} (missing_scope)" in problem.text] == lacking
    assert sum("missing_scope" in problem.text for problem in found) == len(lacking)


def test_a_token_without_scopes_is_a_warning(far, client):
    far.scope = ""
    (problem,) = preflight(destination(far), client, now_ms=NOW_MS).problems
    assert problem.level == "warning"
    assert "scope" in problem.text


def test_a_mapping_id_that_names_no_field_is_told(far, client):
    far.fields = ["First Name", "Segment_1"]
    found = preflight(destination(far, RENTERS), client, now_ms=NOW_MS)
    assert not found.ok
    assert [problem.where for problem in found.problems if problem.level == "error"] == ["segments[0].mapping_id"]


def test_an_account_without_the_set_is_told(far, client):
    far.fields = None
    errors = [
        problem for problem in preflight(destination(far), client, now_ms=NOW_MS).problems if problem.level == "error"
    ]
    assert [problem.where for problem in errors] == ["attribute-set definitions"]


@pytest.mark.parametrize(("count", "words"), [(51, "aggressive"), (101, "extreme"), (180, "of 200")])
def test_many_profile_attributes_are_a_warning(far, client, count, words):
    far.fields = ["First Name", *(f"f{number}" for number in range(count - 1))]
    (problem,) = preflight(destination(far), client, now_ms=NOW_MS).problems
    assert problem.level == "warning"
    assert str(count) in problem.text
    assert words in problem.text


def test_a_shared_mapping_id_is_a_warning(far, client):
    shared = [replace(RENTERS, id=name) for name in "abc"]
    found = preflight(
        destination(far, replace(RENTERS, id="x", mapping_id="segment_2"), *shared), client, now_ms=NOW_MS
    ).problems
    about = [problem for problem in found if "share" in problem.text]
    assert [(problem.level, problem.where) for problem in about] == [("warning", "segments[1].mapping_id")]
    assert "One that has ended, or has not begun, does not count." in about[0].text
    assert {problem.level for problem in found} == {"warning"}


@pytest.mark.parametrize(("days", "words"), [(-1, "has not been written"), (13, "is written until"), (16, None)])
def test_a_segment_that_ends_is_a_warning(far, client, days, words):
    end = (NOW + timedelta(days=days)).date()
    found = preflight(destination(far, replace(RENTERS, end=end)), client, now_ms=NOW_MS).problems
    assert [words in problem.text for problem in found if problem.where == "segments[0].end"] == (
        [True] if words else []
    )


@pytest.mark.parametrize(("days", "warned"), [(1, True), (0, False), (-1, False)])
def test_a_segment_that_has_not_begun_is_a_warning(far, client, days, warned):
    start = (NOW + timedelta(days=days)).date()
    found = preflight(destination(far, replace(RENTERS, start=start)), client, now_ms=NOW_MS).problems
    begun = [(problem.level, problem.text) for problem in found if problem.where == "segments[0].start"]
    assert begun == ([("warning", f"Its status is not written before {start}.")] if warned else [])


def test_a_small_yearly_quota_is_a_warning(far, client):
    small = replace(destination(far), limits=Limits(calls_per_year=2_000_000))
    (problem,) = preflight(small, client, now_ms=NOW_MS).problems
    assert (problem.level, problem.where) == ("warning", "limits.calls_per_year")
    assert "last 13.9 hours" in problem.text


def test_a_failed_refresh_keeps_the_catalog_and_says_why(far, client, store, redis):
    redis.set(DestinationKeys("spring").epoch, "1")  # it is connected
    kept = catalogs.refresh(destination(far), client, store, 5)
    far.fields = None
    with pytest.raises(DestinationBroken):
        catalogs.refresh(destination(far), client, store, 6)
    failure = store.last_failure("spring")
    assert failure is not None
    assert failure.at_ms == 6
    assert store.get("spring") == kept
    far.fields = ["First Name"]
    assert catalogs.refresh(destination(far), client, store, 7).fetched_at_ms == 7
    assert store.last_failure("spring") is None
