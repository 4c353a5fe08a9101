"""SRV: which hosts offer a service, and on which port (RFC 2782)."""

from appliance.dns.rdata import Name, Number, record_of_words

RECORD = record_of_words(
    "SRV",
    33,
    Number("priority"),
    Number("weight"),
    Number("port"),
    # RFC 2782 forbids servers to compress it, but RFC 3597 section 4 has receivers expect it compressed.
    Name(),
    example="0 10 389 ldap",
    adds_addresses=True,  # RFC 2782, "Target"
)
