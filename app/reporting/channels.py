"""Sends alerts to a webhook, a Slack-compatible webhook, or by email. Redirects are never followed.

A webhook gets JSON with the headers of Standard Webhooks (https://www.standardwebhooks.com): `webhook-id`,
`webhook-timestamp` and, if there is a secret, `webhook-signature`: `v1,` and the base64 HMAC-SHA256 of `ID.TIMESTAMP.BODY`.
A message may come twice, with the same id.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import smtplib
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Future
from email.message import EmailMessage
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import orjson
import requests

from app.destinations.model import AlertChannel
from app.errors import ActivationError
from app.moments import rfc3339
from app.reporting.alerts import AlertEvent, What
from app.settings import words_of

if TYPE_CHECKING:
    from app.settings import Settings

TIMEOUT_SECONDS = 5.0  # for each read
# For a whole message: a server that answers byte by byte must not delay others. A mail takes a dozen answers
HTTP_SECONDS, MAIL_SECONDS = 5.0, 15.0
_BASE64_PREFIX = "whsec_"  # marks a secret in base64 (Standard Webhooks)


class ChannelFailed(ActivationError):
    """A channel did not take a message. `gives_up`: it never will."""

    def __init__(self, text: str, *, gives_up: bool = False) -> None:
        super().__init__(text)
        self.gives_up = gives_up


def channels_of(settings: Settings) -> dict[str, AlertChannel]:
    """Return the channels for all destinations, by name."""
    kinds = words_of(settings.alert_kinds)
    found = {}
    if settings.alert_url:
        found["webhook"] = AlertChannel("webhook", settings.alert_url, settings.alert_secret, kinds)
    if settings.alert_slack_url:
        found["slack"] = AlertChannel("slack", settings.alert_slack_url, kinds=kinds)
    for number, address in enumerate(words_of(settings.alert_email_to)):
        found[f"email-{number}"] = AlertChannel("email", address, kinds=kinds)
    return found


def send(channel: AlertChannel, event: AlertEvent, message_id: str, settings: Settings) -> None:
    """Send an event. Raises: `ChannelFailed` for any failure; its text reveals nothing of the address."""
    try:
        seconds = MAIL_SECONDS if channel.channel == "email" else HTTP_SECONDS
        _in_time(seconds, partial(_send, channel, event, message_id, settings))
    except ChannelFailed:
        raise
    except Exception as error:  # noqa: BLE001  # an odd address makes the libraries raise undocumented errors
        raise ChannelFailed(f"nothing can be sent to it ({type(error).__name__})") from None


def _send(channel: AlertChannel, event: AlertEvent, message_id: str, settings: Settings) -> None:
    match channel.channel:
        case "webhook":
            body = orjson.dumps(document_of(event))
            _post(channel.target, body, _signed(body, channel.secret, message_id))
        case "slack":
            _post(channel.target, orjson.dumps({"text": _slack_text(event)}), {})
        case "email":
            _mail(channel.target, event, message_id, settings)


def document_of(event: AlertEvent) -> dict[str, Any]:
    """Return the JSON document for a webhook."""
    alert = event.alert
    return {
        "event": str(event.what),
        "kind": alert.kind,
        "severity": str(alert.severity),
        "destination": alert.destination,
        "text": alert.text,
        "remedy": alert.remedy,
        "at": rfc3339(event.at_ms, timespec="seconds"),
        "opened_at": rfc3339(event.opened_ms, timespec="seconds"),
    }


def title_of(event: AlertEvent) -> str:
    """Return a one-line title."""
    where = event.alert.destination or "the installation"
    what = "" if event.what in (What.OPENED, What.NOTED) else f" ({event.what})"
    return f"{event.alert.kind} of {where}{what}"


def _post(url: str, body: bytes, headers: dict[str, str]) -> None:
    try:
        with requests.post(
            url,
            data=body,
            headers={"content-type": "application/json", **headers},
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
            stream=True,
        ) as answer:
            status = answer.status_code
    except requests.RequestException as error:
        raise ChannelFailed(f"it does not answer ({type(error).__name__})") from None
    if not 200 <= status < 300:
        raise ChannelFailed(f"it answered with HTTP {status}", gives_up=status == 410)


def _signed(body: bytes, secret: str, message_id: str) -> dict[str, str]:
    timestamp = str(int(time.time()))
    headers = {"webhook-id": message_id, "webhook-timestamp": timestamp}
    if secret:
        signed = f"{message_id}.{timestamp}.".encode() + body
        digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def _key(secret: str) -> bytes:
    try:
        if secret.startswith(_BASE64_PREFIX):
            return base64.b64decode(secret.removeprefix(_BASE64_PREFIX), validate=True)
    except binascii.Error:
        pass
    return secret.encode()


def _slack_text(event: AlertEvent) -> str:
    sign = {What.CLOSED: ":white_check_mark:", What.NOTED: ":information_source:"}.get(event.what, ":warning:")
    text = f"{sign} *{title_of(event)}*\n{event.alert.text}"
    if event.alert.remedy and event.what is not What.CLOSED:
        text += f"\n{event.alert.remedy}"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _mail(address: str, event: AlertEvent, message_id: str, settings: Settings) -> None:
    if not settings.smtp_url:
        raise ChannelFailed("ACTIVATION_SMTP_URL is not set", gives_up=True)
    url = urlsplit(settings.smtp_url)
    mail = EmailMessage()
    mail["Subject"] = f"[activation] {title_of(event)}"
    mail["From"], mail["To"] = settings.alert_email_from, address
    mail["Message-ID"] = f"<{message_id}@activation>"
    mail["Auto-Submitted"] = "auto-generated"
    remedy = event.alert.remedy if event.what is not What.CLOSED else ""
    since = f"Since {rfc3339(event.opened_ms, timespec='seconds')}."
    mail.set_content("\n\n".join(part for part in (event.alert.text, remedy, since) if part))
    context = ssl.create_default_context()
    try:
        server: smtplib.SMTP
        if url.scheme == "smtps":
            server = smtplib.SMTP_SSL(url.hostname or "", url.port or 465, timeout=TIMEOUT_SECONDS, context=context)
        else:
            server = smtplib.SMTP(url.hostname or "", url.port or 25, timeout=TIMEOUT_SECONDS)
        with server:
            server.ehlo()
            if url.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=context)
            elif url.scheme == "smtp" and url.username:
                raise ChannelFailed("the mail server offers no STARTTLS, and a password is not sent in clear")
            if url.username:
                server.login(unquote(url.username), unquote(url.password or ""))
            server.send_message(mail)
    except (smtplib.SMTPException, OSError) as error:
        raise ChannelFailed(f"the mail server did not take it ({type(error).__name__})") from None


def _in_time(seconds: float, act: Callable[[], None]) -> None:
    """Run `act` on its own thread, which is abandoned when the time is over: the libraries limit each read, not the whole.

    Raises: what `act` raises; `ChannelFailed`.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            act()
            done.set_result(None)
        except BaseException as error:  # noqa: BLE001  # re-raised to the waiting thread
            done.set_exception(error)

    Thread(target=run, name="channel", daemon=True).start()
    try:
        done.result(seconds)
    except TimeoutError:
        raise ChannelFailed("it did not answer in time") from None
