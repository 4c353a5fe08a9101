"""Compiles clusters into finished answers: dnslib encodes every record, and parses it again as a check.

An answer is everything that follows the question. No name in it is compressed,
except owner names that equal the question's name, which is always at offset 12. So the
same bytes fit questions of any length, which wildcards and negative answers need.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

import dnslib
from dnslib.label import DNSBuffer

from appliance.dns.contents import empty_root, local_zones, zones_of
from appliance.dns.message import AA, CLASS_IN, QR, RA, RD, Rcode, wire_name
from appliance.dns.records import record_type
from appliance.dns.tree import Tree
from appliance.dns.upstreams import KEY_DS, Forwarding, forwarding_of
from appliance.dns.zone import Rrset, Zone, parent_of
from appliance.model import Address, Cluster
from appliance.openshift import names

QUESTION_NAME = b"\xc0\x0c"  # a compression pointer to offset 12 (RFC 1035 section 4.1.4)
LOCAL_SERIAL = 1  # of the zones for private addresses, whose contents never change

_KEY_ANY = (255).to_bytes(2) + CLASS_IN

Sections = tuple[list[bytes], list[bytes], list[bytes]]  # records of answer, authority and additional


@dataclass(frozen=True, slots=True)
class Answer:
    """The parts of a reply around its question: flags and counts before it, records after it.

    Each field has four forms: for RD clear and RD set, then the same two with one more
    additional record in the counts, for the OPT record that is appended to the reply.
    Only replies with RD clear contain the zone's name servers, as with BIND's defaults.
    """

    forms: tuple[tuple[bytes, bytes], ...]
    short_forms: tuple[tuple[bytes, bytes], ...]  # without optional records, for clients that accept only small replies
    # The name that forwarders know and we do not, b"" for none: the end of a chain of CNAMEs outside our zones, or the
    # name of a zone of ours whose DS is asked for (RFC 4035 section 3.1.4.1).
    alias: bytes = b""


@dataclass(frozen=True, slots=True)
class Node:
    """A name in our zones, with records of its own or only with names below it."""

    answers: Mapping[bytes, Answer]  # by type and class
    otherwise: Answer | None  # for any other type: NODATA, or the CNAME; None where forwarded names begin
    # Answers for names below that do not exist: the wildcard's (RFC 4592), or NXDOMAIN; None where these are not ours.
    below: "Node | None"
    is_watched: bool = False  # a host's query for it shows how far its installation has come


@dataclass(frozen=True, slots=True)
class DnsTable:
    """Everything that the DNS server answers from."""

    nodes: Mapping[bytes, Node]  # by name, in lower case and wire form, as are the two below
    elsewhere: Mapping[bytes, Node]  # what clients in allow_recursion get for names outside; empty for nothing
    borders: Mapping[bytes, bool]  # where a zone of ours begins (True), or forwarded names (False)
    serials: Mapping[str, int]  # by zone, without those for private addresses
    hosts: Mapping[Address, str]  # by address: the name of the host
    allow_recursion: tuple[IPv4Network | IPv6Network, ...]
    forwarding: Forwarding

    def forwards_as(self, other: "DnsTable") -> bool:
        """Whether a foreign name has the same answer with *other*."""
        return (self.forwarding, self.borders) == (other.forwarding, other.borders)


def compile_dns(clusters: tuple[Cluster, ...], serial_of: Callable[[str, str], int]) -> DnsTable:
    """Return the answers for *clusters*. *serial_of(zone, digest)* returns the SOA serial of a zone with that content.

    Raises ValueError for a record of an unknown type.
    """
    zones = zones_of(clusters)
    serials = {zone.name: serial_of(zone.name, zone.digest) for zone in zones}
    tree = _tree(clusters, zones, serials)
    forwarding = forwarding_of(clusters)
    watched = {names.api_int(cluster.domain) for cluster in clusters}
    return DnsTable(
        nodes=_Compiler(tree, recursion_available=bool(forwarding)).nodes(watched),
        elsewhere=_elsewhere(tree) if clusters and all(cluster.dns.is_isolated for cluster in clusters) else {},
        borders={wire_name(name): True for name in tree.zones} | {wire_name(name): False for name in tree.forwarded},
        serials=serials,
        hosts={address: host.name for cluster in clusters for host in cluster.hosts for address in host.addresses},
        allow_recursion=tuple(
            dict.fromkeys(network for cluster in clusters for network in cluster.dns.allow_recursion)
        ),
        forwarding=forwarding,
    )


def _tree(clusters: tuple[Cluster, ...], zones: tuple[Zone, ...], serials: Mapping[str, int]) -> Tree:
    forwarded = {entry.zone for cluster in clusters for entry in cluster.dns.forward}
    asking = [cluster.dns for cluster in clusters if cluster.dns.forwarders]
    # Each cluster's forwarders may be asked, so all of them must know the private names.
    know_private = bool(asking) and all(dns.forward_private_reverse for dns in asking)
    local = local_zones(serials, forwarded, with_private=not know_private)
    return Tree((*local, *zones), {**serials, **{zone.name: LOCAL_SERIAL for zone in local}}, forwarded)


def _elsewhere(tree: Tree) -> dict[bytes, Node]:
    """Return the answers of an empty root zone, in which only the names above our zones and forwarded ones exist."""
    compiler = _Compiler(Tree((empty_root(),), {"": LOCAL_SERIAL}), recursion_available=False)
    nodes = compiler.nodes(set())
    exists = Node({}, compiler.no_data[""], compiler.no_name[""])
    for name in (*tree.zones, *tree.forwarded):
        # A resolver may take a name without records below it as proof that none of those exists (RFC 8020).
        while name := parent_of(name):
            nodes.setdefault(wire_name(name), exists)
    return nodes


class _Compiler:
    """Encodes the answers for every name of a tree."""

    def __init__(self, tree: Tree, *, recursion_available: bool) -> None:
        self.tree = tree
        self.flags = bytes([QR | AA, RA if recursion_available else 0])
        self.no_data = {apex: self._negative((), apex, Rcode.NOERROR) for apex in tree.zones}
        self.no_name = {apex: self._no_name(apex) for apex in tree.zones}
        self.servers = {apex: self._servers(apex) for apex in tree.zones}

    def nodes(self, watched: set[str]) -> dict[bytes, Node]:
        """Return every name, in wire form, with its answers; those at one of the names *watched* are marked."""
        nodes: dict[str, Node] = {}
        # The deepest names first, because a name refers to the node of the wildcard below it.
        for name in sorted(self.tree.names, key=lambda name: -name.count(".")):
            apex = self.tree.apex(name)
            if apex is None:
                nodes[name] = self._border(name)
                continue
            answers, otherwise = self._answers(name, apex)
            below = nodes.get(f"*.{name}", self.no_name[apex])
            nodes[name] = Node(answers, otherwise, below, is_watched=name in watched)
        return {wire_name(name): node for name, node in nodes.items()}

    def _border(self, name: str) -> Node:
        """Return the answers at a name in a zone of ours where forwarded names begin: only that it has no DS."""
        parent = self.tree.apex(parent_of(name))
        return Node({} if parent is None else {KEY_DS: self.no_data[parent]}, None, None)

    def _answers(self, name: str, apex: str) -> tuple[dict[bytes, Answer], Answer]:
        rrsets = self.tree.names[name]
        if "CNAME" in rrsets:
            return self._alias_answers(rrsets["CNAME"], apex)
        answers = {_key(rrset.type): self._positive((rrset,), apex) for rrset in rrsets.values()}
        if answers:
            # A single record set is a complete answer to ANY (RFC 8482 section 4.1).
            answers[_KEY_ANY] = next(iter(answers.values()))
        if name in self.tree.zones:
            answers[KEY_DS] = self._delegation((), name)
        return answers, self.no_data[apex]

    def _delegation(self, aliases: tuple[Rrset, ...], apex: str) -> Answer:
        """Return the answer about DS at the name of a zone of ours, to which *aliases* lead.

        DS belongs to the parent's side of a zone cut (RFC 4035 section 3.1.4.1), so the
        answer has the parent's SOA. Where the parent is not ours, its servers know more:
        a client that checks signatures needs their proof that our zone has none.
        """
        parent = self.tree.apex(parent_of(apex))
        if parent is not None:
            return self._negative(aliases, parent, Rcode.NOERROR)
        return self._negative(aliases, apex, Rcode.NOERROR, alias=wire_name(apex))

    def _alias_answers(self, alias: Rrset, apex: str) -> tuple[dict[bytes, Answer], Answer]:
        """Return the answers at a CNAME by type, and the answer for all other types (RFC 1034 section 4.3.2)."""
        chain = self.tree.chain(alias)
        end = self.tree.apex(chain.target)
        alone = self._positive((alias,), apex)
        answers = {_key("CNAME"): alone, _KEY_ANY: alone}
        if end is None:
            return answers, self._positive(chain.aliases, apex, wire_name(chain.target))
        for kind, rrset in (chain.rrsets or {}).items():
            answers[_key(kind)] = self._positive((*chain.aliases, rrset), end)
        if chain.target in self.tree.zones:
            answers[KEY_DS] = self._delegation(chain.aliases, chain.target)
        if chain.rrsets is not None:
            return answers, self._negative(chain.aliases, end, Rcode.NOERROR)
        answers[_key("SOA")] = self._negative(chain.aliases, end, Rcode.NXDOMAIN, ttl=0)  # see _no_name
        return answers, self._negative(chain.aliases, end, Rcode.NXDOMAIN)

    def _positive(self, rrsets: tuple[Rrset, ...], apex: str, alias: bytes = b"") -> Answer:
        """Return the answer that consists of *rrsets*, CNAMEs first; *apex* is the zone whose servers go with it."""
        answer = _encoded_chain(rrsets)
        last = rrsets[-1]
        addresses = self._addresses(last, apex)
        present = {(rrset.name, rrset.type) for rrset in rrsets}
        wanted = {key: records for key, records in addresses.items() if key not in present}
        servers, server_addresses = self.servers[apex]
        # Left out where they would repeat the answer, and where the chain ends in a zone that is not theirs.
        if alias or (last.name, last.type) == (apex, "NS"):
            servers, server_addresses = [], {}
        more = {key: records for key, records in server_addresses.items() if key not in present}
        full = (answer, servers, _joined((wanted | more).values()))
        return self._answer(Rcode.NOERROR, full, (answer, [], _joined(wanted.values())), (answer, [], []), alias)

    def _no_name(self, apex: str) -> Node:
        """Return the answers for names that do not exist."""
        # A client that looks for the apex of a zone asks for the SOA of one name after another. With a TTL of zero,
        # as of BIND's zero-no-soa-ttl, it does not miss a zone that is created there soon after.
        uncached = self._negative((), apex, Rcode.NXDOMAIN, ttl=0)
        return Node({_key("SOA"): uncached}, self._negative((), apex, Rcode.NXDOMAIN), None)

    def _negative(
        self, aliases: tuple[Rrset, ...], apex: str, rcode: Rcode, *, ttl: int | None = None, alias: bytes = b""
    ) -> Answer:
        """Return a negative answer, with the SOA whose TTL states how long it may be cached (RFC 2308 section 3)."""
        seconds = self.tree.zones[apex].soa.negative_ttl if ttl is None else ttl
        with_ttl = Rrset(apex, "SOA", seconds, self.tree.soa(apex).values)
        sections: Sections = (_encoded_chain(aliases), _encoded(wire_name(apex), with_ttl), [])
        return self._answer(rcode, sections, sections, sections, alias)

    def _servers(self, apex: str) -> tuple[list[bytes], dict[tuple[str, str], list[bytes]]]:
        servers = self.tree.names[apex]["NS"]
        found = self._addresses(servers, apex)
        # One family is enough to reach a server, and both would make replies to forged addresses longer.
        one = {key: records for key, records in found.items() if key[1] == "A" or (key[0], "A") not in found}
        return _encoded(wire_name(apex), servers), one

    def _addresses(self, rrset: Rrset, apex: str) -> dict[tuple[str, str], list[bytes]]:
        """Return the addresses of the hosts that *rrset* names, if they are in the zone *apex*: by owner name and type.

        They go in the additional section.
        """
        kind = record_type(rrset.type)
        if not kind.adds_addresses:
            return {}
        targets = (kind.names(value)[-1] for value in rrset.values)
        return {
            (target, address_type): _encoded(wire_name(target), found)
            for target in targets
            for address_type, found in (self.tree.found(target) or {}).items()
            if address_type in ("A", "AAAA") and self.tree.apex(target) == apex
        }

    def _answer(self, rcode: Rcode, full: Sections, brief: Sections, bare: Sections, alias: bytes = b"") -> Answer:
        return Answer(self._forms(rcode, full, brief), self._forms(rcode, bare, bare), alias)

    def _forms(self, rcode: Rcode, without_rd: Sections, with_rd: Sections) -> tuple[tuple[bytes, bytes], ...]:
        return tuple(
            (self._head(desired, rcode, sections, opts), b"".join(map(b"".join, sections)))
            for opts in (0, 1)
            for desired, sections in ((0, without_rd), (RD, with_rd))
        )

    def _head(self, recursion_desired: int, rcode: Rcode, sections: Sections, opts: int) -> bytes:
        answer, authority, additional = map(len, sections)
        counts = b"".join(count.to_bytes(2) for count in (1, answer, authority, additional + opts))
        return bytes([self.flags[0] | recursion_desired, self.flags[1] | rcode]) + counts


class _PlainBuffer(DNSBuffer):  # type: ignore[misc]  # dnslib has no types
    """A dnslib buffer that does not compress names."""

    encode_name = DNSBuffer.encode_name_nocompress


def _key(kind: str) -> bytes:
    return record_type(kind).number.to_bytes(2) + CLASS_IN


def _encoded_chain(rrsets: tuple[Rrset, ...]) -> list[bytes]:
    """Return the records of *rrsets*; the owner of the first is the question's name."""
    owners = (wire_name(rrset.name) if index else QUESTION_NAME for index, rrset in enumerate(rrsets))
    return _joined(_encoded(owner, rrset) for owner, rrset in zip(owners, rrsets, strict=True))


def _encoded(owner: bytes, rrset: Rrset) -> list[bytes]:
    fixed = owner + _key(rrset.type) + rrset.ttl.to_bytes(4)
    datas = (encoded_value(rrset.type, value) for value in rrset.values)
    return [fixed + len(data).to_bytes(2) + data for data in datas]


def encoded_value(kind: str, value: str) -> bytes:
    """Return the RDATA of *value*, encoded by dnslib without compressed names. Raises ValueError for an unknown type.

    Raises AssertionError when dnslib does not parse its own encoding to the same value.
    """
    rdata = getattr(dnslib, kind)(*record_type(kind).encoder_arguments(value))
    buffer = _PlainBuffer()
    rdata.pack(buffer)
    data = bytes(buffer.data)
    # The library's encoder and parser check each other: a value that either gets wrong must not be served.
    if type(rdata).parse(DNSBuffer(data), len(data)) != rdata:
        raise AssertionError(f"dnslib parses its own encoding of {kind} {value!r} to another value")
    return data


def _joined(lists: Iterable[list[bytes]]) -> list[bytes]:
    return [item for items in lists for item in items]
