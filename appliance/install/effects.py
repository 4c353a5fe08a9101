"""What each transition does to a record, beyond naming the next stage.

The one rule: an effect returns the same object that it was given when the evidence
is no news. The registry writes nothing to disk then.

An effect leads to the stage of its move or leaves the stage as it is; no effect
names a stage of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from appliance.install.evidence import Finding
from appliance.install.installation import (
    TOLD_TO_WAIT,
    Condition,
    Installation,
    Rules,
    Stage,
    again,
    begin,
    reach,
)
from appliance.install.installation import count as counted

# A machine that finds nothing to boot goes through its self-test and its other boot entries, and asks again
# within this time. Two requests that are further apart are two starts of a machine whose system boots, and
# whose system we never hear.
KNOCKING_GAP_SECONDS = 900.0

Effect = Callable[[Installation, "Move", Finding, float, Rules], Installation]


@dataclass(frozen=True, slots=True)
class Move:
    """What a piece of evidence does at a state."""

    effect: Effect
    to: Stage | None = None  # the next stage; None when the stage stays
    name: str = ""  # the key in Installation.repeats that it counts, or the name of the condition that it raises


def arrive(installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Reach the next stage."""
    return reach(installation, move.to, at, move.name)


def count(installation: Installation, move: Move, _finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Count a repetition; `conditions.judged` makes a loop of enough of them."""
    return counted(installation, move.name)


def complain(installation: Installation, move: Move, finding: Finding, at: float, _rules: Rules) -> Installation:
    """Raise a condition that lasts until the next stage."""
    return replace(installation, complaint=Condition(move.name, finding.hint, at))


# How a try ends, and the next one begins


def start_again(installation: Installation, move: Move, _finding: Finding, at: float, rules: Rules) -> Installation:
    """End this try and begin a new record: the machine was reset and has lost what it had in memory."""
    return reach(again(installation, rules), move.to, at)


def finish(installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Count the host as installed: it is back, and has had the time to write its disk."""
    return replace(reach(installation, move.to, at), tries=0, early_returns=0)


def knock(installation: Installation, _move: Move, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Note that the firmware of an installed host asks: it boots over the network although it has a system."""
    goes_on = installation.knocked_at is not None and at - installation.knocked_at < KNOCKING_GAP_SECONDS
    return replace(installation, knocking_since=installation.knocking_since if goes_on else at, knocked_at=at)


def start_system(installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Note that a system started from the disk, which proves that the host is installed."""
    to = installation.stage if move.to is None else move.to
    if installation.stage >= to and installation.knocking_since is None:
        return installation
    # It was installed before it booted, though nothing showed that; `explain` lists both.
    installed = reach(reach(installation, Stage.INSTALLED, at), to, at)
    return replace(installed, knocking_since=None, knocked_at=None, tries=0, early_returns=0)


def find_running(installation: Installation, move: Move, finding: Finding, at: float, rules: Rules) -> Installation:
    """Count a host of which nothing is known as installed: it runs a system of this cluster already.

    The second record of a host and any later one begin with a reset or with `reinstall`.
    There the old system may still run, and it must not undo the operator's order.
    """
    return start_system(installation, move, finding, at, rules) if installation.number == 1 else installation


def settle(installation: Installation, _move: Move, finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Note that the time to write the disk has passed."""
    # The clock may have been set for a record that has ended since.
    is_for_this = finding.number == installation.number
    if installation.ready_at is None or installation.is_settled or not is_for_this:
        return installation
    return replace(installation, is_settled=True)


# Scripts and downloads


def send_script(installation: Installation, move: Move, _finding: Finding, at: float, rules: Rules) -> Installation:
    """Open the window for Ignition; begin a new record if this one has had its Ignition or is installed.

    A machine that fetches its script after its Ignition was reset, though no DHCP of ours showed that:
    another server may give it its addresses.
    """
    if installation.is_told_to_wait:
        repeats = {name: times for name, times in installation.repeats.items() if name != TOLD_TO_WAIT}
        installation = replace(installation, repeats=repeats)
    if installation.delivered_at is not None or installation.stage >= Stage.INSTALLED:
        # The script that goes out at this moment has the old token in it, so the new record keeps it.
        installation = replace(again(installation, rules), token=installation.token)
    if move.to is not None and installation.stage < move.to:
        installation = reach(installation, move.to, at, move.name)
    else:
        installation = counted(installation, move.name)
    return replace(installation, window_opened_at=at)


def tell_to_wait(installation: Installation, move: Move, _finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Note once that the host was told to wait for the machine config server; it asks every few seconds."""
    if installation.is_held or installation.is_told_to_wait:
        return installation
    return counted(installation, move.name)


def begin_rootfs(installation: Installation, move: Move, finding: Finding, at: float, _rules: Rules) -> Installation:
    """Note the size of the rootfs, from which follows how long writing the disk takes."""
    if installation.image_bytes != finding.total:
        installation = replace(installation, image_bytes=finding.total)
    return reach(installation, move.to, at)


def begin_disk_image(
    installation: Installation, move: Move, finding: Finding, at: float, _rules: Rules
) -> Installation:
    """Note that the host writes this image, and lacks it until its last byte is out."""
    # A live installer may be told to write an image of its own, too, and is not ready before it has that.
    lacking = replace(installation, lacks_image=True, ready_at=None, is_settled=False, image_bytes=finding.total)
    return reach(lacking, move.to, at)


def complete_disk_image(
    installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules
) -> Installation:
    """Note that the whole disk image is out; with Ignition, the host has everything."""
    if not installation.lacks_image:
        return installation
    return _ready(replace(installation, lacks_image=False), move, at)


def deliver_ignition(
    installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules
) -> Installation:
    """Note when Ignition first went out; with its image, the host has everything."""
    if installation.delivered_at is not None:
        return installation
    # The time counts as the stage's even where the stage comes later, with the legacy installer's image.
    reached = {**installation.reached, Stage.IGNITION: installation.reached.get(Stage.IGNITION, at)}
    return _ready(replace(installation, delivered_at=at, reached=reached, complaint=None), move, at)


def _ready(installation: Installation, move: Move, at: float) -> Installation:
    """Return the installation at the stage of *move* if it has everything, with the clock for its disk set."""
    if installation.delivered_at is None or installation.lacks_image:
        return installation
    ready = replace(installation, ready_at=at, is_settled=installation.write_seconds == 0)
    return reach(ready, move.to, at)


def withdraw_ignition(
    installation: Installation, move: Move, _finding: Finding, _at: float, _rules: Rules
) -> Installation:
    """Take back that Ignition went out, because it broke off, and count the break."""
    without = replace(installation, delivered_at=None, ready_at=None, is_settled=False)
    return counted(without, move.name)


def postpone_ignition(
    installation: Installation, move: Move, finding: Finding, at: float, rules: Rules
) -> Installation:
    """Raise a condition, and keep the window for Ignition open while the host waits.

    The guard answers 503 only to the host itself, on its own path, so that nobody else can hold it open.
    """
    if installation.delivered_at is not None:
        return installation
    return complain(replace(installation, window_opened_at=at), move, finding, at, rules)


def refuse_ignition(installation: Installation, move: Move, finding: Finding, at: float, rules: Rules) -> Installation:
    """Raise a condition, unless the host has its Ignition and somebody merely looks at the file again."""
    return installation if installation.delivered_at is not None else complain(installation, move, finding, at, rules)


# What the operator orders


def reinstall(installation: Installation, _move: Move, _finding: Finding, _at: float, rules: Rules) -> Installation:
    """Begin a new record as if nothing had failed before; the token of the old one is void."""
    fresh = begin(installation.host, rules, installation.number + 1)
    return replace(fresh, mac=installation.mac, arch=installation.arch, is_held=installation.is_held)


def hold(installation: Installation, _move: Move, _finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Hold the host in iPXE; what it repeats from here on is waiting and no loop."""
    return installation if installation.is_held else replace(installation, is_held=True, repeats={})


def release(installation: Installation, _move: Move, _finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Let a held host go on."""
    return replace(installation, is_held=False, repeats={}) if installation.is_held else installation
