"""A MAC address of a host and the address that is fixed to it, in DHCPv4 and DHCPv6."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from appliance.boot.chains import Step, chain, to_disk
from appliance.dhcp.clients import ClientProfile
from appliance.model import Cluster, Host, Loader

SegmentT = TypeVar("SegmentT")


@dataclass(frozen=True, slots=True)
class BasePin(Generic[SegmentT]):
    """One MAC address of one host, and the address that is fixed to it."""

    cluster: Cluster
    host: Host
    mac: bytes
    mac_text: str
    address: bytes
    address_text: str
    segment: SegmentT
    is_boot_nic: bool

    @property
    def name(self) -> str:
        """The host's full name."""
        return self.host.name

    def chain(self, profile: ClientProfile, loader: Loader = Loader.AUTO, *, starts_disk: bool) -> tuple[Step, ...]:
        """Return what the host loads from now on, where *profile* runs; *loader* is what `loader: auto` gives it."""
        if not self.is_boot_nic:
            return to_disk(self.cluster, self.host, profile.program)
        return chain(
            self.cluster, self.host, profile.program, profile.architecture, starts_disk=starts_disk, loader=loader
        )
