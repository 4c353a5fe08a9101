"""The rules of ARCHITECTURE.md that a program can check."""

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
# The simulated machines are the other end of the wire, and have their own rules.
SERVICE = [path for path in MODULES if PACKAGE / "simulate" not in path.parents]
PROTOCOLS = ("dns", "dhcp", "dhcp6", "ra", "tftp", "web")

PACKET_LIBRARIES = {"dnslib", "scapy", "tftpy"}
# What protocol.py must not use: the network, the clock, the log and the files.
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
    """Yield the modules that *path* imports, including imports inside functions."""
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


def named_modules(text: str) -> list[str]:
    """Return the modules that the tables of ARCHITECTURE.md name in their first columns, by their paths in appliance/.

    A name without a folder is in that of the name before it in the same cell: `dns/zone.py`, `tree.py`.
    """
    found = []
    for cell in re.findall(r"^\|([^|]*)\|", text, re.MULTILINE):
        folder = ""
        for path in re.findall(r"`(?:appliance/)?([\w/]+\.py)`", cell):
            folder = path[: path.rfind("/") + 1] or folder
            found.append(path if "/" in path else folder + path)
    return found


def test_name_without_a_folder_is_in_the_folder_before_it() -> None:
    text = "| `appliance/app.py` | `x.py` |\n| `dns/zone.py`, `tree.py` | zones |\n| `logs.py` | the log |\n"
    assert named_modules(text) == ["app.py", "dns/zone.py", "dns/tree.py", "logs.py"]


def test_architecture_names_every_module_once() -> None:
    """A folder's __init__.py says for itself what the folder offers."""
    modules = [str(path.relative_to(PACKAGE)) for path in MODULES if path.name != "__init__.py"]
    named = named_modules((PROJECT / "ARCHITECTURE.md").read_text())
    assert sorted(set(modules) - set(named)) == []  # not named
    assert sorted(set(named) - set(modules)) == []  # gone
    assert sorted(name for name in set(named) if named.count(name) > 1) == []  # named twice


def floors(text: str) -> list[set[str]]:
    """Return the floors of the import graph from the picture in ARCHITECTURE.md, lowest first.

    A module imports from lower floors and from its own room, which is a folder of appliance/ or a module beside
    them; so rooms on one floor know nothing of each other.
    """
    (picture,) = re.findall(r"^## Floors\n.*?^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    # Names are separated by spaces; the remark behind them by a dash.
    return [set(line.partition(" — ")[0].split()) for line in reversed(picture.splitlines())]


FLOORS = floors((PROJECT / "ARCHITECTURE.md").read_text())
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# The commands start the simulated machines; each command is imported when it is called.
SIDEWAYS = {("cli", "simulate")}


def _room(module: str) -> str:
    """Return the room of appliance.<room>…, or "" for the package itself, which only has the version."""
    return module.removeprefix("appliance").removeprefix(".").partition(".")[0]


def _imported_rooms(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {_room(alias.name) for alias in node.names if _top(alias.name) == "appliance"}
        elif isinstance(node, ast.ImportFrom) and node.module == "appliance":
            found |= {alias.name for alias in node.names if not alias.name.startswith("__")}
        elif isinstance(node, ast.ImportFrom) and node.module and _top(node.module) == "appliance":
            found.add(_room(node.module))
    return found


def _room_of_file(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def test_every_module_has_a_floor() -> None:
    assert {_room_of_file(path) for path in MODULES} - {"__init__"} - set(FLOOR_OF) == set()


def test_imports_lead_down_the_floors() -> None:
    upward = [
        f"{_name(path)} imports {room}"
        for path in MODULES
        if (own := _room_of_file(path)) != "__init__"
        for room in sorted(_imported_rooms(path) - {own})
        if FLOOR_OF[room] >= FLOOR_OF[own] and (own, room) not in SIDEWAYS
    ]
    assert upward == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "install").glob("*.py")), ids=lambda path: path.stem)
def test_install_is_pure_throughout(path: Path) -> None:
    """datetime is allowed, because formatting a date needs no clock, but reading the time from it is not."""
    assert {_top(module) for module in _imports(path)} & (BLIND_TO - {"datetime"}) == set()
    asked = [node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    assert {"now", "utcnow", "today"} & set(asked) == set()


def test_sql_is_in_one_file() -> None:
    assert [_name(path) for path in MODULES if "sqlite3" in path.read_text()] == ["appliance/state/sqlite.py"]


# What a server.py, which moves bytes and decides nothing, may import besides its own folder, and why.
SERVER_IMPORTS = {
    "appliance": {"sockets"},
    "appliance.allowance": {"Allowance", "Allowances", "Sample"},  # how many events clients may cause
    "appliance.errors": {"ListenError"},
    "appliance.events": None,  # to publish; test_server_decides_nothing looks at how each is used
    "appliance.install.installation": {"Installation"},  # the type of what it hands on
    "appliance.install.recipes": {"NO_BEGINNINGS", "Beginnings"},  # the same, and what there is without it
    # The settings that its sockets are opened by; DHCP without a socket, or beside another server, looks for no rogue.
    "appliance.model": {"BOOT_SERVER_DISTANCE", "DHCP6_DISTANCE", "DHCP_PORT", "DhcpMode", "Endpoint", "Listen"},
    "appliance.dhcp.interfaces": None,  # what this machine has
    "appliance.dhcp.telling": None,  # which events are published
    "appliance.ipv6_interfaces": None,
    "appliance.neighbours": {"MacOf", "MacOnLink", "unknown_mac"},  # types of what it asks, what there is without it
    "appliance.remembered": None,  # replies to repeated requests
    "appliance.sockets": None,
}


def server_decisions(source: str, protocol: str) -> list[str]:
    """Return what *source*, the server.py of *protocol*, imports or reads in order to decide something."""
    tree = ast.parse(source)
    found: list[tuple[int, str]] = []
    events_used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _top(node.module or "") == "appliance":
            names = {alias.name for alias in node.names}
            events_used |= names if node.module == "appliance.events" else set()
            found += [(node.lineno, f"imports {name}") for name in _not_for_servers(node.module or "", names, protocol)]
    handed_on = _handed_on(tree)
    for node in ast.walk(tree):
        if node not in handed_on:
            found += [(line, f"looks at {what}") for line, what in _looked_at(node, events_used)]
    return [f"{line}: {what}" for line, what in sorted(set(found))]


def _not_for_servers(module: str, names: set[str], protocol: str) -> list[str]:
    own = f"appliance.{protocol}"
    if module == own or module.startswith(f"{own}."):
        return []
    if module not in SERVER_IMPORTS:
        return [module]
    allowed = SERVER_IMPORTS[module]
    return [] if allowed is None else [f"{module}.{name}" for name in sorted(names - allowed)]


def _handed_on(tree: ast.AST) -> set[ast.AST]:
    """Return the calls of installations.get whose result is passed on as an argument: the callee decides."""
    arguments = [
        argument
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]
    ]
    calls = [argument.func for argument in arguments if isinstance(argument, ast.Call)]
    return {func for func in calls if isinstance(func, ast.Attribute) and func.attr == "get"}


def _looked_at(node: ast.AST, event_names: set[str]) -> Iterator[tuple[int, str]]:
    """Yield what *node* reads: servers may pass on installations and tables, and make and publish events."""
    if isinstance(node, ast.Attribute | ast.Subscript):
        inner = [node.value]
    elif isinstance(node, ast.Compare):
        inner = [node.left, *node.comparators]
    elif isinstance(node, ast.For | ast.comprehension):
        inner = [node.iter]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
        inner = [name for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)]
    elif isinstance(node, ast.MatchClass | ast.MatchValue):
        inner = [node.cls if isinstance(node, ast.MatchClass) else node.value]
    else:
        return
    for value in inner:
        name = value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""
        if name.endswith("installations") or name in event_names:
            yield value.lineno, name
        # A server may read values of its table, such as names of files, but not compare tables.
        if name == "table" and isinstance(node, ast.Compare):
            yield value.lineno, name


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_server_decides_nothing(protocol: str) -> None:
    assert server_decisions((PACKAGE / protocol / "server.py").read_text(), protocol) == []


@pytest.mark.parametrize(
    "line",
    [
        "from appliance.install.guard import ignition_verdict",
        "from appliance.install.installation import Order",
        "from appliance.boot.loaders import find_loader",
        "from appliance.tables import Tables",
        "from appliance.dhcp.compile import DhcpTable",
        "order = self._installations.get(host)",
        "order = installations[host]",
        "if host in self._installations: pass",
        "from appliance.events import WebKind\nquiet = kind is WebKind.WAIT",
        "from appliance.events import DnsAsked\nif isinstance(result.event, DnsAsked): pass",
        "if table is not self._known_table: pass",
    ],
)
def test_decision_in_a_server_is_found(line: str) -> None:
    assert server_decisions(line, "web") != []


@pytest.mark.parametrize(
    "line",
    [
        "from appliance.web.protocol import judge\nanswer = judge(request, self._table(), self._installations, now)",
        "from appliance.events import DnsAsked\nself._publish(DnsAsked(host, client=client, name=name))",
        "self._sightings.note(host, self._installations.get(host))",
        "for site in table.sites: pass",
    ],
)
def test_moving_values_in_a_server_is_not_a_decision(line: str) -> None:
    assert server_decisions(line, "web") == []


def test_packet_libraries_are_for_compiling() -> None:
    # time_servers.py runs while the files are loaded, before tables are compiled from them.
    used = {
        _name(path): {module for module in _imports(path) if _top(module) in PACKET_LIBRARIES}
        for path in MODULES
        if path.name not in {"compile.py", "time_servers.py"}
    }
    assert {name: modules for name, modules in used.items() if modules} == {}


def test_scapy_is_for_tests_alone() -> None:
    """scapy is GPL-2.0-only and this project Apache-2.0, so the installed program must not depend on it."""
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
    """`ocp-appliance --help` must appear without a noticeable delay."""
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
