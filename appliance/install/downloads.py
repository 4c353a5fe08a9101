"""What a machine's downloads prove about its installation: the steps of the reducer for TFTP and HTTP, pure.

The one rule, as in `evidence.py`: each returns the installation that it was given
when the event says nothing new.
"""

from dataclasses import replace

from appliance import events
from appliance.boot.loaders import package_hint
from appliance.boot.urls import is_loader_path, is_script_path
from appliance.events import WebKind
from appliance.install.lifecycle import (
    TOLD_TO_WAIT,
    Condition,
    Installation,
    Rules,
    Stage,
    again,
    count,
    reach,
    reach_or_count,
)
from appliance.model import Install

_NO_FILE = frozenset({"not-found", "forbidden"})  # of TFTP's refusals
_BAD_REQUESTS = frozenset({"malformed", "mode", "write"})
_FILE_STAGES = {
    WebKind.KERNEL: Stage.KERNEL,
    WebKind.INITRAMFS: Stage.INITRAMFS,
    WebKind.ROOTFS: Stage.IMAGE,
    WebKind.METAL: Stage.IMAGE,
}
_SCRIPTS = frozenset({WebKind.MENU, WebKind.SCRIPT, WebKind.WAIT, WebKind.LOCAL})


def loader_fetched(one: Installation, event: events.Event, at: float, _rules: Rules) -> Installation:
    """Return the installation after a boot file that TFTP gave whole."""
    assert isinstance(event, events.TftpFinished)
    if is_script_path(event.path) or one.stage >= Stage.INSTALLED:  # iPXE looks for autoexec.ipxe by TFTP
        return one
    return reach_or_count(one, Stage.LOADER, at, "loader")


def loader_failed(one: Installation, event: events.Event, at: float, _rules: Rules) -> Installation:
    """Return the installation after a transfer of TFTP that came to nothing."""
    assert isinstance(event, events.TftpFailed)
    if is_script_path(event.path) or one.stage > Stage.LOADER or event.why in _BAD_REQUESTS:
        return one
    return _no_loader(one, event.path, at) if event.why in _NO_FILE else count(one, "loader-failed")


def _no_loader(one: Installation, path: str, at: float) -> Installation:
    hint = f"the boot file {path} cannot be served; {package_hint(path)}"
    return replace(one, complaint=Condition("file-missing", hint, at))


def asked_for(one: Installation, event: events.Event, at: float, rules: Rules) -> Installation:
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
    return reach(one, stage, at) if one.stage < stage else one


def fetched(one: Installation, event: events.Event, at: float, _rules: Rules) -> Installation:
    """Return the installation after the last byte of an answer."""
    assert isinstance(event, events.WebFinished)
    is_whole = event.first + event.sent >= event.total
    if not is_whole or not Stage.WAITING < one.stage < Stage.INSTALLED:
        return one
    if event.what is WebKind.LOADER:
        return reach_or_count(one, Stage.LOADER, at, "loader")
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
        return replace(reach(one, Stage.INSTALLED, at), tries=0, early_returns=0)
    if what is WebKind.WAIT and not one.is_held and not one.is_told_to_wait:
        return count(one, TOLD_TO_WAIT)
    if what in (WebKind.WAIT, WebKind.LOCAL):
        return one
    if one.is_told_to_wait:
        one = replace(one, repeats={name: times for name, times in one.repeats.items() if name != TOLD_TO_WAIT})
    if one.delivered_at is not None or one.stage >= Stage.INSTALLED:
        # It starts anew, though no DHCP of ours told so. The script that goes out now names the old token.
        one = replace(again(one, rules), token=one.token)
    return replace(reach_or_count(one, Stage.SCRIPT, at, "script"), window_opened_at=at)


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
    return reach(one, Stage.IGNITION, at) if one.stage < Stage.IGNITION else one


def broken(one: Installation, event: events.Event, _at: float, _rules: Rules) -> Installation:
    """Return the installation after a download that broke off."""
    assert isinstance(event, events.WebBroken)
    if not Stage.WAITING < one.stage < Stage.INSTALLED:
        return one
    if event.what is WebKind.IGNITION:
        one = replace(one, delivered_at=None, ready_at=None, is_settled=False)
    return count(one, "broken") if event.what in _FILE_STAGES or event.what is WebKind.IGNITION else one


def refused(one: Installation, event: events.Event, at: float, _rules: Rules) -> Installation:
    """Return the installation after a request that was answered with an error."""
    assert isinstance(event, events.WebRefused)
    if not Stage.WAITING < one.stage < Stage.INSTALLED:
        return one
    if event.what is WebKind.IGNITION and one.delivered_at is None:
        # 503 is said only to the host itself, on its own path: its window stays open while it waits.
        opened_at = at if event.status == 503 else one.window_opened_at
        name = "ignition-waits" if event.status == 503 else "ignition-refused"
        return replace(one, window_opened_at=opened_at, complaint=Condition(name, event.why, at))
    if one.stage <= Stage.LOADER and is_loader_path(event.path) and event.status in (403, 404):
        return _no_loader(one, event.path.lstrip("/"), at)  # UEFI HTTP Boot
    if event.what in _FILE_STAGES and event.status in (403, 404):
        hint = f"{event.path} cannot be served: {event.why}"
        return replace(one, complaint=Condition("file-missing", hint, at))
    return one
