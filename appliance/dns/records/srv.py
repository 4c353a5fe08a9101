"""SRV: the hosts that offer a service, and the port on each (RFC 2782)."""

from appliance.dns.rdata import Name, Number, record_of_words

RECORD = record_of_words(
    "SRV",
    33,
    Number("priority"),
    Number("weight"),
    Number("port"),
    # RFC 2782 forbids servers to compress the target, but RFC 3597 section 4 has receivers accept a compressed one.
    Name(),
    example="0 10 389 ldap",
    adds_addresses=True,  # RFC 2782, "Target"
)
