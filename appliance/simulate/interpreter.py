"""An interpreter of iPXE scripts.

Each token is expanded just before its command runs; a failing line ends the script;
`exit` ends the current script, not the script that chained to it. Everything is bounded.
"""

from appliance.simulate.commands import COMMANDS, EndedSignal, ScriptState
from appliance.simulate.script import (
    SCRIPT_MAGIC,
    CommandError,
    Ending,
    How,
    IpxeImage,
    ScriptError,
    Surroundings,
    commands_of,
    logical_lines,
    options_of,
)
from appliance.simulate.settings import Settings

MAX_COMMANDS = 20_000  # a menu takes 30; a script that waits for api-int for an hour takes a few thousand
MAX_CHAIN = 16  # nested scripts; ours need three


class Interpreter:
    """One run of iPXE, from its first script to its end."""

    def __init__(self, settings: Settings, around: Surroundings, *, choice: str = "") -> None:
        """*choice* is the menu entry that a user at the console chooses; "" when nobody is there."""
        self.state = ScriptState(settings, around, self._script, choice)
        self.commands = 0
        self._depth = 0

    async def run(self, script: IpxeImage) -> Ending:
        """Return how *script* ended. Raises ScriptError."""
        try:
            status = await self._script(script)
        except EndedSignal as ended:
            return ended.ending
        return Ending(How.EXIT, status)

    async def _script(self, script: IpxeImage) -> int:
        """Return the status of the script's `exit`, or 0 at its end. Raises ScriptError."""
        if self._depth >= MAX_CHAIN:
            raise ScriptError(f"{script.url} is nested {MAX_CHAIN + 1} scripts deep")
        state = self.state
        came_from = state.url
        self._depth += 1
        try:
            while True:
                if not script.body.startswith(SCRIPT_MAGIC):
                    raise ScriptError(f"{script.url} is not a script: it does not begin with #!ipxe")
                state.url = script.url
                state.settings.store("cwuri", script.url.encode())
                status = await self._lines(logical_lines(script.body.decode("utf-8", "replace")))
                if state.replacement is None:
                    return status
                script, state.replacement = state.replacement, None
        finally:
            self._depth -= 1
            state.url = came_from

    async def _lines(self, lines: list[str]) -> int:
        state, at = self.state, 1
        while at < len(lines):
            line = lines[at].strip()
            at += 1
            if not line or line.startswith((":", "#")):
                continue
            try:
                await self._line(line)
            except CommandError as error:
                raise ScriptError(f"{state.url}, line {at}: {line!r} failed: {error}") from error
            if state.replacement:
                return 0
            if state.exit_status is not None:
                status, state.exit_status = state.exit_status, None
                return status
            if state.goto:
                at = _label(lines, state.goto, f"{state.url}, line {at}")
                state.goto = ""
        return 0

    async def _line(self, line: str) -> None:
        """Run the commands of one line. Raises CommandError with the error of the last command."""
        state = self.state
        error: CommandError | None = None
        for joint, tokens in commands_of(line):
            if (joint == "||" and error is None) or (joint == "&&" and error is not None):
                continue
            error = None
            try:
                await self._command(tokens)
            except CommandError as failed:
                error = failed
            except ScriptError as failed:
                error = CommandError(str(failed))
            if state.goto or state.replacement or state.exit_status is not None:
                return
        if error:
            raise error

    async def _command(self, tokens: list[str]) -> None:
        self.commands += 1
        if self.commands > MAX_COMMANDS:
            raise EndedSignal(Ending(How.WAITS, text=f"after {MAX_COMMANDS} commands: the script loops"))
        try:
            name, *arguments = [self.state.settings.expand(token) for token in tokens] or [""]
        except ValueError as error:
            raise CommandError(f"{' '.join(tokens)!r}: {error}") from error
        command = COMMANDS.get(name)
        if command is None:
            raise CommandError(f"{name}: command not found in this iPXE")
        await command(self.state, *options_of(name, arguments))


def _label(lines: list[str], label: str, where: str) -> int:
    """Return the number of the line after *label*. Raises ScriptError."""
    for number, line in enumerate(lines):
        if line.strip().split()[:1] == [f":{label}"]:
            return number + 1
    raise ScriptError(f"{where}: label {label!r} not found")
