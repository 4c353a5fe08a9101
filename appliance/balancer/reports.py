"""What HAProxy says of its servers, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Report:
    """The state of one member of one front end."""

    is_up: bool  # gets connections if it is ready, or would
    is_checked: bool  # a health check has ended, so that `is_up` is more than an assumption
    admin: str  # ready, drain or maint, as HAProxy has it
    since: float  # when it changed between up and down, in seconds UTC
    check: str  # the result of the last health check, in words: "passed: HTTP 200", "failed: connection refused"
    checked_ms: int | None  # how long that check took
    current: int  # connections now
    total: int  # connections since HAProxy started


# By the front end's name and the host's full name.
Reports: TypeAlias = Mapping[tuple[str, str], Report]
