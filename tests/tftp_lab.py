"""Two network namespaces joined by a veth pair: one for the TFTP server, one for a client.

    client eth0 172.16.0.21/24 ── veth ── eth0 172.16.0.101/24 server
           2001:db8:0:10::21/64            2001:db8:0:10::101/64

As a program it runs only the server, and prints each event as a line of JSON.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from appliance.events import Event
from appliance.model import Endpoint
from appliance.tftp.compile import compile_tftp
from appliance.tftp.server import TftpServer
from tests.dhcp6_messages import v6_cluster
from tests.dhcp_lab import Lab, Served, ip

SERVER, CLIENT = "tftp-server", "tftp-client"
ADDRESS = "172.16.0.101"
ADDRESS6 = "2001:db8:0:10::101"
READY = "ready"


def build(lab: Lab, mtu: int = 1500) -> None:
    """Make both namespaces and the veth pair between them."""
    lab.namespace(SERVER)
    lab.namespace(CLIENT)
    lab.cable(CLIENT, "eth0", SERVER, "eth0")
    for namespace, address in ((SERVER, ADDRESS), (CLIENT, "172.16.0.21")):
        ip(
            f"-n {namespace} link set eth0 mtu {mtu}",
            f"-n {namespace} addr add {address}/24 dev eth0",
            f"-n {namespace} addr add 2001:db8:0:10::{address.rpartition('.')[2]}/64 dev eth0 nodad",
        )


def serve(lab: Lab, data_dir: Path, *options: str) -> Served:
    """Start the server on port 69 of its address; return when it is ready."""
    root = str(Path(__file__).resolve().parent.parent)
    command = (sys.executable, "-m", "tests.tftp_lab", str(data_dir), *options)
    served = Served(lab.start(SERVER, *command, env={**os.environ, "PYTHONPATH": root}))
    assert served.next_line() == READY
    return served


async def _serve(data_dir: Path, address: str, mtu: int, *, single_port: bool) -> None:
    cluster = replace(v6_cluster(), data_dir=data_dir)
    listen = replace(cluster.listen, tftp=(Endpoint(ip_address(address), 69),), tftp_single_port=single_port)
    cluster = replace(cluster, listen=listen, networks=tuple(replace(each, mtu=mtu) for each in cluster.networks))
    table = compile_tftp((cluster,))
    server = TftpServer(lambda: table, listen, _print)
    running = asyncio.create_task(server.run())
    await asyncio.sleep(0)
    print(READY, flush=True)
    await running


def _print(event: Event) -> None:
    print(json.dumps({"kind": event.kind, "host": event.host, **event.facts()}), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Serve according to the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--address", default=ADDRESS)
    parser.add_argument("--mtu", type=int, default=1500)
    parser.add_argument("--single-port", action="store_true")
    wanted = parser.parse_args(arguments)
    asyncio.run(_serve(wanted.data_dir, wanted.address, wanted.mtu, single_port=wanted.single_port))


if __name__ == "__main__":
    main(sys.argv[1:])
