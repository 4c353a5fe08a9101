"""The instants in the record of an installation when the clock they were read from has been set; pure.

Every float in a record is an instant, in seconds UTC, so that none can be forgotten here.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace

from appliance.install.installation import CLOCK_UNCLEAR, LOOK_SECONDS, Condition, Installation, Order, Recipe, Stage
from appliance.model import Install

# By these the guard closes a window, and the registry's clock settles a host.
_DECISIVE = ("window_opened_at", "delivered_at", "ready_at")
_NAMES = tuple(field.name for field in fields(Installation))


def shifted(installation: Installation, seconds: float) -> Installation:
    """Return *installation* with every instant moved by *seconds*; the same object if it has none."""
    return _moved(installation, lambda at: at + seconds)


def instants(installation: Installation) -> list[float]:
    """Return every instant in *installation*."""
    found: list[float] = []

    def note(at: float) -> float:
        found.append(at)
        return at

    _moved(installation, note)
    return found


def after_reboot(installation: Installation, now: float, uptime: float, install: Install) -> Installation:
    """Return *installation*, which is of an earlier boot of the machine, at *now*, *uptime* seconds after this boot.

    The clock may have been set meanwhile, by any amount, so that two bounds remain:
    nothing has happened in the future, and what was before the boot was at least *uptime*
    ago. A window is open, and a disk is not written yet, by the lesser age that these
    allow. A host that may be writing its disk by that, and may have finished by the
    wall clock, is in doubt until it has had the time for certain (`effects.settle`).
    """
    ahead = max(instants(installation), default=now) - now
    if ahead > 0:
        installation = shifted(installation, -ahead)
    ages = {name: getattr(installation, name) for name in _DECISIVE}
    younger = {name: max(at, now - uptime) for name, at in ages.items() if at is not None}
    if younger != {name: at for name, at in ages.items() if at is not None}:
        installation = replace(installation, **younger)
    installation = _doubted_before_boot(installation, now - uptime)
    if not _is_writing(installation, now) or install is not Install.ONCE or installation.doubt is not None:
        return installation
    return replace(installation, doubt=_doubt(installation.host, now), order=Order.HOLD)


def _doubted_before_boot(installation: Installation, boot_at: float) -> Installation:
    """Return *installation* so that a doubt which lapses does so no earlier than if it had begun at the boot."""
    asked_at, looked_at = installation.asked_at, installation.looked_at
    if asked_at is None:
        return installation
    if looked_at is None or looked_at < asked_at:
        # A look that comes now is too late to show anything.
        return replace(installation, asked_at=min(asked_at, boot_at - LOOK_SECONDS), looked_at=None)
    return replace(installation, asked_at=max(asked_at, boot_at), looked_at=max(looked_at, boot_at))


def _is_writing(installation: Installation, now: float) -> bool:
    """Whether the host may still be writing its disk at *now*."""
    if installation.ready_at is None or installation.is_settled or installation.stage >= Stage.INSTALLED:
        return False
    return now < installation.ready_at + installation.write_seconds


def _doubt(host: str, at: float) -> Condition:
    hint = (
        "the appliance's machine was rebooted while this host wrote its disk, so it is not known whether the disk is "
        f"written, and the host waits: run `ocp-appliance adopt {host}` if it is, which boots its disk, or "
        f"`ocp-appliance reinstall {host}` to install it again"
    )
    return Condition(CLOCK_UNCLEAR, hint, at)


def _moved(installation: Installation, move: Callable[[float], float]) -> Installation:
    changes: dict[str, object] = {}
    for name in _NAMES:
        match getattr(installation, name):
            case float() as at:
                changes[name] = move(at)
            case Condition() as condition:
                changes[name] = replace(condition, since=move(condition.since))
            case Recipe(loaded_at=loaded_at, worked_at=worked_at) as recipe if loaded_at or worked_at:
                changes[name] = replace(
                    recipe,
                    loaded_at=None if loaded_at is None else move(loaded_at),
                    worked_at=None if worked_at is None else move(worked_at),
                )
            case Mapping() as values if any(isinstance(value, float) for value in values.values()):
                changes[name] = {key: move(at) for key, at in values.items()}
    return replace(installation, **changes) if changes else installation  # type: ignore[arg-type] # as they were
