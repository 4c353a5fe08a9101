"""The transitions of what may be a running system: what makes a host wait, what proves a system, and what ends a doubt.

As in effects.py, an effect returns the same object that it was given when the evidence
changes nothing.
"""

from dataclasses import replace

from appliance.install.effects import Move, start_system
from appliance.install.evidence import Finding
from appliance.install.installation import (
    LAPSE_SECONDS,
    Condition,
    Installation,
    Rules,
    Stage,
    reach,
    without_doubt,
)


def prove_system(installation: Installation, move: Move, finding: Finding, at: float, rules: Rules) -> Installation:
    """Note that a system of the host was reached, which no forged datagram does: it settles a doubt about its disk."""
    if _is_live(installation, rules):
        return installation
    installation = start_system(installation, move, finding, at, rules)
    return installation if installation.doubt is None else without_doubt(installation)


def find_running(installation: Installation, move: Move, finding: Finding, at: float, rules: Rules) -> Installation:
    """Count a host without a history, or in doubt, as installed, because it runs a system of this cluster already.

    This holds for a host's first record only. All later ones begin with a reset or with
    `reinstall`; there the old system may still run and must not undo the operator's order.
    """
    if installation.number != 1 and installation.doubt is None:
        return installation
    return prove_system(installation, move, finding, at, rules)


def suspect(installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Doubt whether a host without a history may be wiped: somebody asked as a running node does, without proof."""
    known = installation.doubt
    if known is None and installation.number == 1:
        doubt = Condition(move.name, _suspicion(installation.host), at)
        return replace(installation, doubt=doubt, asked_at=at, looked_at=None)
    if known is None or known.name != move.name or not installation.is_sign_due(at):
        return installation
    return replace(installation, asked_at=at)


def _suspicion(name: str) -> str:
    return (
        "a query for api-int came from its address, as a running node of this cluster sends it; over UDP anyone can "
        "forge that, so it is not known whether the host is installed, and it waits: run "
        f"`ocp-appliance adopt {name}` if it is, which boots its disk, or `ocp-appliance reinstall {name}` to install "
        f"it, which wipes its disk. It installs {LAPSE_SECONDS / 60:.0f} minutes after the last such query if the "
        "appliance looked at its address then and found no running system"
    )


def look_in_vain(installation: Installation, _move: Move, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Note that no system was there right after the query, so that the doubt can end by itself."""
    return replace(installation, looked_at=at) if installation.awaits_look(at) else installation


def lapse(installation: Installation, _move: Move, finding: Finding, at: float, _rules: Rules) -> Installation:
    """End a doubt that nothing has confirmed; its repetitions while it waited are no loop."""
    lapses_at = installation.lapses_at
    # Since this was due, there may have been another query, or a new record.
    if lapses_at is None or at < lapses_at or finding.number != installation.number:
        return installation
    return replace(without_doubt(installation), repeats={})


def seem_running(installation: Installation, move: Move, _finding: Finding, at: float, rules: Rules) -> Installation:
    """Reach the stage of a running system, which decides nothing here; what depends on a proof stays as it is."""
    if _is_live(installation, rules):
        return installation
    return reach(reach(installation, Stage.INSTALLED, at), move.to, at)


def _is_live(installation: Installation, rules: Rules) -> bool:
    """Whether its live system may still run, which asks as a node does."""
    return rules.leads and installation.is_settled and installation.stage < Stage.INSTALLED
