"""House rules about text: what no file may contain, and what every command prints."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from appliance.cli import COMMANDS, cli

PROJECT = Path(__file__).parents[2]
FOLDERS = ("appliance", "data", "docs", "ipxe", "systemd", "tests", ".ci")
SUFFIXES = {".py", ".md", ".yaml", ".toml", ".ipxe", ".service", ".sh", ".js", ".css", ".html", ".txt", ""}
# A home directory, or a directory of the machine on which the file was written.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|Users|home/[a-z]\w*|root/(?!\.(?:docker|ssh)))(?:/|\b(?=['\"`]))")


def written() -> list[Path]:
    """Return every file of the project that is not generated."""
    found = [path for path in PROJECT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        found += [path for path in (PROJECT / folder).rglob("*") if path.is_file()]
    unwritten = ("__pycache__", "artifacts")
    return [path for path in found if path.suffix in SUFFIXES and not set(unwritten) & set(path.parts)]


TEXTS = {path.relative_to(PROJECT): path.read_text() for path in written() if path != Path(__file__)}


def matches(pattern: "re.Pattern[str]") -> list[str]:
    """Return each match of *pattern* as "file:line: match"."""
    return [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in TEXTS.items()
        for match in pattern.finditer(text)
    ]


def test_files_are_found() -> None:
    assert {Path("README.md"), Path("appliance/app.py"), Path("Makefile"), Path(".ci/run")} <= set(TEXTS)


def test_no_file_names_a_directory_of_its_authors_machine() -> None:
    assert matches(MACHINE_PATH) == []


def test_a_todo_has_a_number() -> None:
    assert matches(re.compile(r"\b(?:TODO|FIXME|XXX)\b(?!\(#?\d+\))")) == []


def test_nothing_is_kept_as_a_comment_of_dead_code_or_a_conflict() -> None:
    assert matches(re.compile(r"^(?:<{7}|>{7}|={7})(?: |$)", re.MULTILINE)) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_command_says_how_it_is_used(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "appliance", command, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: ocp-appliance {command} ")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_is_for(command: str) -> None:
    options = [each for each in _command(command).params if isinstance(each, click.Option)]
    assert [option.name for option in options if not option.help] == []


def _command(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def test_every_command_file_is_a_command() -> None:
    files = {path.stem for path in (PROJECT / "appliance" / "cli").glob("[a-z]*.py")}
    assert files == set(COMMANDS)
