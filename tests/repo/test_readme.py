"""README.md and docs/ agree with the program: clusters can be served, and commands and options exist."""

import re
from pathlib import Path

import click
import pytest
import yaml

from appliance.cli import COMMANDS, cli
from appliance.config import check
from tests.manual import PAGES, ROOT, Block, blocks, commands, inline_calls, own_arguments

SNIPPETS = list(blocks("yaml"))
CLUSTERS = [block for block in SNIPPETS if "baseDomain" in block.text]
CALLS = [
    pytest.param(arguments, id=f"{block.where} {' '.join(arguments)}"[:80])
    for block in blocks("console")
    for words, _ in commands(block)
    for arguments in own_arguments(words)
]
INLINE = [
    pytest.param(arguments, id=f"{page.name} {' '.join(arguments)}"[:80])
    for page, arguments in inline_calls()
    if "…" not in "".join(arguments)  # a pattern, not a call
]


def where(block: Block) -> str:
    return block.where


def understood(arguments: list[str], directory: Path) -> None:
    """Raise UsageError unless `ocp-appliance` accepts *arguments*."""
    # Files and directories in a call must exist.
    (directory / "cluster.yaml").write_text(CLUSTERS[0].text)
    (directory / "images").mkdir()
    if arguments[0].startswith("-"):
        return
    assert arguments[0] in COMMANDS, arguments[0]
    context = click.Context(cli)
    command = cli.get_command(context, arguments[0])
    assert command is not None
    if len(arguments) > 1:  # a single word is the name of a command in a sentence
        command.make_context(arguments[0], arguments[1:], parent=context)


def test_the_readme_shows_a_cluster_and_the_commands() -> None:
    readme = ROOT / "README.md"
    assert any(block.page == readme for block in CLUSTERS)
    shown = {words[0] for block in blocks("console") if block.page == readme for words, _ in commands(block)}
    assert {"make", "ocp-appliance"} <= shown
    assert len(CALLS) > 5


@pytest.mark.parametrize("block", SNIPPETS, ids=where)
def test_snippet_is_yaml(block: Block) -> None:
    yaml.safe_load(block.text)


@pytest.mark.parametrize("block", CLUSTERS, ids=where)
def test_cluster_can_be_served(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(block.text)
    checked = check([path], tmp_path / "data")
    assert [str(problem) for problem in checked.errors] == []
    # Only images and Ignition files may cause warnings, because they are missing in this directory.
    assert [str(odd) for odd in checked.warnings if " not found" not in odd.message] == []


@pytest.mark.parametrize("arguments", CALLS)
def test_command_in_a_console_block_is_understood(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    understood(arguments, tmp_path)


@pytest.mark.parametrize("arguments", INLINE)
def test_command_in_a_sentence_is_understood(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    understood(arguments, tmp_path)


def test_every_make_target_of_the_manual_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "".join(page.read_text() for page in PAGES)
    assert set(re.findall(r"(?:^\$ |`)make ([a-z]+)", text, re.MULTILINE)) <= targets


def test_every_page_is_reached_from_the_readme() -> None:
    reached = re.findall(r"\]\((?:docs/)?([a-z-]+\.md)\)", (ROOT / "README.md").read_text())
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - set(reached) == set()
