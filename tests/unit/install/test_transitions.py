"""The table of transitions: it covers every state and event, the code follows it, and the manual shows it."""

import ast
from itertools import chain
from pathlib import Path

import pytest

from appliance import events
from appliance.events import Event
from appliance.install.evidence import Evidence
from appliance.install.installation import Stage
from appliance.install.lifecycle import ALWAYS, NEVER, TABLES, TRANSITIONS, State, Transition
from appliance.model import Install

PROJECT = Path(__file__).parents[3]
INSTALL = PROJECT / "appliance" / "install"
MANUAL = PROJECT / "docs" / "lifecycle.md"

# Events that prove nothing about the progress of an installation: they report what the appliance has done or
# concluded, concern files or unknown machines, or lead to another event.
PROVES_NOTHING = {
    events.DhcpRefused,
    events.DhcpReleased,
    events.DhcpUnknown,
    events.DhcpMisplaced,
    events.DhcpRelayRefused,
    events.RogueDhcp,
    events.RouterUnmanaged,
    events.RouterAbsent,
    events.TftpStarted,  # UEFI begins a first transfer only for the size of the file
    events.TftpAborted,
    events.WebProgress,
    events.WaitEnded,
    events.ImageVerified,
    events.ImageDamaged,
    events.IgnitionLoaded,
    events.IgnitionRefused,
    events.StageReached,
    events.RecipeChosen,
    events.ConditionRaised,
    events.CertificatesDying,
    events.KeysUnneeded,
    events.MemberMoved,
    events.MemberAnswers,
    events.MemberFails,
    events.BalancerConfigured,
    events.BalancerTrouble,
    events.BalancerRecovered,
    events.StateTrouble,
    events.ClockSet,
    events.Reloaded,
    events.ReloadRefused,
}


@pytest.mark.parametrize("install", Install)
@pytest.mark.parametrize("evidence", Evidence)
def test_table_holds_every_state_once_and_in_order(install: Install, evidence: Evidence) -> None:
    rows = TABLES[install][evidence]
    assert list(chain.from_iterable(range(row.first, row.last + 1) for row in rows)) == list(State)


def test_every_stage_is_a_state_of_the_table() -> None:
    assert [state.name for state in State if state is not State.SETTLED] == [stage.name for stage in Stage]


def test_every_kind_of_event_is_evidence_or_listed_as_proving_nothing() -> None:
    tree = ast.parse((INSTALL / "evidence.py").read_text())
    matched = {
        pattern.cls.attr
        for pattern in ast.walk(tree)
        if isinstance(pattern, ast.MatchClass) and isinstance(pattern.cls, ast.Attribute)
    }
    kinds = {kind.__name__ for kind in Event.__subclasses__() if kind.__module__ == events.__name__}
    assert kinds - matched == {kind.__name__ for kind in PROVES_NOTHING}


@pytest.mark.parametrize("module", sorted(INSTALL.glob("*.py")), ids=lambda path: path.stem)
def test_module_of_install_looks_at_nothing_above_it_and_at_no_clock(module: Path) -> None:
    imports = {node.module for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.ImportFrom)}
    imports |= {
        name.name
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Import)
        for name in node.names
    }
    own = {name for name in imports if name and name.startswith("appliance")}
    below = tuple(f"appliance.{room}" for room in ("install", "boot", "events", "model", "files", "openshift"))
    assert {name for name in own if not name.startswith(below)} <= {"appliance"}
    assert imports & {"time", "logging", "asyncio", "socket", "sqlite3", "threading"} == set()


def states(row: Transition) -> str:
    first, last = row.first.name.lower(), row.last.name.lower()
    return first if first == last else f"{first} to {last}"


def lines(table: dict[Evidence, tuple[Transition, ...]]) -> list[str]:
    return [
        f"| {evidence.value} | {states(row)} | {row.to.name.lower() if row.to is not None else ''} "
        f"| {row.effect.__name__.replace('_', ' ')}{f' `{row.name}`' if row.name else ''} |"
        for evidence, rows in table.items()
        for row in rows
        if row.effect is not None and (table is TRANSITIONS or row not in TRANSITIONS[evidence])
    ]


@pytest.mark.parametrize("table", [TRANSITIONS, ALWAYS, NEVER], ids=["once", "always", "never"])
def test_manual_shows_the_table_and_where_others_differ(table: dict[Evidence, tuple[Transition, ...]]) -> None:
    assert "\n".join(lines(table)) in MANUAL.read_text()


def test_manual_explains_every_effect() -> None:
    effects = {row.effect for table in TABLES.values() for rows in table.values() for row in rows if row.effect}
    text = MANUAL.read_text()
    explained = [f"- **{effect.__name__.replace('_', ' ')}**: {effect.__doc__.splitlines()[0]}" for effect in effects]
    assert [line for line in explained if line not in text] == []
