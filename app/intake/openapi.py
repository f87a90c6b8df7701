"""The description of the interface, served at `/openapi.json`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from app.ids import DESTINATION_ID, JOB_ID, IdRule
from app.intake.bodies import MOST_BYTES, MOST_PROFILES
from app.intake.credentials import KEY_HEADER

_PROBLEM = {"$ref": "#/components/responses/Problem"}
_LATER = {"$ref": "#/components/responses/Later"}
_PROFILE = {"$ref": "#/components/schemas/Profile"}
_TOKEN_ERROR = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/TokenError"}}}}


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _id(rule: IdRule) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{rule.pattern}$"}


def _page(summary: str, kind: str, *, later: bool = False) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": {"description": summary, "content": {kind: {}}}}
    if later:
        answers["503"] = _LATER
    return {"get": {"summary": summary, "responses": answers}}


_PROFILES = {
    "summary": "Send profiles to a destination",
    "description": "202 means that they are durable. One that cannot be sent is excluded and counted; the others go on. A body that "
    "comes again within ten minutes counts as of its first arrival.",
    "security": [{"key": []}, {"header": []}, {"oauth": []}],
    "parameters": [
        {"name": "destination", "in": "path", "required": True, "schema": _id(DESTINATION_ID)},
        _parameter("backfill", "Behind all live updates.", {"type": "boolean", "default": False}),
        _parameter(
            "occurred_at",
            "When the profiles became true, if they do not say: RFC 3339 or epoch ms. Default: the request's first byte.",
            {"oneOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}]},
        ),
        _parameter("job", "Counts go to this job. Default: one of the source for each hour.", _id(JOB_ID)),
    ],
    "requestBody": {
        "required": True,
        "description": f"At most {MOST_BYTES:,} bytes and {MOST_PROFILES:,} profiles. Content-Encoding may be gzip or deflate.",
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        _PROFILE,
                        {"type": "array", "items": _PROFILE},
                        {
                            "type": "object",
                            "required": ["profiles"],
                            "properties": {"profiles": {"type": "array", "items": _PROFILE}},
                        },
                    ]
                }
            },
            "application/x-ndjson": {"schema": {"type": "string", "description": "One profile a line."}},
        },
    },
    "responses": {
        "202": {
            "description": "The profiles are durable.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Accepted"}}},
        },
        "400": _PROBLEM,
        "401": _PROBLEM,
        "403": _PROBLEM,
        "408": _PROBLEM,
        "413": _PROBLEM,
        "415": _PROBLEM,
        "429": _LATER,
        "503": _LATER,
    },
}

_TOKEN = {
    "summary": "Get an access token",
    "description": "OAuth 2 client credentials (in the form, or by Basic) and the password grant. Client id and user name are "
    "the source's name; the secret, and the password, one of its keys. A token holds for 24 hours.",
    "security": [],
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"enum": ["client_credentials", "password"]},
                        **{name: {"type": "string"} for name in ("client_id", "client_secret", "username", "password")},
                    },
                }
            }
        },
    },
    "responses": {
        "200": {
            "description": "The token.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["access_token", "token_type", "expires_in"],
                        "properties": {
                            "access_token": {"type": "string"},
                            "token_type": {"const": "Bearer"},
                            "expires_in": {"type": "integer"},
                        },
                    }
                }
            },
        },
        "400": {"description": "The request is wrong.", **_TOKEN_ERROR},
        "401": {"description": "The client is not known.", **_TOKEN_ERROR},
        "408": {"description": "The form did not come to its end in time.", **_TOKEN_ERROR},
        "503": {
            "description": "Redis cannot be asked, or the source's record does not open; come again.",
            **_TOKEN_ERROR,
        },
    },
}

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "activation-pipeline intake", "version": version("activation-pipeline")},
    "paths": {
        "/v1/destinations/{destination}/profiles": {"post": _PROFILES},
        "/oauth/token": {"post": _TOKEN},
        "/livez": _page("The process runs", "application/json"),
        "/readyz": _page("It can take profiles", "application/json", later=True),
        "/metrics": _page("Metrics for Prometheus", "text/plain", later=True),
        "/openapi.json": _page("This description", "application/json"),
    },
    "components": {
        "securitySchemes": {
            "key": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": KEY_HEADER.decode()},
            "oauth": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/oauth/token", "scopes": {}}}},
        },
        "responses": {
            "Problem": {
                "description": "Not taken; `code` says why.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
            "Later": {
                "description": "Not taken, and not for what was sent: come again.",
                "headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
        "schemas": {
            "Profile": {
                "type": "object",
                "description": "XDM, as an HTTP API destination of Adobe Experience Platform exports it.",
                "properties": {
                    "identityMap": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "properties": {"id": {"type": "string"}, "primary": {"type": "boolean"}},
                            },
                        },
                    },
                    "segmentMembership": {"type": "object"},
                    "occurredAt": {"type": "string", "format": "date-time"},
                },
            },
            "Accepted": {
                "type": "object",
                "required": ["job", "accepted", "excluded"],
                "properties": {
                    "job": {"type": "string"},
                    "accepted": {"type": "integer", "minimum": 0},
                    "excluded": {"type": "integer", "minimum": 0},
                },
            },
            "Problem": {
                "type": "object",
                "required": ["type", "title", "status", "detail", "code"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "code": {"type": "string"},
                },
            },
            "TokenError": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
        },
    },
}
