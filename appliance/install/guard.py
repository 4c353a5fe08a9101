"""Which client may have which Ignition file now: pure decisions, without clock or socket.

An Ignition file contains the cluster's secrets, so there are three answers:

200  for the host itself, in its own installation, while it needs the file;
503  for the same host while time or the operator can still change the answer, and
     where nothing but time forbids it, because clocks err and 403 is final;
403  for everybody else, and for the host once it is installed.

coreos-installer gives up at 403 and 404, which leaves the machine at an emergency
shell, and repeats a request indefinitely at 503.
"""

import hmac
from dataclasses import dataclass

from appliance.install.installation import Installation, Order, Stage
from appliance.model import Host
from appliance.openshift.ignition import REMEDY, expiry_text

# Between its script and its Ignition a host downloads a few GB at most, which takes minutes. A day leaves room for an
# operator who has to create a new bootstrap.ign; each 503 sent to the host starts the window again.
WINDOW_SECONDS = 24 * 3600.0
# A client whose answer broke off repeats its request: coreos-installer after 1, 2, 4 … s, curl in the legacy installer
# after 1 s. Fifteen minutes after the first answer, a request no longer comes from an installer that retries.
REPEAT_SECONDS = 900.0

# For Retry-After. How long the answer is likely to stay the same: a download, a decision, new files.
NOT_YET_SECONDS = 5
HELD_SECONDS = 15
EXPIRED_SECONDS = 60
LATE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """How to answer a request for an Ignition file."""

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
    """Return whether the client, which has the address of *host*, may have *file_name* at the path with *token*.

    *expires_at* is when the file's certificates expire and *now* the time, both in
    seconds UTC. The identity of the client is checked before the state of the
    installation: only the host itself can see a 503, so no other client learns how
    far it has come.
    """
    if host is None:
        return Verdict(403, "the client's address is not a host's")
    if file_name != host.role.ignition:
        return Verdict(403, f"{host.name} is a {host.role}; its Ignition file is {host.role.ignition}")
    if installation is None or not installation.token:
        return Verdict(403, f"the installation of {host.name} has not begun")
    # In constant time, because == would take longer the more of a guess is right.
    if not hmac.compare_digest(installation.token.encode(), token.encode(errors="replace")):
        return Verdict(
            403, "this path does not belong to the current installation; the host's own script has the right one"
        )
    if installation.stage >= Stage.INSTALLED:
        return Verdict(
            403, f"{host.name} is installed; run `ocp-appliance reinstall {host.short_name}` to reinstall it"
        )
    # A host that has its Ignition counts as installed soon after; it may still repeat a request that broke off.
    if installation.order is Order.LOCAL and installation.delivered_at is None:
        return Verdict(403, f"{host.name} boots from its disk and does not install")
    if late := _too_late(installation, now):
        return Verdict(503, late, LATE_SECONDS)
    later = _not_yet(host, installation, file_name, expires_at=expires_at, now=now, serve_expired=serve_expired)
    return later or Verdict(200, "")


def _too_late(installation: Installation, now: float) -> str | None:
    """Return why the host no longer gets the file in this installation, or None."""
    delivered_at, opened_at = installation.delivered_at, installation.window_opened_at
    if delivered_at is not None and now - delivered_at > REPEAT_SECONDS:
        return f"the file was sent {(now - delivered_at) / 60:.0f} minutes ago; boot the host again to install it"
    if opened_at is not None and now - opened_at > WINDOW_SECONDS:
        return f"the script was sent {(now - opened_at) / 3600:.0f} hours ago; boot the host again to install it"
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
    """Return what keeps the host from having the file yet, or None.

    The file's expiry is checked last: `web.protocol` has a file read only once everything else allows it.
    """
    if installation.order is Order.HOLD and installation.doubt is not None:
        return Verdict(503, f"{host.name} waits because of {installation.doubt.name}", HELD_SECONDS)
    if installation.order is Order.HOLD:
        why = f"{host.name} is held; run `ocp-appliance release {host.short_name}` to let it continue"
        return Verdict(503, why, HELD_SECONDS)
    # The legacy installer requests Ignition before the disk image, the live one once its rootfs runs.
    before = Stage.IMAGE if installation.boots_live else Stage.INITRAMFS
    if installation.stage < before:
        reached = installation.stage.name.lower()
        why = f"{host.name} is at stage {reached}; Ignition is served from stage {before.name.lower()} on"
        return Verdict(503, why, NOT_YET_SECONDS)
    if expires_at is not None and now >= expires_at and not serve_expired:
        why = f"the certificates in {file_name} expired at {expiry_text(expires_at)}; {REMEDY}"
        return Verdict(503, why, EXPIRED_SECONDS)
    return None
