"""The kernel command line, and the network that the initramfs and the installed system configure from it."""

import re
from ipaddress import IPv4Address, IPv4Network

from appliance.simulate import dhcp
from appliance.simulate.dhcp import Message
from appliance.simulate.lease import Lease
from appliance.simulate.machine import Phase, StepError
from appliance.simulate.run import Run

STATIC = re.compile(r"\d+\.\d+\.\d+\.\d+:")


class Arguments:
    """A kernel command line."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.words = line.split()

    def get(self, name: str) -> str:
        """Return the last value of *name*; "" when it is missing."""
        values = self.all(name)
        return values[-1] if values else ""

    def all(self, name: str) -> list[str]:
        """Return every value of *name*."""
        return [word.partition("=")[2] for word in self.words if word.partition("=")[0] == name]

    def need(self, name: str) -> str:
        """Return the value of *name*. Raises StepError when it is missing."""
        value = self.get(name)
        if not value:
            raise StepError(
                Phase.INSTALLER,
                f"the kernel command line has no {name}=",
                sent="the kernel command line of the script",
                received=self.line or "nothing",
                check="the script's kernel command line, and the release in cluster.yaml",
            )
        return value


async def bring_up(run: Run, arguments: Arguments, phase: Phase) -> Lease:
    """Return the network of a system: by DHCP, or from a static ip= (dracut.cmdline(7)). Raises StepError."""
    static = [value for value in arguments.all("ip") if STATIC.match(value)]
    if not static:
        return await run.lease(dhcp.system(run.machine.mac), phase)
    try:
        address, _, gateway, mask, host_name = static[0].split(":")[:5]
        network = IPv4Network(f"{address}/{mask}", strict=False)
        lease = Lease(
            address=IPv4Address(address),
            network=network,
            router=IPv4Address(gateway) if gateway else None,
            dns=tuple(IPv4Address(value) for value in arguments.all("nameserver")),
            host_name=host_name,
            domain="",
            ack=dhcp.Reply(Message.ACK, 0, b"", dhcp.NO_ADDRESS, dhcp.NO_ADDRESS, dhcp.NO_ADDRESS, "", {}),
            boot=None,
            boot_file="",
            boot_server=dhcp.NO_ADDRESS,
            retries=0,
        )
    except ValueError as error:
        look = "ip=<address>::<gateway>:<mask>:<name>:<interface>:none (dracut.cmdline(7))"
        raise StepError(
            phase, "the static network is malformed", sent=f"ip={static[0]}", received=str(error), check=look
        ) from error
    want = run.machine.expected.address
    if want and lease.address != want:
        look = "the host's networkConfig in cluster.yaml"
        raise StepError(
            phase, "the static address is not the host's", sent=f"ip={static[0]}", received=str(want), check=look
        )
    run.link.configure(lease.address, network.prefixlen, lease.router)
    return lease
