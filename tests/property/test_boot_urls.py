"""DHCP and every script name the same web server, wherever it listens."""

import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from appliance.boot import ipxe
from appliance.dhcp.compile import compile_dhcp
from appliance.model import Cluster, Endpoint
from tests.clusters import APPLIANCE, reference_cluster
from tests.dhcp_messages import HTTP_BOOT, IPXE, arrival, ask, read, request

SECOND = IPv4Address("172.16.1.101")
LISTENING = st.sampled_from(
    (APPLIANCE, SECOND, IPv4Address("127.0.0.1"), IPv4Address("0.0.0.0"), IPv6Address("::"), IPv6Address("2001:db8::5"))
)
ENDPOINTS = st.lists(st.builds(Endpoint, LISTENING, st.sampled_from((80, 8080, 8088))), max_size=4).map(tuple)


def cluster_of(http: tuple[Endpoint, ...]) -> Cluster:
    """Return the reference cluster with a host in a second network, and the web server at the endpoints *http*."""
    cluster = reference_cluster()
    second = replace(cluster.networks[0], cidr=IPv4Network("172.16.1.0/24"), server=SECOND)
    hosts = (cluster.hosts[0], replace(cluster.hosts[1], addresses=(IPv4Address("172.16.1.21"),)))
    listen = replace(cluster.listen, http=http)
    return replace(cluster, networks=(*cluster.networks, second), hosts=hosts, listen=listen)


def servers_in(text: str) -> set[str]:
    return set(re.findall(r"http://[^/\s]+(?=/)", text))


@given(ENDPOINTS)
def test_dhcp_and_scripts_send_a_host_to_the_same_server(http: tuple[Endpoint, ...]) -> None:
    cluster = cluster_of(http)
    table = compile_dhcp((cluster,))
    for host in cluster.hosts:
        told = set()
        for client in (IPXE, HTTP_BOOT):
            asked = request("discover", *client, mac=str(host.macs[0]))
            told |= servers_in(read(ask(table, asked, arrival(str(host.address))).payload).file)
        for script in (
            ipxe.host_menu(cluster, host),
            ipxe.install_script(cluster, host),
            ipxe.wait_script(cluster, host, "held"),
            ipxe.autoexec(cluster, host.address),
            ipxe.menu(cluster, host.address),
        ):
            told |= servers_in(script)
        assert len(told) == 1


@given(ENDPOINTS)
def test_url_names_a_port_where_the_server_listens_if_there_is_one(http: tuple[Endpoint, ...]) -> None:
    (told,) = servers_in(ipxe.autoexec(cluster_of(http), SECOND))
    ports = {endpoint.port for endpoint in http if endpoint.address in (SECOND, IPv4Address("0.0.0.0"))}
    assert not ports or int((told + ":80").split(":")[2]) in ports
