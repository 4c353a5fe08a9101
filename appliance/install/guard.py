"""Which client may have a script with a token, and which Ignition file now: pure, without clock or socket.

An address alone proves little: a neighbour can take that of a host that is off. So the
kernel must have resolved the address to a MAC address of the host, as far as it is on our
links, and our DHCP server must have answered the host in this installation, if it serves
it. Who is not proven to be the host gets 503 and moves nothing: the host itself can come.

An Ignition file contains the cluster's secrets, so there are three answers:

200  for the host itself, in its own installation, while it needs the file;
503  for the same host while time or the operator can still change the answer, and
     where nothing but time forbids it, because clocks err and 403 is final;
403  for everybody else, and for the host once it is installed.

coreos-installer gives up at 403 and 404, which leaves the machine at an emergency
shell, and repeats a request indefinitely at 503.
"""

import hmac
import re
from dataclasses import dataclass

from appliance.install.installation import Installation, Order, Stage
from appliance.model import Boot, Host
from appliance.openshift.ignition import expiry_text, remedy

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


_MAC = re.compile(r"(?<![0-9a-f])(?:01-)?((?:[0-9a-f]{2}[-:]){5}[0-9a-f]{2})(?![0-9a-f])")  # 01-: as in BOOTIF=
ADDRESS_CONFLICT, NO_DHCP, UNRESOLVED = "address-conflict", "no-dhcp", "unresolved"


@dataclass(frozen=True, slots=True)
class Client:
    """What shows that a client with a host's address is the host."""

    macs: frozenset[bytes]  # of the host
    mac: bytes | None  # of the client, as `Neighbours.mac` returns it: None off our links, b"" if not resolved
    needs_dhcp: bool  # our DHCP server answers the host

    @property
    def is_host(self) -> bool:
        """Whether nothing on our links says that the client is another machine."""
        return self.mac is None or self.mac in self.macs


@dataclass(frozen=True, slots=True)
class Verdict:
    """How to answer a request for an Ignition file."""

    status: int  # 200, 403 or 503
    why: str  # "" with 200
    retry_seconds: int = 0  # for Retry-After, with 503
    unproven: str = ""  # why the client is not proven to be the host: one of the words above


def macs_of(host: Host) -> frozenset[bytes]:
    """Return every MAC address that cluster.yaml gives *host*: also those of cards in its network configuration.

    A bond or a VLAN has the MAC address of one of its cards.
    """
    arguments = " ".join((*host.network_arguments, *host.kernel_arguments)).lower()
    found = {bytes.fromhex(re.sub("[-:]", "", mac)) for mac in _MAC.findall(arguments)}
    return frozenset({mac.octets for mac in host.macs} | found)


def unproven(host: Host, installation: Installation | None, client: Client) -> Verdict | None:
    """Return why *client*, which has the address of *host*, is not proven to be it; None if it is."""
    if not client.is_host:
        if not client.mac:
            why = f"the MAC address of {host.name} cannot be resolved"
            return Verdict(503, why, NOT_YET_SECONDS, UNRESOLVED)
        why = (
            f"The machine with the MAC address {client.mac.hex(':')} uses the address of {host.name}. Find it and turn "
            f"it off; if it is {host.short_name}, give it that MAC address in cluster.yaml."
        )
        return Verdict(503, why, HELD_SECONDS, ADDRESS_CONFLICT)
    if client.needs_dhcp and not (installation is not None and installation.has_dhcp):
        why = f"the DHCP server has not answered {host.name} in this installation"
        return Verdict(503, why, NOT_YET_SECONDS, NO_DHCP)
    return None


def ignition_verdict(
    host: Host | None,
    installation: Installation | None,
    file_name: str,
    token: str,
    client: Client | None,
    *,
    expires_at: float | None,
    now: float,
    serve_expired: bool,
) -> Verdict:
    """Return whether the client, which has the address of *host*, may have *file_name* at the path with *token*.

    *client* says what shows that it is the host; None where there is no host.
    *expires_at* is when the file's certificates expire and *now* the time, both in
    seconds UTC. The identity of the client is checked before the state of the
    installation: only the host itself can see how far it has come.
    """
    if host is None:
        return Verdict(403, "the client's address is not a host's")
    if file_name != host.ignition:
        return Verdict(403, _other_file(host))
    if installation is None or not installation.token:
        return Verdict(403, f"the installation of {host.name} has not begun")
    # In constant time, because == would take longer the more of a guess is right.
    if not hmac.compare_digest(installation.token.encode(), token.encode(errors="replace")):
        return Verdict(
            403, "this path does not belong to the current installation; the host's own script has the right one"
        )
    if client is not None and (doubtful := unproven(host, installation, client)) is not None:
        return doubtful
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


def _other_file(host: Host) -> str:
    if not host.ignition:
        return f"{host.name} fetches no Ignition file"
    what = "installed in place" if host.boot is Boot.IN_PLACE else f"a {host.role}"
    return f"{host.name} is {what}; its Ignition file is {host.ignition}"


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
    if host.is_bootstrap and installation.bootstrapped_at is not None:
        why = (
            f"bootstrapping is complete, so {file_name} is not served any more; run `ocp-appliance reinstall "
            f"{host.short_name}` for another bootstrapping, or `ocp-appliance balancer ready {host.short_name}` if "
            "this one goes on"
        )
        return Verdict(503, why, HELD_SECONDS)
    if installation.order is Order.HOLD and installation.doubt is not None:
        return Verdict(503, f"{host.name} waits because of {installation.doubt.name}", HELD_SECONDS)
    if installation.order is Order.HOLD:
        why = f"{host.name} is held; run `ocp-appliance release {host.short_name}` to let it continue"
        return Verdict(503, why, HELD_SECONDS)
    before = Stage.INITRAMFS if installation.asks_early else Stage.IMAGE
    if installation.stage < before:
        reached = installation.stage.name.lower()
        why = f"{host.name} is at stage {reached}; Ignition is served from stage {before.name.lower()} on"
        return Verdict(503, why, NOT_YET_SECONDS)
    if not installation.has_fetched:
        what = "initramfs" if installation.asks_early else "rootfs"
        return Verdict(
            503, f"{host.name} has not fetched the whole {what}, which comes before Ignition", NOT_YET_SECONDS
        )
    if expires_at is not None and now >= expires_at and not serve_expired:
        why = f"the certificates in {file_name} expired at {expiry_text(expires_at)}; {remedy(file_name)}"
        return Verdict(503, why, EXPIRED_SECONDS)
    return None
