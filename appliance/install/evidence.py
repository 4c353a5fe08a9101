"""What each event proves about a host's installation: a pure reducer.

`advance` takes one host's installation and one event and returns the
installation after it: the same object when nothing changed. No event concerns
two hosts, so that the fleet is a dict of these. What downloads prove stands in
`downloads.py`.

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
from appliance.events import Client
from appliance.install.downloads import asked_for, broken, fetched, loader_failed, loader_fetched, refused
from appliance.install.lifecycle import Condition, Installation, Rules, Stage, again, begin, count, order_of, reach
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
        return replace(reach(one, Stage.INSTALLED, at), tries=0, early_returns=0)
    if one.stage >= is_new_from:
        return reach(again(one, rules), stage, at)
    if one.stage < stage:
        return reach(one, stage, at, repeat)
    return count(one, repeat)


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
    one = reach(one, Stage.INSTALLED, at)
    return replace(reach(one, stage, at), knocking_since=None, knocked_at=None, tries=0, early_returns=0)


def _settled(one: Installation, event: events.Event, _at: float, _rules: Rules) -> Installation:
    assert isinstance(event, events.InstallSettled)
    if one.ready_at is None or one.is_settled or event.number != one.number:
        return one
    return replace(one, is_settled=True)


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


_Step = Callable[[Installation, events.Event, float, Rules], Installation]

_STEPS: Mapping[type[events.Event], _Step] = {
    events.DhcpOffered: _dhcp,
    events.DhcpAcknowledged: _dhcp,
    events.DhcpPassed: _dhcp,
    events.DhcpDeclined: _declined,
    events.TftpFinished: loader_fetched,
    events.TftpFailed: loader_failed,
    events.WebStarted: asked_for,
    events.WebFinished: fetched,
    events.WebBroken: broken,
    events.WebRefused: refused,
    events.DnsAsked: _asked,
    events.InstallSettled: _settled,
    events.Ordered: _ordered,
}
