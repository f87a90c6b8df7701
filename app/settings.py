"""The environment, read once: every setting has a name, a type, a default and a line of documentation.

`docs/configuration.md` is generated from `Settings`. A value may come from a file named by the same variable with
`_FILE` appended. All problems are reported at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from environs import EnvError, FileAwareEnv

from app.alert_kinds import ALL_KINDS, KINDS
from app.errors import UsageError, did_you_mean
from app.proxies import fault_in_proxies
from app.text import is_whole
from app.urls import fault_in_broker_url, fault_in_redis_url, fault_in_smtp_url, fault_in_web_url

PREFIX = "ACTIVATION_"
_HOME = Path(".activation")


@dataclass(frozen=True, slots=True)
class Option:
    """One environment variable. `name`: without the prefix, in upper case. `default`: its value when unset."""

    name: str
    default: Any
    doc: str

    @property
    def variable(self) -> str:
        return PREFIX + self.name

    @property
    def field(self) -> str:
        return self.name.lower()


def _option(default: Any, doc: str) -> Any:
    """Declare a field of `Settings`. `default`: used where the variable is not set."""
    return field(default=default, metadata={"doc": doc})


MOST = 1_000_000_000  # for numbers without another bound: clocks and Redis fail beyond it
RANGES = {"WORKER_CONCURRENCY": (1, 1_000), "CALLS_AT_ONCE": (1, 10_000), "WINDOW_SIZE": (1, 10_000)}
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?(/[smh])?")


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """All settings as values, each declared here once: type, default, and what it does.

    Has no repr, because it holds keys and URLs with passwords.
    """

    # fmt: off
    redis_url: str = _option("", "Redis that holds the state. Unset: a private server is started under HOME.")
    broker_url: str = _option("", "Celery's broker. Unset: the same Redis; if that is private, the messages have a private server of their own, without a file. AMQP works too.")
    secret_keys: str = _option("", "Comma-separated keys; the first one seals, all of them open. Unset with a private Redis: made once under HOME.")
    clear_messages: str = _option("accept", "Whether messages of activation.enqueue may hold profiles in clear: accept, or refuse all that are not sealed with a sender's key.")
    intake_open: bool = _option(False, "Lets the HTTP intake take profiles without a key from programs on its own machine.")
    intake_proxies: str = _option("", "Comma-separated addresses or networks (10.0.0.7,10.1.0.0/16) of the proxies that the HTTP intake trusts to report a client's certificate, besides loopback.")
    redis_server: str = _option("", "Program of the private Redis. Unset: the embedded one, or else the redis-server on the PATH.")
    home: Path = _option(_HOME, "Folder of the private Redis, its key and its logs.")  # noqa: RUF009  # it makes a field, and no value that is shared
    allow_local_hosts: str = _option("", "Lets a destination name loopback base URLs, for the sandbox: true, or the comma-separated names (without dots) of containers that it may name as well.")
    connect_timeout_seconds: float = _option(5.0, "How long to wait for a connection to Marketing Cloud.")
    read_timeout_seconds: float = _option(120.0, "How long to wait for an answer. Marketing Cloud itself gives up after 120 s; a smaller value risks two calls at once for one contact.")
    worker_concurrency: int = _option(64, "Lanes that one worker process drains at once (threads).")
    calls_at_once: int = _option(64, "HTTP calls that one worker process may have in flight; the account's max_in_flight applies over all processes.")
    window_size: int = _option(200, "Waiting profiles that a lane reads at once.")
    slice_seconds: float = _option(2.0, "How long a task works on a lane before it checks whether others wait for its slot or its destination was changed.")
    lease_seconds: float = _option(15.0, "How long a lane still belongs to a worker that gives no sign of life.")
    wake_up_seconds: float = _option(10.0, "How long until a wake-up counts as lost and the sweep sends another.")
    sweep_seconds: float = _option(5.0, "How often beat looks for lanes that have work and no wake-up.")
    catalog_refresh_seconds: float = _option(900.0, "How old the attribute-set definitions of an account may become before they are fetched again.")
    retry_window_seconds: float = _option(86_400.0, "A profile whose calls fail for a reason that may pass is tried again for at least this long …")
    retry_minimum: int = _option(8, "… and at least this often before it becomes a failure.")
    retry_base_seconds: float = _option(2.0, "First delay of the exponential back-off (full jitter).")
    retry_cap_seconds: float = _option(300.0, "Longest delay of the back-off for one contact or one destination.")
    probe_base_seconds: float = _option(30.0, "A stopped destination is probed with one call after this long, then less and less often …")
    probe_cap_seconds: float = _option(1200.0, "… until the time between two probes is this long.")
    crashes_allowed: int = _option(3, "A profile becomes a failure once its worker has died this often while it was alone in a window.")
    failures_kept: int = _option(100_000, "Failed profiles kept for replay, per destination.")
    failures_kept_days: int = _option(30, "Days that a failed profile is kept for replay.")
    delivered_life_days: int = _option(400, "Days for which a contact's delivered state is kept after its last delivery.")
    deliver_rate_limit: str = _option("", "Celery rate limit of activation.deliver in each worker, such as 100/s. This is only a ceiling; the pace of the account applies as well.")
    enqueue_rate_limit: str = _option("", "Celery rate limit of activation.enqueue in each worker.")
    refresh_rate_limit: str = _option("", "Celery rate limit of attributes.refresh in each worker.")
    task_retries: int = _option(0, "Most task-level retries of a wake-up in a row; 0 for no limit except the retry window.")
    soft_shutdown_seconds: float = _option(25.0, "How long a worker that was told to stop waits for its calls in flight; another worker repeats those that are not answered by then.")
    alert_url: str = _option("", "Alerts are posted there as JSON (Standard Webhooks).")
    alert_secret: str = _option("", "Signs what is posted to ALERT_URL: `whsec_` and base64, or any text.")
    alert_slack_url: str = _option("", "Alerts are posted there as Slack's incoming webhooks expect them.")
    alert_email_to: str = _option("", "Comma-separated addresses to which alerts are sent.")
    alert_email_from: str = _option("activation@localhost", "Sender of alerts by email.")
    alert_kinds: str = _option("", "Comma-separated kinds of alerts that these channels get, or all. Unset: warnings and worse.")
    alert_repeat_seconds: float = _option(21_600.0, "An alert that stays open is repeated after this long.")
    backlog_alert_seconds: float = _option(900.0, "An alert opens when a live profile has waited for longer than this.")
    smtp_url: str = _option("", "Mail server for alerts: smtp://USER:PASSWORD@HOST:PORT (STARTTLS) or smtps://.")
    console_url: str = _option("", "Where browsers find the console, such as https://activation.corp.test; used for its links, cookies and single sign-on. Unset: the address that it listens on.")
    console_proxies: str = _option("", "Comma-separated addresses or networks of the proxies whose X-Forwarded-For the console believes. Unset: none, not even loopback.")
    console_oidc_issuer: str = _option("", "Single sign-on to the console by OpenID Connect: the issuer's URL, under which /.well-known/openid-configuration is found.")
    console_oidc_client_id: str = _option("", "The console's client id there …")
    console_oidc_client_secret: str = _option("", "… and its secret. The redirect URI to register is CONSOLE_URL + /oidc/callback.")
    console_oidc_groups: str = _option("", "Which groups may do what, such as marketing=view,operations=activate,data-platform=manage. Somebody in none of them is refused.")
    console_oidc_claim: str = _option("groups", "The claim of the ID token that lists the groups.")
    log_level: str = _option("INFO", "Level of the workers' log.")
    traces: str = _option("", "Share of jobs (0 to 1) that are traced with OpenTelemetry, which the extra `otel` installs. Unset: none.")
    log_format: str = _option("console", "console for people; json for programs, one object per line.")
    # fmt: on

    @classmethod
    def from_env(cls) -> Settings:
        """Read the environment. Raises: `UsageError` with every problem found."""
        env = FileAwareEnv(prefix=PREFIX, strip_whitespace=True)
        readers = {str: env.str, bool: env.bool, int: env.int, float: env.float, type(_HOME): env.path}
        values: dict[str, Any] = {}
        problems: list[str] = []
        for option in OPTIONS:
            if not is_whole(os.environ.get(option.variable, "")):
                problems.append(f"{option.variable}: is not text in UTF-8.")
                continue
            read: Any = readers[type(option.default)]
            try:
                value = read(option.name, option.default)
            except (UnicodeDecodeError, OSError):  # the codec's own text would show a byte of a key
                problems.append(f"{option.variable}: its file cannot be read as text in UTF-8.")
                continue
            except (EnvError, ValueError) as error:
                said = str(error).removeprefix(f'Environment variable "{option.variable}" invalid: ')
                problems.append(f"{option.variable}: {said}")
                continue
            if (type(option.default) in (int, float) and (fault := _fault_in_number(option.name, value))) or (
                (value or option.default) and option.name in _CHECKS and (fault := _CHECKS[option.name](value))
            ):
                problems.append(f"{option.variable}: {fault}")
            if os.environ.get(option.variable) and os.environ.get(f"{option.variable}_FILE"):
                problems.append(f"{option.variable} and {option.variable}_FILE are both set; keep one of them.")
            values[option.field] = value
        problems += _unknown_variables(os.environ)
        if not problems and (made := cls(**values)).lease_seconds < 2.5 * made.lease_margin_seconds:
            problems.append(
                f"{PREFIX}LEASE_SECONDS: must be at least 2.5 times ({PREFIX}CONNECT_TIMEOUT_SECONDS + 0.5), or a call could "
                "still be on its way out when another worker has the lane."
            )
        if values.get("alert_email_to") and not values.get("smtp_url"):
            problems.append(f"{PREFIX}ALERT_EMAIL_TO: needs {PREFIX}SMTP_URL.")
        if problems:
            raise UsageError("The environment has problems.", problems=tuple(problems))
        return cls(**values)

    @property
    def local_hosts(self) -> frozenset[str] | None:
        """The names that count as local besides loopback; None if no local host is allowed."""
        words = [word.lower() for word in words_of(self.allow_local_hosts)]
        if not words or words in (["false"], ["0"], ["no"], ["off"]):
            return None
        return frozenset(word for word in words if word not in ("true", "1", "yes", "on"))

    @property
    def celery_broker_url(self) -> str:
        """The broker's URL: the one that is set, else that of the state's Redis."""
        return self.broker_url or self.redis_url

    @property
    def lease_margin_seconds(self) -> float:
        """How long before the end of its lease a worker starts no more calls: enough to connect and send one."""
        return self.connect_timeout_seconds + 0.5

    @property
    def keys(self) -> list[str]:
        return list(words_of(self.secret_keys))


OPTIONS = tuple(Option(each.name.upper(), each.default, each.metadata["doc"]) for each in fields(Settings))


def _fault_in_number(name: str, value: float) -> str:
    least, most = RANGES.get(name, (0, MOST))
    if value < 0:
        return "must not be negative."
    return "" if least <= value <= most else f"must be {least:,} to {most:,}."


def _fault_in_rate(text: str) -> str:
    return "" if _RATE.fullmatch(text) else "must be a number and /s, /m or /h, such as 100/s."


def _fault_in_level(text: str) -> str:
    return "" if text.upper() in LOG_LEVELS else f"must be one of {', '.join(LOG_LEVELS)}."


def _fault_in_format(text: str) -> str:
    return "" if text in ("console", "json") else "must be console or json."


def _fault_in_clear_messages(text: str) -> str:
    return "" if text in ("accept", "refuse") else "must be accept or refuse."


def _fault_in_local_hosts(text: str) -> str:
    is_address = any("." in word or ":" in word for word in text.split(","))
    return "true, false, or names without a dot, such as sandbox." if is_address else ""


def _fault_in_share(text: str) -> str:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    return "" if 0 <= share <= 1 else "must be a share of 0 to 1, such as 0.01."


def _fault_in_kinds(text: str) -> str:
    for position, kind in enumerate(words_of(text), 1):
        if kind not in KINDS and kind != ALL_KINDS:
            return f"there is no such kind at place {position}; docs/operations.md lists them."
    return ""


_CHECKS: dict[str, Callable[[str], str]] = {
    "REDIS_URL": fault_in_redis_url,
    "BROKER_URL": fault_in_broker_url,
    "ALERT_URL": fault_in_web_url,
    "ALERT_SLACK_URL": fault_in_web_url,
    "ALERT_KINDS": _fault_in_kinds,
    "SMTP_URL": fault_in_smtp_url,
    "CLEAR_MESSAGES": _fault_in_clear_messages,
    "ALLOW_LOCAL_HOSTS": _fault_in_local_hosts,
    "INTAKE_PROXIES": fault_in_proxies,
    "CONSOLE_PROXIES": fault_in_proxies,
    "LOG_FORMAT": _fault_in_format,
    "TRACES": _fault_in_share,
    "DELIVER_RATE_LIMIT": _fault_in_rate,
    "ENQUEUE_RATE_LIMIT": _fault_in_rate,
    "REFRESH_RATE_LIMIT": _fault_in_rate,
    "LOG_LEVEL": _fault_in_level,
}


def words_of(value: str) -> tuple[str, ...]:
    """Return the words of a comma-separated list."""
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return a problem for each misspelt variable, with the likely name; it would otherwise be ignored silently."""
    known = {option.variable for option in OPTIONS}
    return [
        f"{name}: no such setting.{did_you_mean(name, sorted(known))}"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known and name.removesuffix("_FILE") not in known
    ]


_INTRODUCTION = """\
# Configuration

<!-- Generated by `make configuration` from app/settings.py; edit there. -->

Every setting is an environment variable. All processes of one installation need the same values of `ACTIVATION_REDIS_URL`,
`ACTIVATION_BROKER_URL` and `ACTIVATION_SECRET_KEYS`; changes are read when a process starts.

- **From a file**: with `_FILE` appended to its name, a variable names a file whose content is the value, without the white space
  around it: `ACTIVATION_SECRET_KEYS_FILE=/run/secrets/activation-keys`. Set one of the two, not both.
- **Checked at once**: a wrong type, a negative number or a name that does not exist ends the command with exit code 2 and lists every problem.
- What belongs to one destination (limits, options) stands in its file: [operations.md](operations.md#the-destination-file).

| variable | default | meaning |
|---|---|---|
"""


def configuration_page() -> str:
    """Return the text of docs/configuration.md: every option with its default and meaning."""
    rows = (f"| `{option.variable}` | {_shown(option.default)} | {_in_table(option.doc)} |\n" for option in OPTIONS)
    return _INTRODUCTION + "".join(rows)


def _shown(default: Any) -> str:
    """Return a default as it would be written in the environment."""
    if default == "":
        return "unset"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) and default < 1e6 else f"`{default}`"


def _in_table(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Print docs/configuration.md (`python -m app.settings`)."""
    import sys

    sys.stdout.write(configuration_page())


if __name__ == "__main__":
    main()
