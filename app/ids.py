"""The rules for ids and names: one for each kind, wherever it is given or described. Pure.

A rule applies to what is given. What is stored is read as it is, so that a stricter rule makes no record unreadable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.errors import UsageError


@dataclass(frozen=True, slots=True)
class IdRule:
    """The rule for one kind of id or name. No error quotes what was given.

    `called`: what has to follow the rule, for texts that have no other name for it. `pattern`: for the whole text, in the
      form that OpenAPI and HTML forms take. `allowed`: the same in words.
    """

    called: str
    pattern: str
    allowed: str
    example: str

    @property
    def whole(self) -> str:
        """The pattern with an end, for libraries that match only the beginning of a text, such as marshmallow."""
        return rf"{self.pattern}\Z"

    @property
    def must(self) -> str:
        return f"must be {self.allowed}"

    def allows(self, value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None

    def check(self, value: object) -> None:
        """Check that a value follows the rule. Raises: `UsageError`."""
        if not self.allows(value):
            raise UsageError(f"{self.called}: {self.must}.", remedy=f"Choose one such as {self.example}.")


# part of Redis keys, some also of logs and metrics; browsers accept the hyphen only when it is escaped
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
# part of Redis keys, and displayed
JOB_ID = IdRule("job_id", r"[A-Za-z0-9_.:+\-]{1,128}", "1 to 128 letters, digits and _ . : + -", "crm-2026-11-22")
# Celery logs it and shows it in Flower; if it is too long for a job id, its digest names the job
MESSAGE_ID = IdRule("id", r"[A-Za-z0-9_.:+\-]{1,255}", "1 to 255 letters, digits and _ . : + -", "crm-2026-11-22")
