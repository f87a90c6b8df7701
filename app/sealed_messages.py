"""Seals what other programs send to the task `activation.enqueue`, so that no broker sees a profile in clear.

A sender has its own key, which opens only its own messages; `activation sender-key NAME` prints it. It sends one text as
`profiles`::

    sealed:1:NAME:BASE64URL(nonce of 12 bytes + AES-256-GCM of a JSON document)

with `sealed:1:NAME:DESTINATION` as associated data. The document is an object: `profiles` (a list), `sealed_at` (epoch ms)
and, if needed, `job_id`, `occurred_at`, `backfill`, `force`. So nobody on the way can change a message, redirect it to
another destination, or make it look newer by sending it again: profiles that carry no time get `sealed_at`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import UsageError
from app.ids import SENDER_NAME

PREFIX = "sealed:1:"
_NONCE = 12


def derive_key(secret: bytes, name: str) -> bytes:
    """Return a sender's key, derived from a data key of the ring (`KeyRing.data_keys`). Raises: `UsageError` for an invalid name."""
    SENDER_NAME.check(name)
    return hmac.new(secret, b"enqueue:" + name.encode(), hashlib.sha256).digest()


def seal_message(
    key: str, name: str, destination: str, profiles: Sequence[Any], *, sealed_at_ms: int, **options: Any
) -> str:
    """Return the text to send as `profiles`.

    `key`: what `activation sender-key NAME` printed. `options`: further members of the document.
    """
    document = orjson.dumps({"profiles": list(profiles), "sealed_at": sealed_at_ms, **options})
    nonce = secrets.token_bytes(_NONCE)
    raw = base64.urlsafe_b64decode(key)
    sealed = nonce + AESGCM(raw).encrypt(nonce, document, _bound(name, destination))
    return f"{PREFIX}{name}:{base64.urlsafe_b64encode(sealed).decode()}"


def open_message(text: str, destination: str, data_keys: Sequence[bytes]) -> dict[str, Any]:
    """Return the document of a sealed message for this destination. Raises: `UsageError`, which quotes nothing."""
    name, _, content = text.removeprefix(PREFIX).partition(":")
    try:
        sealed = base64.urlsafe_b64decode(content)
    except ValueError:
        sealed = b""
    if text.startswith(PREFIX) and SENDER_NAME.allows(name) and len(sealed) > _NONCE:
        for secret in data_keys:
            try:
                clear = AESGCM(derive_key(secret, name)).decrypt(
                    sealed[:_NONCE], sealed[_NONCE:], _bound(name, destination)
                )
            except InvalidTag:
                continue
            document = orjson.loads(clear)
            if isinstance(document, dict):
                return document
    raise UsageError(
        "profiles: the sealed text does not open for this destination.",
        remedy="Seal it with the key that `activation sender-key NAME` prints, under that name and this destination.",
    )


def _bound(name: str, destination: str) -> bytes:
    return f"{PREFIX}{name}:{destination}".encode()
