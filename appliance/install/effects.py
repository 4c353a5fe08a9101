"""What each transition does to a record, beyond naming the next stage.

The one rule: an effect returns the same object that it was given when the evidence
changes nothing. The registry then writes nothing to disk.

The stage after an effect is that of its move, or the stage before; an effect does
not choose another.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from appliance.install.evidence import Finding
from appliance.install.guard import WINDOW_SECONDS
from appliance.install.installation import (
    CLOCK_UNCLEAR,
    FILE_MISSING,
    LAPSE_SECONDS,
    LOOK_SECONDS,
    TOLD_TO_WAIT,
    Condition,
    Installation,
    Order,
    Rules,
    Stage,
    again,
    begin,
    reach,
)
from appliance.install.installation import count as counted

# A machine that finds nothing to boot goes through its self-test and its other boot entries, and requests an
# address again within this time. Requests that are further apart are separate starts of a machine whose system
# does boot, but never contacts the appliance.
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
    known = installation.complaint
    if known is not None and (known.name, known.hint) == (move.name, finding.hint):
        return installation
    return replace(installation, complaint=Condition(move.name, finding.hint, at))


def note_dhcp(installation: Installation, _move: Move, _finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Note that our DHCP server has answered the host; every ACK to a machine that boots does so, too."""
    return installation if installation.has_dhcp else replace(installation, has_dhcp=True)


# The end of a try, and the beginning of the next


def start_again(installation: Installation, move: Move, _finding: Finding, at: float, rules: Rules) -> Installation:
    """End this try and begin a new record: the machine was reset and has lost what it had in memory."""
    return reach(again(installation, rules), move.to, at)


def finish(installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Count the host as installed: it is back, and has had the time to write its disk."""
    return replace(reach(installation, move.to, at), tries=0, early_returns=0)


def knock(installation: Installation, _move: Move, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Note that the firmware of an installed host requests an address: it boots over the network despite its system."""
    goes_on = installation.knocked_at is not None and at - installation.knocked_at < KNOCKING_GAP_SECONDS
    return replace(installation, knocking_since=installation.knocking_since if goes_on else at, knocked_at=at)


def start_system(installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Note that a system started from the disk, which proves that the host is installed."""
    to = installation.stage if move.to is None else move.to
    if installation.stage >= to and installation.knocking_since is None:
        return installation
    # It was installed before it booted, although no event showed that; `explain` lists both.
    installed = reach(reach(installation, Stage.INSTALLED, at), to, at)
    return replace(installed, knocking_since=None, knocked_at=None, tries=0, early_returns=0)


def prove_system(installation: Installation, move: Move, finding: Finding, at: float, rules: Rules) -> Installation:
    """Note that a system of the host was reached, which no forged datagram does: it settles a doubt about its disk."""
    installation = start_system(installation, move, finding, at, rules)
    return installation if installation.doubt is None else _without_doubt(installation)


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
    asked_at = installation.asked_at
    # Later than that the node may have gone, to come back as firmware: then the look shows nothing.
    is_prompt = asked_at is not None and 0 <= at - asked_at <= LOOK_SECONDS
    return replace(installation, looked_at=at) if is_prompt else installation


def lapse(installation: Installation, _move: Move, finding: Finding, at: float, _rules: Rules) -> Installation:
    """End a doubt that nothing has confirmed; its repetitions while it waited are no loop."""
    lapses_at = installation.lapses_at
    # Since the clock was set, there may have been another query, or a new record.
    if lapses_at is None or at < lapses_at or finding.number != installation.number:
        return installation
    return replace(_without_doubt(installation), repeats={})


def _without_doubt(installation: Installation) -> Installation:
    return replace(installation, doubt=None, asked_at=None, looked_at=None)


def seem_running(installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Reach the stage of a running system, which decides nothing here; what depends on a proof stays as it is."""
    return reach(reach(installation, Stage.INSTALLED, at), move.to, at)


def settle(installation: Installation, _move: Move, finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Note that the time to write the disk has passed, which settles a doubt about the clock."""
    # The clock may have been set for a record that has ended since.
    is_for_this = finding.number == installation.number
    if installation.ready_at is None or installation.is_settled or not is_for_this:
        return installation
    doubt = installation.doubt
    if doubt is not None and doubt.name == CLOCK_UNCLEAR:
        doubt = None
    return replace(installation, is_settled=True, doubt=doubt)


# Scripts and downloads


def send_script(installation: Installation, move: Move, _finding: Finding, at: float, rules: Rules) -> Installation:
    """Open the window for Ignition; begin a new record if this one has had its Ignition or is installed.

    A machine that fetches its script after its Ignition was reset, even if no DHCP message showed that:
    another server may assign its addresses.
    """
    if installation.is_told_to_wait:
        repeats = {name: times for name, times in installation.repeats.items() if name != TOLD_TO_WAIT}
        installation = replace(installation, repeats=repeats)
    if installation.delivered_at is not None or installation.stage >= Stage.INSTALLED:
        # The script that goes out at this moment was judged by the old record and has its token in it. So the new
        # record keeps both.
        fresh = again(installation, rules)
        installation = replace(fresh, token=installation.token, has_dhcp=installation.has_dhcp)
    if move.to is not None and installation.stage < move.to:
        installation = reach(installation, move.to, at, move.name)
    else:
        installation = counted(installation, move.name)
    return replace(installation, window_opened_at=at)


def tell_to_wait(installation: Installation, move: Move, _finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Note once that the host was told to wait for the machine config server; it polls every few seconds."""
    is_for_a_file = installation.complaint is not None and installation.complaint.name == FILE_MISSING
    if installation.order is Order.HOLD or is_for_a_file or installation.is_told_to_wait:
        return installation
    return counted(installation, move.name)


def complete_initramfs(
    installation: Installation, _move: Move, _finding: Finding, _at: float, _rules: Rules
) -> Installation:
    """Note that the whole initramfs has been sent; a legacy installer fetches its Ignition next."""
    if installation.boots_live or installation.has_fetched:
        return installation
    return replace(installation, has_fetched=True)


def complete_rootfs(
    installation: Installation, _move: Move, _finding: Finding, _at: float, _rules: Rules
) -> Installation:
    """Note that the whole rootfs has been sent, in which the installer runs that fetches Ignition."""
    return installation if installation.has_fetched else replace(installation, has_fetched=True)


def begin_rootfs(installation: Installation, move: Move, finding: Finding, at: float, _rules: Rules) -> Installation:
    """Note the size of the rootfs, which determines how long writing the disk takes."""
    if installation.image_bytes != finding.total:
        installation = replace(installation, image_bytes=finding.total)
    return reach(installation, move.to, at)


def begin_disk_image(
    installation: Installation, move: Move, finding: Finding, at: float, _rules: Rules
) -> Installation:
    """Note that the host writes this image, and lacks it until the last byte has been sent."""
    # A live installer may also be told to write a separate image, and is not ready before it has that.
    lacking = replace(installation, lacks_image=True, ready_at=None, is_settled=False, image_bytes=finding.total)
    return reach(lacking, move.to, at)


def complete_disk_image(
    installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules
) -> Installation:
    """Note that the whole disk image has been sent; with Ignition, the host has everything."""
    if not installation.lacks_image:
        return installation
    return _ready(replace(installation, lacks_image=False), move, at)


def deliver_ignition(
    installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules
) -> Installation:
    """Note when Ignition first went out; with its image, the host has everything."""
    if installation.delivered_at is not None:
        return installation
    # This is the time of the stage IGNITION even if the stage comes later, with the legacy installer's image.
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
    """Undo the delivery of Ignition, which broke off, and count the break."""
    without = replace(installation, delivered_at=None, ready_at=None, is_settled=False)
    return counted(without, move.name)


def postpone_ignition(
    installation: Installation, move: Move, finding: Finding, at: float, rules: Rules
) -> Installation:
    """Raise a condition, and keep the window for Ignition open while the host waits.

    The guard sends a 503 only to the host itself, on its own path, so that no other client can keep it open.
    """
    if installation.delivered_at is not None:
        return installation
    opened_at = installation.window_opened_at
    # A window that has closed stays closed, or a second request would get what the first one did not.
    if opened_at is None or at - opened_at <= WINDOW_SECONDS:
        installation = replace(installation, window_opened_at=at)
    return complain(installation, move, finding, at, rules)


def refuse_ignition(installation: Installation, move: Move, finding: Finding, at: float, rules: Rules) -> Installation:
    """Raise a condition, unless the host has its Ignition already and the file was merely requested again."""
    return installation if installation.delivered_at is not None else complain(installation, move, finding, at, rules)


# The operator's orders


def reinstall(installation: Installation, _move: Move, _finding: Finding, _at: float, rules: Rules) -> Installation:
    """Begin a new record as if nothing had failed before; the token of the old one is void."""
    fresh = begin(installation.host, rules, installation.number + 1)
    return replace(fresh, mac=installation.mac, arch=installation.arch, is_held=installation.is_held)


def hold(installation: Installation, _move: Move, _finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Hold the host in iPXE; its repetitions from here on are polls, not a loop."""
    return installation if installation.is_held else replace(installation, is_held=True, repeats={})


def release(installation: Installation, _move: Move, _finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Let a held host continue; a doubt about its disk stays."""
    return replace(installation, is_held=False, repeats={}) if installation.is_held else installation


def adopt(installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules) -> Installation:
    """Count the host as installed, because the operator says so; this settles a doubt."""
    if installation.doubt is None and installation.stage >= Stage.INSTALLED:
        return installation
    return replace(_without_doubt(reach(installation, move.to, at)), tries=0, early_returns=0)
