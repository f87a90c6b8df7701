"""Sealing: everything personal or secret in Redis is encrypted with AES-256-GCM under a ring of keys.

A sealed value is ``version (1 byte) | key id (4) | nonce (12) | ciphertext and tag``. The first key of the ring seals, any
key opens, so keys are rotated by putting a new one in front. `purpose` is authenticated as well: a value that is moved to
another place does not open there. Nonces are random; retire a key well before it has sealed 2**32 values (NIST SP 800-38D,
8.3).

Each key of the ring yields two, by HMAC-SHA256 of a name: one for data (profiles, destinations, failures) and one for
accounts (client secrets, access tokens). A process that only takes profiles in is given ``data:`` keys, which open no
account.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from enum import StrEnum
from os import urandom

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import SealBroken, UsageError

_VERSION = b"\x02"
_HEAD = 1 + 4
_NONCE = 12
_REMEDY = "Make one with: python -c 'from app.sealing import make_key; print(make_key())'"


class Scope(StrEnum):
    """What a key is for."""

    DATA = "data"
    ACCOUNT = "account"


_ACCOUNT_PURPOSES = (b"account:", b"token:")


def make_key() -> str:
    """Return a new key for ACTIVATION_SECRET_KEYS: 32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _decode(position: int, text: str) -> dict[Scope, bytes]:
    """Return the keys that one key of the setting yields."""
    scope, _, encoded = text.rpartition(":")
    try:
        raw = base64.urlsafe_b64decode(encoded.encode("ascii"))
    except ValueError:  # includes binascii.Error and UnicodeEncodeError
        raw = b""
    if len(raw) != 32 or scope not in ("", Scope.DATA):
        raise UsageError(f"ACTIVATION_SECRET_KEYS: key {position} is not 32 bytes of URL-safe base64.", remedy=_REMEDY)
    if scope:
        return {Scope.DATA: raw}
    return {each: hmac.new(raw, b"scope:" + each.encode(), hashlib.sha256).digest() for each in Scope}


class KeyRing:
    """Seals with the first key, opens with all."""

    def __init__(self, keys: list[str]) -> None:
        if not keys:
            raise UsageError("ACTIVATION_SECRET_KEYS is empty.", remedy=_REMEDY)
        found = [_decode(position, key) for position, key in enumerate(keys, 1)]
        self._ciphers = {_key_id(raw): AESGCM(raw) for yielded in found for raw in yielded.values()}
        self._sealers = {
            scope: (_VERSION + _key_id(found[0][scope]), AESGCM(found[0][scope]))
            for scope in Scope
            if scope in found[0]
        }
        self.data_keys = [yielded[Scope.DATA] for yielded in found]

    @property
    def restricted(self) -> list[str]:
        """The keys to give to a process that must not open accounts."""
        return [f"{Scope.DATA}:{base64.urlsafe_b64encode(raw).decode()}" for raw in self.data_keys]

    def seal(self, clear: bytes, purpose: bytes) -> bytes:
        """Seal a value. Raises: `SealBroken` if the ring has no key for this purpose."""
        sealer = self._sealers.get(_scope_of(purpose))
        if sealer is None:
            raise SealBroken(_name(purpose))
        head, cipher = sealer
        nonce = urandom(_NONCE)
        return head + nonce + cipher.encrypt(nonce, clear, purpose)

    def open(self, sealed: bytes, purpose: bytes) -> bytes:
        """Return the clear bytes. Raises: `SealBroken` if no key of the ring fits or the value was tampered with."""
        whole = sealed[:1] == _VERSION and len(sealed) >= _HEAD + _NONCE
        cipher = self._ciphers.get(sealed[1:_HEAD]) if whole else None
        if cipher is None:
            raise SealBroken(_name(purpose))
        try:
            return cipher.decrypt(sealed[_HEAD : _HEAD + _NONCE], sealed[_HEAD + _NONCE :], purpose)
        except InvalidTag:
            raise SealBroken(_name(purpose), tampered=True) from None

    def opens(self, scope: Scope) -> bool:
        """Return whether the ring has keys for this scope."""
        return scope in self._sealers


def _scope_of(purpose: bytes) -> Scope:
    return Scope.ACCOUNT if purpose.startswith(_ACCOUNT_PURPOSES) else Scope.DATA


def _key_id(raw: bytes) -> bytes:
    return hashlib.sha256(b"key id:" + raw).digest()[:4]


def _name(purpose: bytes) -> str:
    return f"A sealed {purpose.partition(b':')[0].decode(errors='replace')}"
