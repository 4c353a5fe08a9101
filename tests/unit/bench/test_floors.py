"""The cost of an answer, relative to a plain Python loop in the same run.

A slow or busy machine slows down both, so these tests only fail when a fast path is lost: the limits are about
three times what was measured, and a library in the path of a datagram costs at least ten times as much.
"""

import time
from collections.abc import Callable

from appliance.dhcp.compile import compile_dhcp
from appliance.dhcp.protocol import answer as dhcp_answer
from appliance.dhcp.reply import Arrival, Reply
from appliance.dns.compile import compile_dns
from appliance.dns.protocol import own_answer
from appliance.install.installation import Installation
from appliance.tftp.protocol import Terms, ack_datagram
from appliance.tftp.transfer import Transfer
from appliance.web.answers import FilesFinding, Findings, HttpRequest, NeighbourFinding, SendScript
from appliance.web.compile import compile_web
from appliance.web.protocol import judge
from tests.bench.dhcpprobe import discover
from tests.bench.workload import AAAA, DOMAIN, A, query
from tests.clusters import APPLIANCE, reference_cluster

CLUSTER = (reference_cluster(),)
REFERENCE_TURNS = 2000
TAKES = 15  # runs; the shortest shows the cost when no other program uses the core
MAC, MASTER = "00:50:56:96:37:c8", "172.16.0.21"

DATAGRAM = bytes(range(256)) * 2


def reference() -> None:
    """Do what every fast path does: slice some bytes, look them up, and join others."""
    known = {DATAGRAM[at : at + 8]: DATAGRAM[at : at + 30] for at in range(256)}
    for number in range(REFERENCE_TURNS):
        at = number & 0xFF
        found = known.get(DATAGRAM[at : at + 8])
        if found is not None:
            DATAGRAM[:2] + found + DATAGRAM[at : at + 12]  # as in making a reply


def seconds_of(work: Callable[[], object]) -> float:
    """Return the processor time of *work*, in seconds.

    Nothing in it waits, so any additional time on a clock would belong to other programs.
    """
    began = time.thread_time()
    work()
    return time.thread_time() - began


def turns_for(work: Callable[[], object], calls: int) -> float:
    """Return the cost of each of the *calls* in *work*, in turns of the reference loop."""
    pairs = [(seconds_of(reference), seconds_of(work)) for _ in range(TAKES)]
    turn = min(pair[0] for pair in pairs) / REFERENCE_TURNS
    return min(pair[1] for pair in pairs) / calls / turn


def dns_turns(question: bytes) -> float:
    """Return the cost of an answer to *question*, in turns of the reference loop."""
    table = compile_dns(CLUSTER, lambda _zone, _digest: 1)
    assert own_answer(table, question)
    return turns_for(lambda: [own_answer(table, question) for _ in range(500)], 500)


def test_dns_hit_costs_a_lookup_and_a_patch() -> None:
    assert dns_turns(query(f"m1.{DOMAIN}", A)) < 10


def test_dns_hit_with_edns_costs_little_more() -> None:
    assert dns_turns(query(f"m1.{DOMAIN}", A, use_edns=True)) < 20


def test_dns_name_never_seen_before_costs_no_search() -> None:
    assert dns_turns(query(f"0123456789abcdef.apps.{DOMAIN}", A)) < 15
    assert dns_turns(query(f"0123456789abcdef.{DOMAIN}", AAAA)) < 15


def test_dhcp_offer_costs_no_packet_library() -> None:
    table = compile_dhcp(CLUSTER)
    datagram = discover(MAC, "172.16.0.1")
    arrival = Arrival("eth0", (int(APPLIANCE),), "172.16.0.1", 67, is_boot_server=False)
    installations: dict[str, Installation] = {}
    assert isinstance(dhcp_answer(table, datagram, arrival, installations), Reply)
    assert turns_for(lambda: [dhcp_answer(table, datagram, arrival, installations) for _ in range(200)], 200) < 120


def test_tftp_block_in_lock_step_costs_a_comparison() -> None:
    blocks = [b"\0\3\0\0" + bytes(1468)] * 600

    def whole_file() -> None:
        transfer = Transfer(blocks, Terms(1468), 0.0)
        for block in range(1, 599):
            ack = ack_datagram(block)
            if transfer.follow(ack, 0.0) is None:
                transfer.take(ack, 0.0)
                transfer.datagrams()

    assert turns_for(whole_file, 598) < 2.5


def test_tftp_window_costs_no_more_than_its_ack() -> None:
    blocks = [b"\0\3\0\0" + bytes(1468)] * 801

    def whole_file() -> None:
        transfer = Transfer(blocks, Terms(1468, window_blocks=8), 0.0)
        for block in range(8, 800, 8):
            transfer.take(ack_datagram(block), 0.0)
            transfer.datagrams()

    assert turns_for(whole_file, 99) < 12


def test_script_is_made_from_finished_pieces() -> None:
    table = compile_web(CLUSTER)
    name = f"m1.{DOMAIN}"
    installations = {name: Installation(name, token="0123456789abcdef", has_dhcp=True)}
    files = FilesFinding(table.hosts_by_mac[MAC.replace(":", "-")].needs)
    found = Findings(files=files, neighbour=NeighbourFinding(None))
    target = f"/ipxe/{MAC.replace(':', '-')}.ipxe"

    def fetched() -> object:
        return judge(HttpRequest("GET", target, MASTER), table, installations, 1_700_000_000.0, found)

    assert isinstance(fetched(), SendScript)
    assert turns_for(lambda: [fetched() for _ in range(200)], 200) < 80
