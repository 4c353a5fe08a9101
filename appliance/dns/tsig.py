"""TSIG (RFC 8945) as a server without keys has to know it: every signature is by an unknown key."""

from appliance.dns.message import MessageError, RecordSpan, expanded_name, records

TYPE_TSIG = 250
TYPE_BYTES = TYPE_TSIG.to_bytes(2)
_FIXED = TYPE_BYTES + b"\0\xff" + bytes(4)  # class ANY and a TTL of zero
_BADKEY = 17
_TIME_BYTES = 8  # when it was signed, in 48 bits, and how much clocks may differ
_TAIL_BYTES = 6  # the original id, the error, and the length of other data


def bad_key(query: bytes, at: int) -> bytes | None:
    """Return the TSIG record that answers the one among the records of *query* from offset *at* on; None without one.

    It states that the key is unknown, and has no signature (RFC 8945 section 5.3.2).
    Raises MessageError if the record is malformed or not the last one (section 5.1).
    """
    total = sum(int.from_bytes(query[offset : offset + 2]) for offset in (6, 8, 10))
    found = list(records(query, at, total))
    signatures = [record for record in found if record.type == TYPE_TSIG]
    if not signatures:
        return None
    if signatures != found[-1:] or query[10:12] == b"\0\0":
        raise MessageError("a TSIG record is not the last record")
    return _answered(query, signatures[0])


def _answered(query: bytes, signature: RecordSpan) -> bytes:
    if query[signature.name_end : signature.data - 2] != _FIXED:
        raise MessageError("a TSIG record has another class or TTL")
    owner, _ = expanded_name(query, signature.start)
    algorithm, at = expanded_name(query, signature.data)
    size_at = at + _TIME_BYTES
    tail_at = size_at + 2 + int.from_bytes(query[size_at : size_at + 2])
    other_at = tail_at + _TAIL_BYTES
    if other_at > signature.end or other_at + int.from_bytes(query[other_at - 2 : other_at]) != signature.end:
        raise MessageError("a TSIG record is truncated")
    original_id = query[tail_at : tail_at + 2]
    data = algorithm + query[at:size_at] + b"\0\0" + original_id + _BADKEY.to_bytes(2) + b"\0\0"
    return owner + _FIXED + len(data).to_bytes(2) + data
