"""The fenced blocks of README.md and docs/, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md")
PROGRAM = "ocp-appliance"
# Programs that run another program: the words after them are its command line.
WRAPPERS = {"sudo", "systemd-run"}
OPERATORS = {"|", "||", "&&", ";", ">", ">>", "<", "&"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    page: Path
    line: int  # of its first line, from 1
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> Iterator[Block]:
    """Yield the blocks of *languages* on all pages."""
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if match[1] in languages:
                yield Block(page, text.count("\n", 0, match.start(2)) + 1, match[1], match[2])


def commands(block: Block) -> Iterator[tuple[list[str], list[str]]]:
    """Yield each command of a console block as words, shell operators included, and its output as lines."""
    lines = iter(block.text.replace("\\\n", "").splitlines())
    words: list[str] = []
    printed: list[str] = []
    for line in lines:
        if line[:2] in ("$ ", "# "):
            if words:
                yield words, printed
            words, printed = split(line[2:]), []
        else:
            printed.append(line)
    if words:
        yield words, printed


def split(line: str) -> list[str]:
    """Return a command line as words, without its comment and the brackets around optional parts."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return [word.strip("[]") for word in lexer]


def own_arguments(words: list[str]) -> Iterator[list[str]]:
    """Yield the arguments of each call of `ocp-appliance` among *words*."""
    segment: list[str] = []
    for word in [*words, ";"]:
        if word not in OPERATORS:
            segment.append(word)
            continue
        names = [Path(each).name for each in segment]
        if PROGRAM in names and (names[0] == PROGRAM or names[0] in WRAPPERS):
            yield segment[names.index(PROGRAM) + 1 :]
        segment = []


def inline_calls() -> Iterator[tuple[Path, list[str]]]:
    """Yield the arguments of each call of `ocp-appliance` between backticks in a line of text."""
    for page in PAGES:
        outside = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for match in re.finditer(rf"`({PROGRAM} [^`\n]+)`", outside):
            yield from ((page, arguments) for arguments in own_arguments(split(match[1])))
