"""What each transition does to a record, beyond naming the next stage.

The one rule: an effect returns the same object that it was given when the evidence
changes nothing. The registry then writes nothing to disk.

The stage after an effect is that of its move, or the stage before; an effect does
not choose another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from appliance.install.evidence import Finding
from appliance.install.guard import WINDOW_SECONDS
from appliance.install.installation import (
    CLOCK_UNCLEAR,
    EVERYWHERE,
    FILE_MISSING,
    READY,
    TOLD_TO_WAIT,
    Condition,
    Installation,
    Order,
    Rules,
    Stage,
    again,
    begin,
    reach,
    without_doubt,
)
from appliance.install.installation import count as counted
from appliance.model import Boot

# A machine that finds nothing to boot goes through its self-test and its other boot entries, and requests an
# address again within this time. Requests that are further apart are separate starts of a machine whose system
# does boot, but never contacts the appliance.
KNOCKING_GAP_SECONDS = 900.0

# An installer that takes no byte for this long is gone, or works on what it has. No server is back at its script sooner
# after a reset; a virtual machine may be, and then its next boot goes on in the same record, which serves it as well.
GONE_SECONDS = 10.0
# Firmware that asks again this long after the last byte is believed without a proof, so that the operator sees at which
# step it stops. Between the files of one installation a machine takes a minute or two.
ABANDONED_SECONDS = 600.0

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


def hold_back(installation: Installation, move: Move, finding: Finding, at: float, rules: Rules) -> Installation:
    """Raise a condition for a host that waits for a file; it was reset if it had everything to write its disk."""
    return complain(_after_reset(installation, move, at, rules), move, finding, at, rules)


def start_disk(installation: Installation, _move: Move, _finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Note no more than that its loader works, as with `install: never`."""
    return installation  # `recipes.followed` does that for every script


def note_dhcp(installation: Installation, _move: Move, _finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Note that our DHCP server has answered the host; every ACK to a machine that boots does so, too."""
    return installation if installation.has_dhcp else replace(installation, has_dhcp=True)


# The end of a try, and the beginning of the next


def start_again(installation: Installation, move: Move, _finding: Finding, at: float, rules: Rules) -> Installation:
    """End this try and begin a new record: the machine was reset and has lost what it had in memory."""
    return reach(again(installation, rules), move.to, at)


def come_back(installation: Installation, move: Move, finding: Finding, at: float, rules: Rules) -> Installation:
    """Note that its firmware or iPXE asks again; anyone could ask so, and only a try that was silent for long ends."""
    # One that was told to wait is not silent: its polls are no events.
    is_waiting = installation.is_told_to_wait or installation.order is Order.HOLD
    # And one that was sent its script a moment ago is about to begin.
    silent_seconds = min(_silent_seconds(installation, finding, at), at - (installation.window_opened_at or 0.0))
    if not is_waiting and silent_seconds >= ABANDONED_SECONDS:
        return start_again(installation, move, finding, at, rules)
    return installation if installation.returned_at is not None else replace(installation, returned_at=at)


def load_again(installation: Installation, move: Move, finding: Finding, at: float, rules: Rules) -> Installation:
    """End this try if a machine that came back fetched its boot file, unless an installer still runs; else count it."""
    # While the disk is written the installer is silent, and a reset is to be noticed before that counts as done.
    is_gone = installation.ready_at is not None or _silent_seconds(installation, finding, at) >= GONE_SECONDS
    if installation.returned_at is not None and is_gone:
        # The DHCP message that it came back with was one of this record's.
        return replace(start_again(installation, move, finding, at, rules), has_dhcp=installation.has_dhcp)
    return counted(installation, move.name)


def _silent_seconds(installation: Installation, finding: Finding, at: float) -> float:
    """Return for how long the installer of this try has taken no byte and reached no stage."""
    return at - max(finding.heard_at, *installation.reached.values(), 0.0)


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


def settle(installation: Installation, _move: Move, finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Note that the time to write the disk has passed, which settles a doubt about the clock."""
    # It may be about a record that has ended since.
    is_for_this = finding.number == installation.number
    if installation.ready_at is None or installation.is_settled or not is_for_this:
        return installation
    doubt = installation.doubt
    if doubt is not None and doubt.name == CLOCK_UNCLEAR:
        doubt = None
    return replace(installation, is_settled=True, doubt=doubt)


# Scripts and downloads


def send_script(installation: Installation, move: Move, finding: Finding, at: float, rules: Rules) -> Installation:
    """Open the window for Ignition; begin a new record if the machine was reset, is installed or boots another way.

    It was reset if its firmware asked again, or if it has had its Ignition: another server may assign its
    addresses, so that no DHCP message shows that. An installer that still takes bytes was not reset.
    A reload may have changed how it is installed: then it runs that from this script on.
    """
    if installation.is_told_to_wait:
        repeats = {name: times for name, times in installation.repeats.items() if name != TOLD_TO_WAIT}
        installation = replace(installation, repeats=repeats)
    is_another_way = (installation.boots_live, installation.boot) != (rules.boots_live, rules.boot)
    if is_another_way or _is_reset(installation, finding, at) or installation.stage >= Stage.INSTALLED:
        installation = _next_try(installation, rules)
    if move.to is not None and installation.stage < move.to:
        installation = reach(installation, move.to, at, move.name)
    else:
        installation = counted(installation, move.name)
    return replace(installation, window_opened_at=at)


def _next_try(installation: Installation, rules: Rules) -> Installation:
    # The script that goes out at this moment was judged by the old record and has its token in it. So the new record
    # keeps both.
    fresh = again(installation, rules)
    return replace(fresh, token=installation.token, has_dhcp=installation.has_dhcp)


def _is_reset(installation: Installation, finding: Finding, at: float) -> bool:
    if installation.ready_at is not None:
        return True
    is_back = installation.returned_at is not None or installation.delivered_at is not None
    return is_back and _silent_seconds(installation, finding, at) >= GONE_SECONDS


def _after_reset(installation: Installation, move: Move, at: float, rules: Rules) -> Installation:
    """Return the next try of a machine that fetches a script before it can have written its disk; else the same one."""
    return installation if installation.ready_at is None else reach(_next_try(installation, rules), move.to, at)


def tell_to_wait(installation: Installation, move: Move, _finding: Finding, at: float, rules: Rules) -> Installation:
    """Note once that the host was told to wait for the machine config server; it polls every few seconds.

    A host that had everything to write its disk and fetches a script before it can have written it was reset: this
    begins a new record, so that the time to write the disk does not count for it.
    """
    installation = _after_reset(installation, move, at, rules)
    if installation.order is Order.HOLD or installation.is_told_to_wait:
        return installation
    complaint = installation.complaint
    if complaint is not None and complaint.name == FILE_MISSING:  # the file has come
        installation = replace(installation, complaint=None)
    return counted(installation, move.name)


def _fetched(installation: Installation) -> Installation:
    return installation if installation.has_fetched else replace(installation, has_fetched=True)


def complete_initramfs(
    installation: Installation, _move: Move, _finding: Finding, _at: float, _rules: Rules
) -> Installation:
    """Note that the whole initramfs has been sent; where that asks for Ignition, it does so next."""
    return _fetched(installation) if installation.asks_early else installation


def fetch_initramfs(installation: Installation, move: Move, finding: Finding, at: float, rules: Rules) -> Installation:
    """Reach the next stage with the whole initramfs."""
    return reach(complete_initramfs(installation, move, finding, at, rules), move.to, at)


def complete_rootfs(installation: Installation, move: Move, finding: Finding, at: float, rules: Rules) -> Installation:
    """Note that the whole rootfs has been sent; a host that has its Ignition by then has everything."""
    if installation.boot.is_embedded:
        return deliver_ignition(_fetched(installation), move, finding, at, rules)
    if installation.boot is Boot.IN_PLACE:
        return complete_disk_image(installation, move, finding, at, rules)
    # The installer runs in it, and fetches Ignition next.
    return _fetched(installation)


def begin_rootfs(installation: Installation, move: Move, finding: Finding, at: float, _rules: Rules) -> Installation:
    """Note the size of the rootfs, which determines how long writing the disk takes."""
    if installation.image_bytes != finding.total:
        installation = replace(installation, image_bytes=finding.total)
    return reach(installation, move.to, at)


def begin_disk_image(
    installation: Installation, move: Move, finding: Finding, at: float, _rules: Rules
) -> Installation:
    """Note that the host writes this image, and lacks it until the last byte has been sent."""
    if installation.boot is not Boot.INSTALLER:
        return installation
    # A live installer may also be told to write a separate image, and is not ready before it has that.
    lacking = replace(installation, lacks_image=True, ready_at=None, is_settled=False, image_bytes=finding.total)
    return reach(lacking, move.to, at)


def complete_disk_image(
    installation: Installation, move: Move, _finding: Finding, at: float, _rules: Rules
) -> Installation:
    """Note that the whole image has been sent; with Ignition, the host has everything."""
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
    # A live system that had everything may have written the disk, whatever fetches the file again.
    if installation.boot.is_embedded or (installation.boot is Boot.IN_PLACE and installation.is_settled):
        return installation
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


def reinstall(installation: Installation, _move: Move, _finding: Finding, at: float, rules: Rules) -> Installation:
    """Begin a new record as if nothing had failed before; the token of the old one is void."""
    fresh = begin(installation.host, rules, installation.number + 1)
    return replace(
        fresh,
        mac=installation.mac,
        arch=installation.arch,
        is_held=installation.is_held,
        recipe=installation.recipe.at_first,
        reinstalled_at=at,
        balancer=_lasting(installation.balancer),
    )


def _lasting(orders: Mapping[str, str]) -> Mapping[str, str]:
    """Return the orders about the load balancer that a new installation leaves in force."""
    # The exception was for the bootstrapping that ends with this.
    return {name: order for name, order in orders.items() if (name, order) != (EVERYWHERE, READY)}


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
    return replace(without_doubt(reach(installation, move.to, at)), tries=0, early_returns=0)
