"""Connecting a destination: the command's preflight, checks field by field while typing, and a diff before replacing."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from app.access.roles import Role
from app.alert_kinds import KINDS
from app.console import connect_form
from app.console.visit import page
from app.destinations import catalogs, operating
from app.destinations.changes import warnings
from app.destinations.preflight import SCOPES
from app.destinations.writing import SECRET_VARIABLE, diff, document, to_yaml
from app.errors import AccountThrottled, CallError, SealBroken, UsageError
from app.mapping.problems import find_problems
from app.reporting.sources import read_sources
from app.sealing import Scope

if TYPE_CHECKING:
    from app.console.visit import Visit
    from app.destinations.model import Destination
    from app.mapping.catalog import Catalog

_PURPOSE = b"account:draft:"
WELL_KNOWN = (
    ("IdentityMap: contactKey", "identity"),
    ("IdentityMap: email", "identity"),
    ("xdm: personalEmail.address", "text"),
    ("xdm: person.name.firstName", "text"),
    ("xdm: person.name.lastName", "text"),
    ("xdm: person.birthDate", "text"),
    ("xdm: mobilePhone.number", "text"),
    ("xdm: homeAddress.city", "text"),
    ("xdm: homeAddress.postalCode", "text"),
    ("xdm: homeAddress.countryCode", "text"),
)


@dataclass(slots=True)
class Draft:
    """A form in progress: its content, its problems, and what the account says."""

    form: dict[str, Any]
    secret: str = field(default="", repr=False)
    fields: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    destination: Destination | None = None
    catalog: Catalog | None = None
    said: list[Any] = field(default_factory=list)
    tested: str = ""

    @property
    def yaml(self) -> str:
        try:
            return to_yaml(connect_form.to_document(self.form))
        except UsageError:
            return ""


def _check(visit: Visit, form: dict[str, Any], secret: str) -> Draft:
    """Check everything that needs no question to the account."""
    draft = Draft(form, secret)
    local = visit.resources.settings.local_hosts
    try:
        draft.destination = connect_form.as_destination(
            form,
            secret=secret,
            allow_local_hosts=local is not None,
            local_names=local or frozenset(),
            connected=partial(operating.former, visit.resources),
        )
    except UsageError as error:
        draft.fields, draft.others = connect_form.sort_problems(map(connect_form.split, error.problems), form)
        return draft
    account = draft.destination.account
    draft.catalog = visit.context.drafts.get(account)
    if draft.catalog is None and _same_account(visit, draft.destination):
        draft.catalog = visit.resources.catalogs.get(draft.destination.id)
    findings = find_problems(draft.destination, draft.catalog)
    draft.fields, draft.others = connect_form.sort_problems(
        ((item.where, f"{item.text} {item.remedy}".strip()) for item in findings), form
    )
    return draft


def _same_account(visit: Visit, destination: Destination) -> bool:
    before = operating.former(visit.resources, destination.id)
    return before is not None and before.account.key == destination.account.key


def _secret(visit: Visit, form: dict[str, Any]) -> str:
    """Return the secret that was typed, else the one sealed in the form, else that of the destination being replaced."""
    if typed := visit.text("account.client_secret"):
        return typed
    try:
        sealed = base64.urlsafe_b64decode(visit.text("sealed"))
        return visit.resources.ring.open(sealed, _purpose(visit, form)).decode()
    except (SealBroken, ValueError, binascii.Error):
        pass
    before = operating.former(visit.resources, str(form.get("id", "")))
    if before is not None and connect_form.receiver(document(before)["account"]) == connect_form.receiver(
        form["account"]
    ):
        return before.account.client_secret
    return ""


def _purpose(visit: Visit, form: dict[str, Any]) -> bytes:
    """Bind a secret sealed in the form to its session and to the account it was given for."""
    assert visit.session is not None
    return _PURPOSE + json.dumps([visit.session.csrf, *connect_form.receiver(form["account"])]).encode()


def _read(visit: Visit) -> Draft:
    form = connect_form.from_fields((name, value) for name, value in visit.form.multi_items() if isinstance(value, str))
    return _check(visit, form, _secret(visit, form))


@page(role=Role.MANAGE)
def connect(visit: Visit) -> Response:
    """GET shows a new form, or with `from` that of a connected destination. POST does what its button says."""
    if visit.request.method == "GET":
        if name := visit.text("from"):
            known = visit.resources.destinations.get(name)
            return _page(visit, _check(visit, connect_form.from_document(document(known)), known.account.client_secret))
        return _page(visit, Draft(connect_form.empty()))
    match visit.text("do"):
        case "open":
            opened = connect_form.read_document(visit.text("file") or visit.text("text"))
            form = connect_form.from_document(opened)
            return _page(visit, _check(visit, form, _secret(visit, form)))
        case "row" | "segment" as kind:
            draft = _read(visit)
            draft.form["mapping" if kind == "row" else "segments"].append({})
            return _page(visit, draft)
        case "test":
            return _page(visit, _test(visit, _read(visit)))
        case "review":
            return _review(visit, _read(visit))
        case "download":
            draft = _read(visit)
            name = draft.destination.id if draft.destination else "destination"
            return Response(
                draft.yaml,
                media_type="application/yaml",
                headers={"content-disposition": f'attachment; filename="{name}.yaml"'},
            )
        case "connect":
            return _connect(visit, _read(visit))
    return _page(visit, _read(visit))


def _may_ask(visit: Visit, draft: Draft) -> str:
    """Return why the account cannot be asked; '' if it can."""
    if not visit.resources.ring.opens(Scope.ACCOUNT):
        return "This console holds no key for accounts. Download the file and connect it with `activation connect`."
    if draft.destination is None:
        return "Fix what is marked first."
    return "" if draft.secret else "Give the client secret first."


def _test(visit: Visit, draft: Draft) -> Draft:
    """Ask the account for a token and for its fields."""
    if any(place.startswith("account.") for place in draft.fields):
        draft.tested = "Fix the account first."
        return draft
    # problems of mapping and segments must not prevent asking the account: its fields help to fix them
    bare = {
        **draft.form,
        "id": draft.form.get("id") or "draft",
        "name": "draft",
        "segments": [],
        "limits": {},
        "options_yaml": "",
        "alerts_yaml": "",
    }
    asked = _check(visit, {**bare, "mapping": connect_form.empty()["mapping"]}, draft.secret)
    if why := _may_ask(visit, asked):
        draft.tested = why
        return draft
    assert asked.destination is not None
    client = visit.resources.client(asked.destination)
    try:
        client.test_connection(SCOPES, anew=operating.distrusts_token(visit.resources, asked.destination.id))
        catalog = catalogs.fetch(client, visit.resources.clock.now_ms())
    except CallError as error:
        draft.tested = f"{error} {error.remedy}".strip()
        return draft
    visit.context.drafts.put(asked.destination.account, catalog)
    draft = _check(visit, draft.form, draft.secret)
    draft.catalog = draft.catalog or catalog
    draft.tested = "ok"
    return draft


def _review(visit: Visit, draft: Draft) -> Response:
    """Show the whole preflight, the file, and what would change."""
    why = _may_ask(visit, draft)
    if why or draft.fields or draft.others or draft.destination is None:
        draft.tested = why
        return _page(visit, draft, status=422)
    try:
        found = operating.try_destination(visit.resources, draft.destination, limits_of_account=_of_account(visit))
    except (AccountThrottled, CallError) as error:
        draft.tested = f"{error} {error.remedy}".strip()
        return _page(visit, draft, status=422)
    draft.said = list(found.problems)
    before = operating.former(visit.resources, draft.destination.id)
    means = warnings(before, draft.destination) if before is not None else []
    return visit.page(
        "connect_review.html",
        draft=draft,
        before=before,
        lines=diff(before, draft.destination),
        sealed=_seal(visit, draft),
        means=means,
        ok=found.ok,
        fields=list(visit.form.multi_items()),
    )


def _of_account(visit: Visit) -> bool:
    return visit.text("limits_of_account") == "yes"


def _connect(visit: Visit, draft: Draft) -> Response:
    if _may_ask(visit, draft) or draft.destination is None:
        return _page(visit, draft, status=422)
    connection = operating.connect(visit.resources, draft.destination, limits_of_account=_of_account(visit))
    if not connection.connected:
        draft.said = list(connection.problems)
        return _page(visit, draft, status=422)
    visit.note("connect", draft.destination.id, f"version {draft.destination.version}")
    return visit.go(f"/destinations/{draft.destination.id}", f"Connected {draft.destination.id}.")


@page(role=Role.MANAGE)
def check(visit: Visit) -> Response:
    """Return the findings for the current form, for the script that shows them while typing."""
    draft = _read(visit)
    return JSONResponse({"fields": draft.fields, "others": draft.others, "yaml": draft.yaml})


def _seal(visit: Visit, draft: Draft) -> str:
    if not draft.secret or not visit.resources.ring.opens(Scope.ACCOUNT):
        return ""
    sealed = visit.resources.ring.seal(draft.secret.encode(), _purpose(visit, draft.form))
    return base64.urlsafe_b64encode(sealed).decode()


def _page(visit: Visit, draft: Draft, *, status: int = 200) -> Response:
    name = str(draft.form.get("id", ""))
    seen = read_sources(visit.resources, name) if name and operating.former(visit.resources, name) is not None else []
    known = {source for source, _, _ in seen}
    return visit.page(
        "connect.html",
        status=status,
        draft=draft,
        form=draft.form,
        sealed=_seal(visit, draft),
        sources=[
            *((source, f"{kind}, in {count} of the profiles of late") for source, kind, count in seen),
            *((source, kind) for source, kind in WELL_KNOWN if source not in known),
        ],
        used_by=_used_by(visit),
        local=visit.resources.settings.local_hosts is not None,
        variable=SECRET_VARIABLE,
        may_ask=visit.resources.ring.opens(Scope.ACCOUNT),
        limits_of_account=_of_account(visit),
        replaces=operating.former(visit.resources, name) is not None,
        kinds=KINDS,
    )


def _used_by(visit: Visit) -> dict[str, int]:
    """Return how many destinations write each attribute."""
    counts: Counter[str] = Counter()
    for name in visit.resources.destinations.ids():
        destination = operating.former(visit.resources, name)
        if destination is not None:
            counts.update({row.target.qualified for row in destination.mapping if row.target.kind == "attribute"})
            counts.update({segment.qualified for segment in destination.segments})
    return dict(counts)
