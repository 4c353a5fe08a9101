"""Who may have which Ignition file now: pure decisions, no clock and no socket.

coreos-installer takes 403 and 404 as the end (a machine that stands at an
emergency shell) and repeats 503 for ever, so 503 is for what time or the
operator can change, and 403 for what they should not.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

from appliance.install.lifecycle import Installation, Order, Stage
from appliance.model import Host
from appliance.openshift.ignition import REMEDY

# From its script to its Ignition a host loads at most some GB; a day lets one wait for a new
# bootstrap.ign, and each 503 that it is given opens the window anew.
WINDOW_SECONDS = 24 * 3600.0
# An answer that broke on the way is asked for again: coreos-installer waits 1, 2, 4 … s between
# tries, curl in the legacy installer 1 s. After this much quiet nobody honest asks again.
REPEAT_SECONDS = 900.0

NOT_YET_SECONDS = 5  # iPXE and coreos-installer come back by themselves
HELD_SECONDS = 15
EXPIRED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """How to answer a GET for an Ignition file."""

    status: int  # 200, 403 or 503
    why: str  # "" with 200
    retry_seconds: int = 0  # for Retry-After, with 503


def ignition_verdict(
    host: Host | None,
    installation: Installation | None,
    file_name: str,
    token: str,
    *,
    expires_at: float | None,
    now: float,
    serve_expired: bool,
) -> Verdict:
    """Return whether the client whose address is *host*'s may have *file_name* under the path with *token*.

    *expires_at* is when the file's certificates die and *now* the time, both in
    seconds UTC. What identifies the client is judged first, so that nobody else
    learns from a 503 how far an installation is.
    """
    if host is None:
        return Verdict(403, "the client has no host's address")
    if file_name != host.role.ignition:
        return Verdict(403, f"{host.name} is a {host.role}; its file is {host.role.ignition}")
    if installation is None or not installation.token:
        return Verdict(403, f"{host.name} has not begun to install")
    if not hmac.compare_digest(installation.token.encode(), token.encode(errors="replace")):
        return Verdict(403, "the path is not of this installation; only the host's own script names it")
    if installation.stage >= Stage.INSTALLED:
        return Verdict(403, f"{host.name} is installed; `ocp-appliance reinstall {host.short_name}` arms it again")
    if installation.order is Order.LOCAL and installation.delivered_at is None:
        return Verdict(403, f"{host.name} boots from its disk and installs nothing")
    if late := _too_late(installation, now):
        return Verdict(403, late)
    later = _not_yet(host, installation, file_name, expires_at=expires_at, now=now, serve_expired=serve_expired)
    return later or Verdict(200, "")


def _too_late(installation: Installation, now: float) -> str | None:
    delivered_at, opened_at = installation.delivered_at, installation.window_opened_at
    if delivered_at is not None and now - delivered_at > REPEAT_SECONDS:
        return f"it went out {(now - delivered_at) / 60:.0f} minutes ago; boot the host again to install it"
    if opened_at is not None and now - opened_at > WINDOW_SECONDS:
        return f"its script was fetched {(now - opened_at) / 3600:.0f} hours ago; boot the host again to install it"
    return None


def _not_yet(
    host: Host,
    installation: Installation,
    file_name: str,
    *,
    expires_at: float | None,
    now: float,
    serve_expired: bool,
) -> Verdict | None:
    if installation.order is Order.HOLD:
        return Verdict(503, f"held; `ocp-appliance release {host.short_name}` lets it go on", HELD_SECONDS)
    # The legacy installer asks for Ignition before the image, the live one after its rootfs.
    before = Stage.IMAGE if installation.boots_live else Stage.INITRAMFS
    if installation.stage < before:
        reached = installation.stage.name.lower()
        return Verdict(503, f"{host.name} is at {reached}; Ignition follows {before.name.lower()}", NOT_YET_SECONDS)
    if expires_at is not None and now >= expires_at and not serve_expired:
        died = datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%d %H:%M")
        return Verdict(
            503,
            f"the certificates in {file_name} expired at {died} UTC; {REMEDY}",
            EXPIRED_SECONDS,
        )
    return None
