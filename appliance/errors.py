"""The errors that the appliance reports to its operator, and the exit code of each.

    ApplianceError                    1   something the operator can fix; shown as one line, without a traceback
    ├── ConfigError                  78   cluster.yaml is not valid (EX_CONFIG); with every problem in it
    ├── ListenError                  71   a socket could not be opened (EX_OSERR)
    ├── ControlError                 69   the running appliance could not be reached (EX_UNAVAILABLE)
    ├── StateError                   74   the state on disk cannot be used (EX_IOERR)
    └── SimulationError               1   a simulated machine failed

Any other exception that reaches the top is a bug and is shown with its traceback.

A command that a signal ends has the exit code INTERRUPTED.

Internal errors are always caught, and never reach the operator as they are:

    StoreError             the state cannot be read or written; raised in state/, caught by the registry and in web/
    UnservableError        files.py: a file cannot be served, with HTTP status and reason
    BrokenTransferError    web/transfer.py: a file changed or ended while it was sent
    MessageError           dns/message.py: the bytes are not a DNS message
    UnheardError           balancer/runtime.py: HAProxy did not answer on a socket
    RecordDataError        dns/rdata.py: the text is not the data of a record of that type
"""

from collections.abc import Sequence
from dataclasses import dataclass

INTERRUPTED = 130  # as a shell has it for SIGINT: 128 + 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in a file: where it is, and what would be right."""

    file: str
    line: int  # from 1; 0 when the problem is the file itself
    path: str  # the place in the document, such as "hosts[2].macAddress"; "" for the whole file
    message: str  # what was found and what would be right
    is_warning: bool = False

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        what = f"{self.path}: {self.message}" if self.path else self.message
        return f"{where}: warning: {what}" if self.is_warning else f"{where}: {what}"


class ApplianceError(Exception):
    """Something that the operator can fix."""

    exit_code = 1


class ConfigError(ApplianceError):
    """cluster.yaml is not valid; *problems* holds everything that was found, in the order of the file."""

    exit_code = 78

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ListenError(ApplianceError):
    """A socket that cluster.yaml asks for could not be opened."""

    exit_code = 71


class ControlError(ApplianceError):
    """The running appliance could not be reached over its control socket, or refused the request."""

    exit_code = 69


class StateError(ApplianceError):
    """The state on disk cannot be used."""

    exit_code = 74


class StoreError(Exception):
    """The state could not be read or written: the disk is full or read-only, or the file is damaged."""


class SimulationError(ApplianceError):
    """A simulated machine failed to boot."""
