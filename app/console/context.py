"""What the console works with, made once per process."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from app.access.api_keys import ApiKeys
from app.access.sessions import Sessions
from app.access.turns import Turns
from app.access.users import Users
from app.console import charts
from app.console.drafts import Drafts
from app.proxies import Proxies

if TYPE_CHECKING:
    from app.console.single_sign_on import SingleSignOn
    from app.resources import Resources

NONE = "\N{EN DASH}"  # shown where there is no figure


@dataclass(frozen=True, slots=True)
class Context:
    """The console's shared objects. `url`: where browsers find it; if it is https, cookies are sent only over https."""

    resources: Resources
    url: str
    users: Users
    sessions: Sessions
    api_keys: ApiKeys
    templates: Environment
    single_sign_on: SingleSignOn | None = None
    drafts: Drafts = field(default_factory=Drafts)
    proxies: Proxies = field(default_factory=Proxies)
    slow_tries: Turns = field(
        default_factory=lambda: Turns(2, waiting=8, seconds=5)
    )  # for addresses that have tried often

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")


def make_context(resources: Resources, url: str, single_sign_on: SingleSignOn | None = None) -> Context:
    users = Users(resources.redis, resources.ring)
    return Context(
        resources=resources,
        url=url,
        users=users,
        sessions=Sessions(resources.redis, resources.ring, users),
        api_keys=ApiKeys(resources.redis, resources.ring),
        templates=_templates(),
        single_sign_on=single_sign_on,
        proxies=Proxies.named(resources.settings.console_proxies),
    )


def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("app.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": number, "moment": moment, "percent": percent, "ago": ago, "marked": marked}
    made.globals["charts"] = charts
    return made


def number(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """Format a share, never rounded up to 100 % or down to 0."""
    if share is None:
        return NONE
    if 0.999 < share < 1:
        return "> 99.9 %"
    return "< 0.1 %" if 0 < share < 0.001 else f"{share:.1%}".replace("%", " %")


def moment(epoch_ms: int) -> str:
    """Format a time in UTC; a dash for none."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") if epoch_ms else NONE


def ago(seconds: float | None) -> str:
    """Format a length of time in its largest one or two units."""
    if seconds is None:
        return NONE
    whole = int(seconds)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if whole >= size:
            rest = whole % size
            below = {"d": (3600, "h"), "h": (60, "min"), "min": (1, "s")}[unit]
            more = rest // below[0]
            return f"{whole // size} {unit}" + (f" {more} {below[1]}" if more and whole < 10 * size else "")
    return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"


def marked(text: str) -> Markup:
    """Show text between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped
