"""The reply to each query and client, parsed by dnspython."""

from dataclasses import replace
from ipaddress import IPv4Address

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import pytest

from appliance.dns.protocol import Forward, NoReply, Watched, answer, own_answer
from appliance.model import Endpoint, Record
from tests.clusters import reference_cluster
from tests.dns_cases import NODE, OUTSIDER, forwarding_cluster, query, rich_cluster, table

TABLE = table()
FORWARDER = Endpoint(IPv4Address("192.0.2.53"), 53)
FORWARDING = table(forwarding_cluster(FORWARDER))
APPS = "apps.ocp45.example.localdomain"


def asked(wire: bytes, client: str = OUTSIDER, *, over_tcp: bool = False) -> dns.message.Message:
    reply = answer(TABLE, wire, client, over_tcp=over_tcp)
    assert isinstance(reply, bytes), reply
    return dns.message.from_wire(reply)


def test_known_name_gets_its_address_authoritatively() -> None:
    reply = asked(query("m1.ocp45.example.localdomain"))
    assert reply.flags & dns.flags.AA
    assert [rrset.to_text() for rrset in reply.answer] == ["m1.ocp45.example.localdomain. 3600 IN A 172.16.0.21"]


def test_question_comes_back_as_it_was_spelled() -> None:
    wire = query("M1.oCp45.Example.LOCALDOMAIN")
    reply = answer(TABLE, wire, OUTSIDER)
    assert isinstance(reply, bytes)
    assert reply[12 : len(wire)] == wire[12:]


@pytest.mark.parametrize("below", ["console", "a.b.c.d", "*", "_x._tcp"])
def test_wildcard_answers_at_any_depth(below: str) -> None:
    reply = asked(query(f"{below}.{APPS}"))
    assert [str(rdata) for rrset in reply.answer for rdata in rrset] == ["172.16.0.111"]


def test_wildcard_does_not_answer_for_the_name_above_it() -> None:
    reply = asked(query(APPS))
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


def test_wildcard_has_no_data_of_other_types() -> None:
    reply = asked(query(f"console.{APPS}", "AAAA"))
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])
    assert reply.authority[0].rdtype == dns.rdatatype.SOA


def test_empty_non_terminal_has_no_data() -> None:
    assert asked(query("ocp45.example.localdomain")).rcode() == dns.rcode.NOERROR


def test_unknown_name_does_not_exist_and_the_soa_says_for_how_long() -> None:
    cluster = reference_cluster()
    short = table(replace(cluster, dns=replace(cluster.dns, minimum=60)))
    reply = answer(short, query("m9.ocp45.example.localdomain"), OUTSIDER)
    assert isinstance(reply, bytes)
    message = dns.message.from_wire(reply)
    assert (message.rcode(), message.authority[0].ttl) == (dns.rcode.NXDOMAIN, 60)


def test_https_query_is_not_answered_as_type_97() -> None:
    """Type 65 is the byte "A", which must not become lower case with the name."""
    wire = query("m1.ocp45.example.localdomain", "HTTPS")
    reply = answer(TABLE, wire, OUTSIDER)
    assert isinstance(reply, bytes)
    assert reply[: len(wire)][-4:] == b"\0\x41\0\1"


def test_any_gets_one_record_set() -> None:
    reply = asked(query("example.localdomain", "ANY"))
    assert [rrset.rdtype for rrset in reply.answer] == [dns.rdatatype.SOA]


def test_private_reverse_zone_that_is_not_ours_is_answered_here() -> None:
    reply = answer(FORWARDING, query("1.1.168.192.in-addr.arpa", "PTR"), NODE)
    assert isinstance(reply, bytes)
    assert dns.message.from_wire(reply).rcode() == dns.rcode.NXDOMAIN


# Refused queries


def test_other_names_are_refused_without_forwarders() -> None:
    cluster = reference_cluster()
    unset = table(replace(cluster, dns=replace(cluster.dns, is_isolated=False)))
    reply = answer(unset, query("quay.io"), NODE)
    assert isinstance(reply, bytes)
    assert dns.message.from_wire(reply).rcode() == dns.rcode.REFUSED


def test_other_names_are_forwarded_for_a_machine_network() -> None:
    assert isinstance(answer(FORWARDING, query("quay.io"), NODE), Forward)


def test_other_names_are_refused_to_strangers() -> None:
    reply = answer(FORWARDING, query("quay.io"), OUTSIDER)
    assert isinstance(reply, bytes)
    assert dns.message.from_wire(reply).rcode() == dns.rcode.REFUSED


def test_other_names_are_refused_where_no_recursion_is_desired() -> None:
    reply = answer(FORWARDING, query("quay.io", recursion_desired=False), NODE)
    assert isinstance(reply, bytes)
    assert dns.message.from_wire(reply).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("rdclass", ["CH", "HS", "ANY"])
def test_other_classes_are_refused(rdclass: str) -> None:
    wire = dns.message.make_query("version.bind", "TXT", rdclass).to_wire()
    assert asked(wire).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize(
    ("kind", "rcode"), [("AXFR", "REFUSED"), ("IXFR", "REFUSED"), ("MAILB", "NOTIMP"), ("TSIG", "FORMERR")]
)
@pytest.mark.parametrize(
    "name", ["example.localdomain", "m1.ocp45.example.localdomain", "x.apps.ocp45.example.localdomain"]
)
def test_types_that_are_no_data_are_refused(name: str, kind: str, rcode: str) -> None:
    wire = query(name)
    wire = wire[:-4] + int(dns.rdatatype.from_text(kind)).to_bytes(2) + wire[-2:]
    reply = answer(TABLE, wire, OUTSIDER)
    assert isinstance(reply, bytes)
    assert dns.rcode.to_text(dns.rcode.Rcode(reply[3] & 0xF)) == rcode


@pytest.mark.parametrize("opcode", [dns.opcode.IQUERY, dns.opcode.STATUS, dns.opcode.NOTIFY, dns.opcode.UPDATE])
def test_other_opcodes_are_not_implemented(opcode: dns.opcode.Opcode) -> None:
    message = dns.message.make_query("example.localdomain", "SOA")
    message.set_opcode(opcode)
    reply = answer(TABLE, message.to_wire(), OUTSIDER)
    assert isinstance(reply, bytes)
    assert (reply[2] >> 3 & 0xF, reply[3] & 0xF) == (int(opcode), int(dns.rcode.NOTIMP))


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(query("m1.example.localdomain")[:-1], id="cut off"),
        pytest.param(query("m1.example.localdomain")[:4] + b"\0\0" + query("m1.example.localdomain")[6:12], id="none"),
        pytest.param(query("m1.example.localdomain")[:4] + b"\0\2" + query("m1.example.localdomain")[6:] * 2, id="two"),
        pytest.param(query("a.b")[:12] + b"\xc0\x0c" + query("a.b")[-4:], id="compressed"),
        pytest.param(query("a.b")[:12] + b"\x3fa" * 40 + query("a.b")[-4:], id="overlong label"),
        pytest.param(query("a.b")[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\0" + query("a.b")[-4:], id="overlong name"),
    ],
)
def test_a_malformed_question_is_a_format_error(broken: bytes) -> None:
    reply = answer(TABLE, broken, OUTSIDER)
    assert isinstance(reply, bytes)
    assert reply[3] & 0xF == dns.rcode.FORMERR


@pytest.mark.parametrize("suffix", ["apps.ocp45.example.localdomain", "example.localdomain"])
def test_an_overlong_name_below_one_of_ours_is_a_format_error(suffix: str) -> None:
    wire = query(suffix)
    broken = wire[:12] + (b"\x3f" + b"a" * 63) * 4 + wire[12:]
    reply = answer(TABLE, broken, OUTSIDER)
    assert isinstance(reply, bytes)
    assert reply[3] & 0xF == dns.rcode.FORMERR
    assert own_answer(TABLE, broken) is None


def test_fast_path_knows_a_name_in_any_case() -> None:
    wire = query("M1.oCp45.Example.LOCALDOMAIN")
    assert own_answer(TABLE, wire) == answer(TABLE, wire, OUTSIDER)


def test_a_response_gets_silence() -> None:
    wire = bytearray(query("m1.ocp45.example.localdomain"))
    wire[2] |= 0x80
    assert answer(TABLE, bytes(wire), OUTSIDER) == NoReply("response")


def test_less_than_a_header_gets_silence() -> None:
    assert answer(TABLE, b"\0" * 11, OUTSIDER) == NoReply("short")


# EDNS


def test_edns_query_gets_an_opt_record_of_1232_bytes() -> None:
    reply = asked(query("m1.ocp45.example.localdomain", edns=True, payload=4096))
    assert (reply.edns, reply.payload) == (0, 1232)


def test_plain_query_gets_no_opt_record() -> None:
    assert asked(query("m1.ocp45.example.localdomain")).edns == -1


@pytest.mark.parametrize(
    "name", ["m1.ocp45.example.localdomain", "nowhere.example", "x.apps.ocp45.example.localdomain"]
)
def test_dnssec_ok_bit_comes_back(name: str) -> None:
    assert asked(dns.message.make_query(name, "A", want_dnssec=True).to_wire()).ednsflags & dns.flags.DO


def test_a_later_edns_version_is_refused_with_badvers() -> None:
    reply = asked(dns.message.make_query("m1.ocp45.example.localdomain", "A", use_edns=1).to_wire())
    assert (reply.rcode(), reply.edns, reply.answer) == (dns.rcode.BADVERS, 0, [])


def test_two_opt_records_are_a_format_error() -> None:
    wire = query("m1.ocp45.example.localdomain", edns=True)
    wire = wire[:11] + b"\2" + wire[12:] + wire[-11:]
    assert asked(wire).rcode() == dns.rcode.FORMERR


def test_unknown_edns_options_are_ignored() -> None:
    options: list[dns.edns.Option] = [dns.edns.GenericOption("65001", b"anything")]
    wire = dns.message.make_query("m1.ocp45.example.localdomain", "A", use_edns=0, options=options).to_wire()
    assert len(asked(wire).answer) == 1


@pytest.mark.parametrize(
    ("name", "kind", "added"),
    [
        ("post.example.localdomain", "MX", {"172.16.0.201", "2001:db8::201", "172.16.0.102"}),
        ("_ldap._tcp.example.localdomain", "SRV", {"172.16.0.201", "2001:db8::201"}),
        ("example.localdomain", "NS", {"172.16.0.102", "172.16.0.103"}),
        ("www.example.localdomain", "CNAME", set()),
    ],
)
def test_record_that_leads_to_hosts_comes_with_their_addresses(name: str, kind: str, added: set[str]) -> None:
    reply = answer(table(rich_cluster()), query(name, kind), OUTSIDER)
    assert isinstance(reply, bytes)
    assert {str(rdata) for rrset in dns.message.from_wire(reply).additional for rdata in rrset} == added


def big_table(records: int) -> object:
    cluster = reference_cluster()
    many = tuple(Record("many.example.localdomain", "A", 60, f"192.0.2.{index}") for index in range(records))
    return table(replace(cluster, dns=replace(cluster.dns, records=many)))


@pytest.mark.parametrize(
    ("records", "wire", "over_tcp", "is_truncated"),
    [
        (40, query("many.example.localdomain"), False, True),
        (40, query("many.example.localdomain", edns=True, payload=512), False, True),
        (40, query("many.example.localdomain", edns=True, payload=100), False, True),
        (40, query("many.example.localdomain", edns=True), False, False),
        (100, query("many.example.localdomain", edns=True, payload=4096), False, True),
        (100, query("many.example.localdomain"), True, False),
    ],
    # The id of a query is random, but the id of a test must not be.
    ids=["plain", "512 bytes", "100 bytes", "1232 bytes", "4096 bytes", "tcp"],
)
def test_answer_past_the_clients_size_is_truncated(
    records: int, wire: bytes, over_tcp: bool, is_truncated: bool
) -> None:
    reply = answer(big_table(records), wire, OUTSIDER, over_tcp=over_tcp)  # type: ignore[arg-type]
    assert isinstance(reply, bytes)
    message = dns.message.from_wire(reply)
    assert bool(message.flags & dns.flags.TC) == is_truncated
    assert sum(map(len, message.answer)) == (0 if is_truncated else records)


def test_name_servers_are_left_out_before_an_answer_is_truncated() -> None:
    reply = answer(big_table(28), query("many.example.localdomain", recursion_desired=False), OUTSIDER)  # type: ignore[arg-type]
    assert isinstance(reply, bytes)
    message = dns.message.from_wire(reply)
    assert (len(message.answer[0]), message.authority, message.additional) == (28, [], [])


# Aliases


def test_alias_leads_through_a_wildcard_to_its_address() -> None:
    reply = answer(table(rich_cluster()), query("any.web.example.localdomain"), OUTSIDER)
    assert isinstance(reply, bytes)
    names = [str(rrset.name) for rrset in dns.message.from_wire(reply).answer]
    assert names == [
        "any.web.example.localdomain.",
        "alias.example.localdomain.",
        "www.example.localdomain.",
        "console.apps.ocp45.example.localdomain.",
    ]


def test_alias_that_ends_outside_is_forwarded_for_a_machine_network() -> None:
    records = (Record("out.example.localdomain", "CNAME", 60, "www.example.net"),)
    forward = answer(table(forwarding_cluster(FORWARDER, records=records)), query("out.example.localdomain"), NODE)
    assert isinstance(forward, Forward)
    assert forward.alias == dns.name.from_text("www.example.net").to_wire()


def test_alias_that_ends_outside_is_answered_alone_to_strangers() -> None:
    records = (Record("out.example.localdomain", "CNAME", 60, "www.example.net"),)
    reply = answer(table(forwarding_cluster(FORWARDER, records=records)), query("out.example.localdomain"), OUTSIDER)
    assert isinstance(reply, bytes)
    assert [rrset.rdtype for rrset in dns.message.from_wire(reply).answer] == [dns.rdatatype.CNAME]


def test_aliases_in_a_loop_are_answered_with_the_aliases_alone() -> None:
    cluster = reference_cluster()
    records = tuple(
        Record(f"{name}.example.localdomain", "CNAME", 60, f"{target}.example.localdomain")
        for name, target in (("a", "b"), ("b", "a"))
    )
    reply = answer(
        table(replace(cluster, dns=replace(cluster.dns, records=records))),
        query("a.example.localdomain"),
        OUTSIDER,
        over_tcp=True,
    )
    assert isinstance(reply, bytes)
    assert {rrset.rdtype for rrset in dns.message.from_wire(reply).answer} == {dns.rdatatype.CNAME}


# Queries that show the progress of a host


def test_host_that_asks_for_api_int_is_watched() -> None:
    reply = answer(TABLE, query("API-int.ocp45.example.localdomain"), NODE)
    assert isinstance(reply, Watched)
    assert (reply.host, reply.name) == (
        "m1.ocp45.example.localdomain",
        dns.name.from_text("api-int.ocp45.example.localdomain").to_wire(),
    )


@pytest.mark.parametrize("spelling", [f"::ffff:{NODE}", f"::FFFF:{NODE}"])
def test_host_is_recognised_however_its_address_is_spelled(spelling: str) -> None:
    assert isinstance(answer(TABLE, query("api-int.ocp45.example.localdomain"), spelling), Watched)


def test_client_whose_address_cannot_be_read_is_refused_recursion() -> None:
    reply = answer(FORWARDING, query("quay.io"), "not an address")
    assert isinstance(reply, bytes)
    assert dns.message.from_wire(reply).rcode() == dns.rcode.REFUSED


def test_stranger_that_asks_for_api_int_is_not_watched() -> None:
    assert isinstance(answer(TABLE, query("api-int.ocp45.example.localdomain"), OUTSIDER), bytes)


def test_replies_that_depend_on_the_client_are_never_kept() -> None:
    for name in ("api-int.ocp45.example.localdomain", "quay.io"):
        assert own_answer(FORWARDING, query(name)) is None


# Flags of refusals, signatures and updates


@pytest.mark.parametrize("opcode", [dns.opcode.STATUS, dns.opcode.NOTIFY, dns.opcode.UPDATE])
def test_refusal_of_another_opcode_has_no_flags_of_queries(opcode: dns.opcode.Opcode) -> None:
    message = dns.message.make_query("example.localdomain", "SOA")
    message.set_opcode(opcode)
    message.flags |= dns.flags.RD | dns.flags.CD
    reply = answer(TABLE, message.to_wire(), OUTSIDER)
    assert isinstance(reply, bytes)
    assert int.from_bytes(reply[2:4]) & (dns.flags.RD | dns.flags.CD) == 0


def test_refusal_of_a_query_copies_its_checking_disabled_bit() -> None:
    message = dns.message.make_query("quay.io", "A")
    message.flags |= dns.flags.CD
    assert asked(message.to_wire()).flags & (dns.flags.CD | dns.flags.RD) == dns.flags.CD | dns.flags.RD


def test_authoritative_answer_clears_the_checking_disabled_bit() -> None:
    message = dns.message.make_query("m1.ocp45.example.localdomain", "A")
    message.flags |= dns.flags.CD
    assert not asked(message.to_wire()).flags & dns.flags.CD


KEY = dns.tsig.Key("update.", "c2VjcmV0")


def signed(name: str = "m1.ocp45.example.localdomain", *, edns: bool = False) -> bytes:
    message = dns.message.from_wire(query(name, edns=edns))
    message.use_tsig(KEY)
    return message.to_wire()


@pytest.mark.parametrize("edns", [False, True])
@pytest.mark.parametrize("name", ["m1.ocp45.example.localdomain", "nowhere.example.localdomain", "quay.io"])
def test_signature_by_an_unknown_key_gets_notauth_with_badkey_unsigned(name: str, edns: bool) -> None:
    wire = signed(name, edns=edns)
    reply = answer(TABLE, wire, OUTSIDER)
    assert isinstance(reply, bytes)
    with pytest.raises(dns.tsig.PeerBadKey):
        dns.message.from_wire(reply, keyring=KEY, request_mac=b"")
    assert (reply[:2], reply[3] & 0xF, len(reply) < len(wire)) == (wire[:2], dns.rcode.NOTAUTH, True)


@pytest.mark.parametrize("cut", [1, 3, 6, 20])
def test_truncated_signature_is_a_format_error(cut: int) -> None:
    wire = signed()
    at = wire.rindex(b"\0\xfa\0\xff") + 8
    size = int.from_bytes(wire[at : at + 2]) - cut
    assert asked(wire[:at] + size.to_bytes(2) + wire[at + 2 : -cut]).rcode() == dns.rcode.FORMERR


def test_record_after_a_signature_is_a_format_error() -> None:
    wire = signed()
    after = wire[:11] + b"\2" + wire[12:] + b"\0\0\1\0\1" + bytes(6)
    assert asked(after).rcode() == dns.rcode.FORMERR


@pytest.mark.parametrize("fixed", [b"\0\xfa\0\1\0\0\0\0", b"\0\xfa\0\xff\0\0\0\1"], ids=["class", "ttl"])
def test_signature_of_another_class_or_ttl_is_a_format_error(fixed: bytes) -> None:
    wire = signed()
    at = wire.rindex(b"\0\xfa\0\xff")
    assert asked(wire[:at] + fixed + wire[at + 8 :]).rcode() == dns.rcode.FORMERR
