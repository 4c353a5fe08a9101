"""The installed system: DHCP, forward and reverse lookup of its name, its query for api-int, and what it asks there."""

from collections.abc import Awaitable
from typing import TypeVar

from appliance.model import Address
from appliance.simulate.dracut import Arguments, bring_up
from appliance.simulate.joining import get_machine_config, reach_api
from appliance.simulate.lease import Lease
from appliance.simulate.machine import Disk, Phase, StepError
from appliance.simulate.names import NameLookupError
from appliance.simulate.run import Run

T = TypeVar("T")


async def boot_disk(run: Run, disk: Disk) -> str:
    """Return the host name of the machine once it is up. Raises StepError."""
    run.tell(Phase.DISK, f"boots from {disk.device or 'its disk'}")
    lease = await bring_up(run, Arguments(disk.arguments), Phase.SYSTEM)
    want = run.machine.expected
    # The short name and the domain form the full name; what NetworkManager does with them depends on its version.
    given = {lease.host_name, f"{lease.host_name}.{lease.domain}"} if lease.host_name else set()
    if given and want.name and want.name not in given:
        _fail(
            "DHCP gives it a different name",
            "its name in DHCP or ip=",
            f"{lease.host_name}, not {want.name}",
            "cluster.yaml",
        )
    if not want.is_node_address:
        run.tell(Phase.SYSTEM, f"up as {want.name}, {lease.address} on the network that it boots from")
        await _start(run)
        return want.name
    name = await _answer(
        f"PTR {lease.address}",
        run.resolver(lease).name_of(lease.address),
        "without a PTR record the node calls itself localhost, and the installation fails",
    )
    should = {want.name} if want.name else given
    if should and name.lower() not in should:
        came = f"{name}, not {want.name or lease.host_name}"
        _fail("its address resolves to a different name", f"PTR {lease.address}", came, "the reverse zone")
    back = await _lookup(run, lease, name)
    if back != lease.address:
        _fail(
            "its name resolves to a different address", f"A {name}", f"{back}, not {lease.address}", "the forward zone"
        )
    domain = disk.domain or name.partition(".")[2]
    api_int = await _lookup(run, lease, f"api-int.{domain}")
    await get_machine_config(run, lease, api_int, domain)
    run.tell(Phase.SYSTEM, f"up as {name}, {lease.address} forward and reverse; api-int is {api_int}")
    await _start(run)
    await reach_api(run, lease, api_int, domain)
    return name


async def _start(run: Run) -> None:
    """Start the machine's servers. Those of the control plane do not wait for an API, which may be their own."""
    if run.machine.starts:
        await run.machine.starts()


async def _lookup(run: Run, lease: Lease, name: str) -> Address:
    question = run.resolver(lease).address_of(name)
    return await _answer(
        f"{'AAAA' if lease.address.version == 6 else 'A'} {name}",
        question,
        "the forward zone, and whether UDP port 53 is open",
    )


async def _answer(question: str, answer: Awaitable[T], look: str) -> T:
    try:
        return await answer
    except NameLookupError as error:
        raise StepError(
            Phase.SYSTEM, "a name does not resolve", sent=question, received=str(error), check=look
        ) from error


def _fail(what: str, sent: str, came: str, look: str) -> None:
    raise StepError(Phase.SYSTEM, what, sent=sent, received=came, check=look)
