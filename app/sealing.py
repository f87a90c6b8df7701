"""Sealing: everything personal or secret that rests in Redis is encrypted with AES-256-GCM under a ring of keys.

A sealed value is ``version (1 byte) | key id (4) | nonce (12) | ciphertext and tag``. The first key of the ring seals, any
key opens, so keys are rotated by putting a new one in front. `purpose` is authenticated along: a value that is moved to
another place does not open there. Nonces are random; retire a key well before it has sealed 2**32 values
(NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from os import urandom

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import SealBroken, UsageError

_VERSION = b"\x01"
_HEAD = 1 + 4
_NONCE = 12


def make_key() -> str:
    """A new key as it stands in ACTIVATION_SECRET_KEYS: 32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _decode(position: int, text: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii"))
    except ValueError:  # binascii.Error and UnicodeEncodeError are both of its kind
        raw = b""
    if len(raw) != 32:
        raise UsageError(
            f"ACTIVATION_SECRET_KEYS: key {position} is not 32 bytes of URL-safe base64.",
            remedy="Make one with: python -c 'from app.sealing import make_key; print(make_key())'",
        )
    return raw


class KeyRing:
    """Seals with the first key, opens with all."""

    def __init__(self, keys: list[str]) -> None:
        if not keys:
            raise UsageError(
                "ACTIVATION_SECRET_KEYS is empty.",
                remedy="Make a key with: python -c 'from app.sealing import make_key; print(make_key())'",
            )
        raw = [_decode(position, key) for position, key in enumerate(keys, 1)]
        self.secrets = raw
        self._ciphers = {hashlib.sha256(b"key id:" + key).digest()[:4]: AESGCM(key) for key in raw}
        self._head = _VERSION + hashlib.sha256(b"key id:" + raw[0]).digest()[:4]
        self._sealer = AESGCM(raw[0])

    def seal(self, clear: bytes, purpose: bytes) -> bytes:
        nonce = urandom(_NONCE)
        return self._head + nonce + self._sealer.encrypt(nonce, clear, purpose)

    def open(self, sealed: bytes, purpose: bytes) -> bytes:
        """The clear bytes. Raises `SealBroken` when no key of the ring fits or the value was tampered with."""
        what = f"A sealed {purpose.partition(b':')[0].decode(errors='replace')}"
        whole = sealed[:1] == _VERSION and len(sealed) >= _HEAD + _NONCE
        cipher = self._ciphers.get(sealed[1:_HEAD]) if whole else None
        if cipher is None:
            raise SealBroken(what)
        try:
            return cipher.decrypt(sealed[_HEAD : _HEAD + _NONCE], sealed[_HEAD + _NONCE :], purpose)
        except InvalidTag:
            raise SealBroken(what, tampered=True) from None
