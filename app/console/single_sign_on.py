"""Single sign-on by OpenID Connect: authorization code with PKCE, groups mapped to roles.

The ID token is verified with the issuer's published keys; nothing else in its answer is trusted.
"""

from __future__ import annotations

import secrets
import time
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.access.roles import Actor, Role, read_role
from app.access.sessions import same
from app.errors import ActivationError, ServiceUnreachable, UsageError

if TYPE_CHECKING:
    from app.settings import Settings

TIMEOUT_SECONDS = 10
METADATA_SECONDS = 3600
LEEWAY_SECONDS = 60
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]


class SignOnRefused(ActivationError):
    """The issuer's answer does not sign anybody in."""


class SingleSignOn:
    """One issuer. Safe to share between threads."""

    def __init__(self, settings: Settings, url: str) -> None:
        """Read the settings. Raises: `UsageError` if they do not fit together."""
        self._issuer = settings.console_oidc_issuer.rstrip("/")
        self._client_id = settings.console_oidc_client_id
        self._client_secret = settings.console_oidc_client_secret
        self._claim = settings.console_oidc_claim
        self._redirect_uri = f"{url}/oidc/callback"
        self._roles = read_groups(settings.console_oidc_groups)
        self._lock = Lock()
        self._metadata: dict[str, Any] = {}
        self._metadata_until = 0.0
        host = urlsplit(self._issuer)
        if host.scheme != "https" and not (
            host.hostname in ("127.0.0.1", "localhost", "::1") and host.scheme == "http"
        ):
            raise UsageError("ACTIVATION_CONSOLE_OIDC_ISSUER: must begin with https://.")
        if not self._client_id or not self._client_secret or not self._roles:
            raise UsageError(
                "Single sign-on needs ACTIVATION_CONSOLE_OIDC_CLIENT_ID, …_CLIENT_SECRET and …_GROUPS as well.",
                remedy="docs/console.md shows an example.",
            )
        self.name = host.hostname or "single sign-on"

    def leave(self) -> tuple[str, dict[str, str]]:
        """Return where to send the browser, and the values that must match when it comes back."""
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        with self._session() as session:
            address, state = session.create_authorization_url(
                self._known()["authorization_endpoint"], nonce=nonce, code_verifier=verifier
            )
        return address, {"state": state, "nonce": nonce, "verifier": verifier}

    def come_back(self, state: str, code: str, kept: dict[str, str]) -> Actor:
        """Return who signed in. Raises: `SignOnRefused`; `ServiceUnreachable` if the issuer does not answer."""
        if not code or not same(state, kept["state"]):
            raise SignOnRefused("The sign-on was not finished.", remedy="Begin again.")
        known = self._known()
        try:
            with self._session() as session:
                token = session.fetch_token(
                    known["token_endpoint"], code=code, code_verifier=kept["verifier"], timeout=TIMEOUT_SECONDS
                )
                answer = session.request("GET", known["jwks_uri"], withhold_token=True, timeout=TIMEOUT_SECONDS)
            keys = KeySet.import_key_set(answer.json())
            claims = jwt.decode(token["id_token"], keys, algorithms=ALGORITHMS).claims
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": known["issuer"]},
                aud={"essential": True, "value": self._client_id},
                exp={"essential": True},
                nonce={"essential": True, "value": kept["nonce"]},
                sub={"essential": True},
            ).validate(claims)
        except requests.RequestException as error:
            raise self._away() from error
        except (AuthlibBaseError, JoseError, KeyError, ValueError) as error:
            raise SignOnRefused(
                f"The issuer's answer does not sign anybody in ({type(error).__name__}).",
                remedy="Check the client id, its secret and the redirect URI at the issuer, and the clocks of both machines.",
            ) from error
        return self._actor(claims)

    def _actor(self, claims: dict[str, Any]) -> Actor:
        groups = claims.get(self._claim)
        mine = {groups} if isinstance(groups, str) else {item for item in (groups or ()) if isinstance(item, str)}
        roles = [role for group, role in self._roles.items() if group in mine]
        if not roles:
            raise SignOnRefused(
                "You are signed on, and none of your groups may use this console.",
                remedy="Whoever runs this installation names groups in ACTIVATION_CONSOLE_OIDC_GROUPS.",
            )
        name = next((str(claims[key]) for key in ("preferred_username", "email", "sub") if claims.get(key)), "?")
        return Actor(f"{name[:100]} (single sign-on)", max(roles, key=list(Role).index))

    def _session(self) -> OAuth2Session:
        return OAuth2Session(
            self._client_id,
            self._client_secret,
            scope="openid profile email",
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
        )

    def _known(self) -> dict[str, Any]:
        """Return the issuer's metadata."""
        with self._lock:
            if time.monotonic() < self._metadata_until:
                return self._metadata
            try:
                answer = requests.get(f"{self._issuer}/.well-known/openid-configuration", timeout=TIMEOUT_SECONDS)
                answer.raise_for_status()
                found: dict[str, Any] = answer.json()
                complete = all(found.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"))
            except (requests.RequestException, ValueError) as error:
                raise self._away() from error
            if not complete or str(found.get("issuer", "")).rstrip("/") != self._issuer:
                raise SignOnRefused(
                    "The issuer describes itself with another address, or incompletely.",
                    remedy="Check ACTIVATION_CONSOLE_OIDC_ISSUER.",
                )
            self._metadata, self._metadata_until = found, time.monotonic() + METADATA_SECONDS
            return found

    def _away(self) -> ServiceUnreachable:
        return ServiceUnreachable(f"{self.name} does not answer.", remedy="Try again, or sign in with a password.")


def read_groups(text: str) -> dict[str, Role]:
    """Read `marketing=view,operations=activate`. Raises: `UsageError`."""
    found = {}
    for pair in (part.strip() for part in text.split(",") if part.strip()):
        group, separator, role = pair.rpartition("=")
        if not separator or not group.strip():
            raise UsageError("ACTIVATION_CONSOLE_OIDC_GROUPS: write GROUP=ROLE, with commas between them.")
        found[group.strip()] = read_role(role)
    return found
