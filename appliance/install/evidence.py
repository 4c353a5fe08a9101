"""What each event proves about a host's installation: a pure reducer.

`advance` takes one host's installation and one event and returns the
installation after it: the same object when nothing changed. No event concerns
two hosts, so that the fleet is a dict of these.

**The order of the stages** is the release's. A live system (4.6 and later)
fetches its rootfs, then Ignition, and writes its disk from what it holds; the
legacy installer (up to 4.5) fetches Ignition first and then the disk image.
There `reached` knows when Ignition went out, and the stage is IGNITION once
the image is whole too: in both, IGNITION means "has everything; writes its disk".

**Installed** cannot be seen: a machine that wrote its disk and one that was
reset while writing both come back to the firmware. What tells them apart is
time. No installer unpacks its image faster than WRITE_BYTES_PER_SECOND of
download (gzip and xz do less on any machine), so a host that is back sooner
did not finish, and installs again; one that is back later counts as installed
and boots its disk. 900 MB make that 9 seconds; the real thing takes half a
minute and more. `is_settled` says that this time has passed. An event of the
registry's clock (InstallSettled) sets it before the host comes back, so that
the first OFFER has no boot file already. Two errors remain, and neither loops:
a host that was reset late in its writing counts as installed, never boots, and
gets the condition `not-booting`; one that really finished sooner installs once
more, and then counts at once (`early_returns`).
A system that starts from the disk proves itself, after that time: by a DHCP
DISCOVER without network boot options, or by asking for api-int.

**Data first.** A host of which nothing is known, and which asks for api-int
without having booted from the network, runs a system of this cluster already
(the state was lost, or the appliance is new here): it counts as installed.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from appliance import events
from appliance.events import Client, WebKind
from appliance.install.lifecycle import TOLD_TO_WAIT, Condition, Installation, Rules, Stage, begin, order_of
from appliance.loaders import package_hint
from appliance.model import Install

# Between two starts of a machine that finds nothing to boot lie its self-test and its other boot entries; what is
# further apart are two starts of one that boots, and whose system we never hear.
KNOCKING_GAP_SECONDS = 900.0


def advance(one: Installation, stamped: events.Stamped, rules: Rules) -> Installation:
    """Return the installation after an event of its host; *one* itself when nothing changed."""
    step = _STEPS.get(type(stamped.event))
    if step is None:
        return one
    after = step(one, stamped.event, stamped.at, rules)
    if after is one:
        return one
    order = order_of(after, rules.install)
    return after if order is after.order else replace(after, order=order)


# The steps: one for each kind of evidence. Each returns *one* itself when the event says nothing new.


def _dhcp(one: Installation, event: events.Event, at: float, rules: Rules) -> Installation:
    assert isinstance(event, events.DhcpOffered | events.DhcpAcknowledged | events.DhcpPassed)
    if event.client is Client.OS:
        return _system(one, at, rules, is_discover=not isinstance(event, events.DhcpAcknowledged))
    if (event.mac, event.arch or one.arch) != (one.mac, one.arch):
        one = replace(one, mac=event.mac, arch=event.arch or one.arch)
    word = "ack" if isinstance(event, events.DhcpAcknowledged) else "offer"
    if event.client is Client.IPXE:
        # Some firmware is an iPXE itself, so that a restart begins here. Scripts may ask DHCP again, but no
        # longer once they have fetched the kernel.
        return _return(one, at, rules, stage=Stage.IPXE, is_new_from=Stage.KERNEL, repeat=f"ipxe-{word}")
    return _return(one, at, rules, stage=Stage.FIRMWARE, is_new_from=Stage.SCRIPT, repeat=f"firmware-{word}")


def _return(
    one: Installation, at: float, rules: Rules, *, stage: Stage, is_new_from: Stage, repeat: str
) -> Installation:
    """Return the installation after the machine was seen at *stage* of a network boot.

    If it was at *is_new_from* or further, it has started anew.
    """
    if one.stage >= Stage.INSTALLED and rules.install is not Install.ALWAYS:
        goes_on = one.knocked_at is not None and at - one.knocked_at < KNOCKING_GAP_SECONDS
        return replace(one, knocking_since=one.knocking_since if goes_on else at, knocked_at=at)
    if one.is_settled and one.stage < Stage.INSTALLED:
        return replace(_reach(one, Stage.INSTALLED, at), tries=0, early_returns=0)
    if one.stage >= is_new_from:
        return _reach(_again(one, rules), stage, at)
    if one.stage < stage:
        return _reach(one, stage, at, repeat)
    return _count(one, repeat)


def _again(one: Installation, rules: Rules) -> Installation:
    """Return the record of a new try after *one*, which it ends."""
    was_installed = one.stage >= Stage.INSTALLED
    fresh = replace(begin(one.host, rules, one.number + 1), mac=one.mac, arch=one.arch, is_held=one.is_held)
    return replace(
        fresh,
        tries=0 if was_installed or one.is_held else one.tries + 1,
        ended_at=one.stage,
        early_returns=0 if was_installed or one.ready_at is None else one.early_returns + 1,
    )


def _system(one: Installation, at: float, rules: Rules, *, is_discover: bool) -> Installation:
    """Return the installation after DHCP without network boot options.

    The live installer renews its lease too, so that only a DISCOVER proves a new system.
    """
    if one.stage >= Stage.INSTALLED or rules.install is Install.NEVER or (one.is_settled and is_discover):
        return _started(one, Stage.BOOTED, at)
    return one


def _asked(one: Installation, event: events.Event, at: float, rules: Rules) -> Installation:
    assert isinstance(event, events.DnsAsked)
    runs_already = one.stage is Stage.WAITING and one.number == 1
    if not event.name.lower().startswith("api-int."):
        return one
    if one.stage >= Stage.INSTALLED or one.is_settled or runs_already or rules.install is Install.NEVER:
        return _started(one, Stage.JOINING, at)
    return one


def _started(one: Installation, stage: Stage, at: float) -> Installation:
    """Return the installation after a system started from the disk."""
    if one.stage >= stage and one.knocking_since is None:
        return one
    one = _reach(one, Stage.INSTALLED, at)
    return replace(_reach(one, stage, at), knocking_since=None, knocked_at=None, tries=0, early_returns=0)


def _loader(one: Installation, event: events.Event, at: float, _rules: Rules) -> Installation:
    assert isinstance(event, events.TftpFinished)
    if event.path.endswith(".ipxe") or one.stage >= Stage.INSTALLED:  # iPXE looks for autoexec.ipxe by TFTP
        return one
    return _reach_or_count(one, Stage.LOADER, at, "loader")


def _loader_failed(one: Installation, event: events.Event, at: float, _rules: Rules) -> Installation:
    assert isinstance(event, events.TftpFailed)
    if event.path.endswith(".ipxe") or one.stage > Stage.LOADER or event.why in _BAD_REQUESTS:
        return one
    return _no_loader(one, event.path, at) if event.why in _NO_FILE else _count(one, "loader-failed")


def _no_loader(one: Installation, path: str, at: float) -> Installation:
    hint = f"the boot file {path} cannot be served; {package_hint(path)}"
    return replace(one, complaint=Condition("file-missing", hint, at))


_NO_FILE = frozenset({"not-found", "forbidden"})  # of TFTP's refusals
_BAD_REQUESTS = frozenset({"malformed", "mode", "write"})
_FILE_STAGES = {
    WebKind.KERNEL: Stage.KERNEL,
    WebKind.INITRAMFS: Stage.INITRAMFS,
    WebKind.ROOTFS: Stage.IMAGE,
    WebKind.METAL: Stage.IMAGE,
}
_SCRIPTS = frozenset({WebKind.MENU, WebKind.SCRIPT, WebKind.WAIT, WebKind.LOCAL})


def _asked_for(one: Installation, event: events.Event, at: float, rules: Rules) -> Installation:
    """Return the installation after a GET that is about to be answered."""
    assert isinstance(event, events.WebStarted)
    if event.what in _SCRIPTS:
        return _scripted(one, event.what, at, rules)
    if one.stage >= Stage.INSTALLED:
        return one
    # A file counts only for a machine that was seen to boot: who looks at one from a running system installs nothing.
    if one.stage is Stage.WAITING:
        return one
    if event.what is WebKind.IGNITION:
        return _delivered(one, at)
    stage = _FILE_STAGES.get(event.what)
    if stage is None:
        return one
    if event.what is WebKind.METAL:
        one = replace(one, lacks_image=True, ready_at=None, is_settled=False, image_bytes=event.total)
    elif event.what is WebKind.ROOTFS and one.image_bytes != event.total:
        one = replace(one, image_bytes=event.total)
    return _reach(one, stage, at) if one.stage < stage else one


def _fetched(one: Installation, event: events.Event, at: float, _rules: Rules) -> Installation:
    """Return the installation after the last byte of an answer."""
    assert isinstance(event, events.WebFinished)
    is_whole = event.first + event.sent >= event.total
    if not is_whole or not Stage.WAITING < one.stage < Stage.INSTALLED:
        return one
    if event.what is WebKind.LOADER:
        return _reach_or_count(one, Stage.LOADER, at, "loader")
    if event.what is WebKind.METAL and one.lacks_image:
        return _ready(replace(one, lacks_image=False), at)
    if event.what is WebKind.IGNITION and one.delivered_at is None:
        return _delivered(one, at)
    return one


def _scripted(one: Installation, what: WebKind, at: float, rules: Rules) -> Installation:
    installs_again = rules.install is Install.ALWAYS and what in (WebKind.MENU, WebKind.SCRIPT)
    if one.stage >= Stage.INSTALLED and not installs_again:
        return one
    if one.is_settled and not installs_again:
        return replace(_reach(one, Stage.INSTALLED, at), tries=0, early_returns=0)
    if what is WebKind.WAIT and not one.is_held and not one.is_told_to_wait:
        return _count(one, TOLD_TO_WAIT)
    if what in (WebKind.WAIT, WebKind.LOCAL):
        return one
    if one.is_told_to_wait:
        one = replace(one, repeats={name: times for name, times in one.repeats.items() if name != TOLD_TO_WAIT})
    if one.delivered_at is not None or one.stage >= Stage.INSTALLED:
        # It starts anew, though no DHCP of ours told so. The script that goes out now names the old token.
        one = replace(_again(one, rules), token=one.token)
    return replace(_reach_or_count(one, Stage.SCRIPT, at, "script"), window_opened_at=at)


def _delivered(one: Installation, at: float) -> Installation:
    # It counts from its first byte, and no longer if it breaks off: should the appliance die while it
    # goes out, the host most likely has it all (it is one write), and else asks for it again.
    if one.delivered_at is not None:
        return one
    reached = {**one.reached, Stage.IGNITION: one.reached.get(Stage.IGNITION, at)}
    return _ready(replace(one, delivered_at=at, reached=reached, complaint=None), at)


def _ready(one: Installation, at: float) -> Installation:
    if one.delivered_at is None or one.lacks_image:
        return one
    one = replace(one, ready_at=at, is_settled=one.write_seconds == 0)
    return _reach(one, Stage.IGNITION, at) if one.stage < Stage.IGNITION else one


def _settled(one: Installation, event: events.Event, _at: float, _rules: Rules) -> Installation:
    assert isinstance(event, events.InstallSettled)
    if one.ready_at is None or one.is_settled or event.number != one.number:
        return one
    return replace(one, is_settled=True)


def _broken(one: Installation, event: events.Event, _at: float, _rules: Rules) -> Installation:
    assert isinstance(event, events.WebBroken)
    if not Stage.WAITING < one.stage < Stage.INSTALLED:
        return one
    if event.what is WebKind.IGNITION:
        one = replace(one, delivered_at=None, ready_at=None, is_settled=False)
    return _count(one, "broken") if event.what in _FILE_STAGES or event.what is WebKind.IGNITION else one


def _refused(one: Installation, event: events.Event, at: float, _rules: Rules) -> Installation:
    assert isinstance(event, events.WebRefused)
    if not Stage.WAITING < one.stage < Stage.INSTALLED:
        return one
    if event.what is WebKind.IGNITION and one.delivered_at is None:
        # 503 is said only to the host itself, on its own path: its window stays open while it waits.
        opened_at = at if event.status == 503 else one.window_opened_at
        name = "ignition-waits" if event.status == 503 else "ignition-refused"
        return replace(one, window_opened_at=opened_at, complaint=Condition(name, event.why, at))
    if one.stage <= Stage.LOADER and event.path.endswith((".efi", "pxe")) and event.status in (403, 404):
        return _no_loader(one, event.path.lstrip("/"), at)  # UEFI HTTP Boot
    if event.what in _FILE_STAGES and event.status in (403, 404):
        hint = f"{event.path} cannot be served: {event.why}"
        return replace(one, complaint=Condition("file-missing", hint, at))
    return one


def _declined(one: Installation, event: events.Event, at: float, _rules: Rules) -> Installation:
    assert isinstance(event, events.DhcpDeclined)
    hint = f"another machine uses {event.address}; find it (`arping -D`) or give this host another address"
    return replace(one, complaint=Condition("address-conflict", hint, at))


def _ordered(one: Installation, event: events.Event, _at: float, rules: Rules) -> Installation:
    assert isinstance(event, events.Ordered)
    if event.order == "reinstall":
        fresh = begin(one.host, rules, one.number + 1)
        return replace(fresh, mac=one.mac, arch=one.arch, is_held=one.is_held)
    is_held = event.order == "hold"
    return one if is_held == one.is_held else replace(one, is_held=is_held, repeats={})


def _reach(one: Installation, stage: Stage, at: float, repeat: str = "") -> Installation:
    """Return *one* at *stage*, or as it is when it is further; a new stage forgets what was in its way."""
    if one.stage >= stage:
        return one
    reached = one.reached if stage in one.reached else {**one.reached, stage: at}
    return replace(one, stage=stage, reached=reached, repeats={repeat: 1} if repeat else {}, complaint=None)


def _reach_or_count(one: Installation, stage: Stage, at: float, repeat: str) -> Installation:
    return _reach(one, stage, at, repeat) if one.stage < stage else _count(one, repeat)


def _count(one: Installation, repeat: str) -> Installation:
    return replace(one, repeats={**one.repeats, repeat: one.repeats.get(repeat, 0) + 1})


_Step = Callable[[Installation, events.Event, float, Rules], Installation]

_STEPS: Mapping[type[events.Event], _Step] = {
    events.DhcpOffered: _dhcp,
    events.DhcpAcknowledged: _dhcp,
    events.DhcpPassed: _dhcp,
    events.DhcpDeclined: _declined,
    events.TftpFinished: _loader,
    events.TftpFailed: _loader_failed,
    events.WebStarted: _asked_for,
    events.WebFinished: _fetched,
    events.WebBroken: _broken,
    events.WebRefused: _refused,
    events.DnsAsked: _asked,
    events.InstallSettled: _settled,
    events.Ordered: _ordered,
}
