"""Which members of a front end get connections, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Admin(StrEnum):
    """What is wanted of a member, by HAProxy's words; whether it gets connections is then up to its health check."""

    READY = "ready"
    DRAIN = "drain"  # keeps its connections, and gets no new ones
    MAINT = "maint"  # gets no new ones, and is not checked


@dataclass(frozen=True, slots=True)
class Standing:
    """What is wanted of one member of one front end, and why."""

    admin: Admin = Admin.READY
    why: str = ""  # in the operator's words; "" for a member that is ready as usual


# By the front end's name and the host's full name; a member that is missing is ready.
Standings: TypeAlias = Mapping[tuple[str, str], Standing]
