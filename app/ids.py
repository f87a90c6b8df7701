"""What may be an id or a name: one rule for each kind, wherever it is given or described. Pure.

A rule is for what is given. What is stored is read as it is, so that a stricter rule would lock no record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.errors import UsageError


@dataclass(frozen=True, slots=True)
class IdRule:
    """`pattern` is for all of a text, as OpenAPI and HTML forms take it; `allowed` is the same in words.

    `called` is what has to follow the rule, where nobody has another name for it. No error quotes what was given.
    """

    called: str
    pattern: str
    allowed: str
    example: str

    @property
    def whole(self) -> str:
        """The pattern for who looks at the beginning of a text alone, as marshmallow does."""
        return rf"{self.pattern}\Z"

    @property
    def must(self) -> str:
        return f"must be {self.allowed}"

    def allows(self, value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None

    def check(self, value: object) -> None:
        """Raises `UsageError`."""
        if not self.allows(value):
            raise UsageError(f"{self.called}: {self.must}.", remedy=f"Choose one such as {self.example}.")


# a part of keys, and some are of logs and metrics; the hyphen is escaped for browsers, which take it no other way
_SLUG = r"[a-z0-9][a-z0-9\-]{0,62}"
_SLUG_ALLOWED = "1 to 63 of a-z, 0-9 and -, with a letter or digit first"

DESTINATION_ID = IdRule("destination", _SLUG, _SLUG_ALLOWED, "spring-campaign")
SOURCE_NAME = IdRule("A source's name", _SLUG, _SLUG_ALLOWED, "crm-export")
SENDER_NAME = IdRule("A sender's name", _SLUG, _SLUG_ALLOWED, "crm-export")
KEY_NAME = IdRule("A key's name", _SLUG, _SLUG_ALLOWED, "nightly-replay")
USER_NAME = IdRule(
    "A user's name",
    r"[a-zA-Z0-9][a-zA-Z0-9._@+\-]{0,99}",
    "1 to 100 letters, digits and . _ @ + -, with a letter or digit first",
    "ann or ann@mail.test",
)
# a part of keys, and shown
JOB_ID = IdRule("job_id", r"[A-Za-z0-9_.:+\-]{1,128}", "1 to 128 letters, digits and _ . : + -", "crm-2026-11-22")
# Celery logs it and tells it to Flower; a job that is named by a longer one than a job's has its digest
MESSAGE_ID = IdRule("id", r"[A-Za-z0-9_.:+\-]{1,255}", "1 to 255 letters, digits and _ . : + -", "crm-2026-11-22")
