"""The house's rules (ARCHITECTURE.md) that a machine can judge."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import events
from appliance.cli import COMMANDS

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "appliance"
MODULES = sorted(PACKAGE.rglob("*.py"))
# The simulated machines are the other end of the wire, with rules of their own.
SERVICE = [path for path in MODULES if PACKAGE / "simulate" not in path.parents]
PROTOCOLS = ("dns", "dhcp", "tftp", "web")

PACKET_LIBRARIES = {"dnslib", "scapy", "tftpy"}
# What protocol.py may not know: the network, the time, the log, the file.
BLIND_TO = PACKET_LIBRARIES | {
    "aiohttp",
    "asyncio",
    "datetime",
    "logging",
    "os",
    "random",
    "secrets",
    "select",
    "socket",
}
BLIND_TO |= {"ssl", "sqlite3", "threading", "time", "yaml"}


def _name(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def _imports(path: Path) -> Iterator[str]:
    """Yield the modules that *path* imports, also inside its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _top(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocol_is_blind(protocol: str) -> None:
    assert {_top(module) for module in _imports(PACKAGE / protocol / "protocol.py")} & BLIND_TO == set()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocol_knows_nothing_of_its_server(protocol: str) -> None:
    assert f"appliance.{protocol}.server" not in set(_imports(PACKAGE / protocol / "protocol.py"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_folder_of_a_protocol_has_its_three_files(protocol: str) -> None:
    found = {path.name for path in (PACKAGE / protocol).glob("*.py")}
    assert {"compile.py", "protocol.py", "server.py"} <= found


def test_packet_libraries_are_for_compiling() -> None:
    used = {
        _name(path): {module for module in _imports(path) if _top(module) in PACKET_LIBRARIES}
        for path in MODULES
        if path.name != "compile.py"
    }
    assert {name: modules for name, modules in used.items() if modules} == {}


def test_scapy_is_for_tests_alone() -> None:
    """scapy is GPL-2.0-only and this project Apache-2.0: what is installed and served may not rest on it."""
    assert [_name(path) for path in MODULES if any(_top(module) == "scapy" for module in _imports(path))] == []
    runtime = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert [line for line in runtime if line.startswith("scapy")] == []


def test_socket_options_are_set_in_one_place() -> None:
    setting = [_name(path) for path in SERVICE if "setsockopt" in path.read_text()]
    assert setting == ["appliance/sockets.py"]


def test_service_does_not_rest_on_the_simulation() -> None:
    resting = [
        _name(path)
        for path in SERVICE
        if path.parent != PACKAGE / "cli" and any(module.startswith("appliance.simulate") for module in _imports(path))
    ]
    assert resting == []


def test_every_module_says_its_job_first() -> None:
    trees = {_name(path): ast.parse(path.read_text()) for path in MODULES}
    assert [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []


def test_modules_are_named_after_what_they_hold() -> None:
    assert {path.stem for path in MODULES} & {"helpers", "utils", "util", "misc", "common"} == set()


def test_help_imports_nothing_heavy() -> None:
    """`ocp-appliance --help` answers before an operator wonders."""
    heavy = ["aiohttp", "asyncio", "dnslib", "netaddr", "prometheus_client", "pydantic", "rich", "sqlite3", "yaml"]
    script = f"import sys, appliance.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_there(command: str) -> None:
    assert importlib.import_module(f"appliance.cli.{command}").command.name


def test_kinds_of_events_are_told_apart() -> None:
    kinds = [
        found.kind
        for found in vars(events).values()
        if isinstance(found, type) and issubclass(found, events.Event) and found is not events.Event
    ]
    assert len(kinds) == len(set(kinds))


def test_links_of_the_manual_lead_somewhere() -> None:
    links = [
        (_name(path), path.parent / target)
        for path in [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]
        for target in re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)", path.read_text())
    ]
    assert [(name, _name(target)) for name, target in links if not target.exists()] == []


def test_every_target_of_make_is_listed_by_help() -> None:
    text = (PROJECT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    done = subprocess.run(["make", "-s", "help"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert {line.split()[0] for line in done.stdout.splitlines() if line} == set(phony.split())
