"""MX: the host that accepts mail for a domain (RFC 1035 section 3.3.9)."""

from appliance.dns.rdata import Name, Number, record_of_words

RECORD = record_of_words(
    "MX",
    15,
    Number("preference"),
    Name(),
    encoder_arguments=lambda preference, target: (target, preference),
    example="10 mail",
    adds_addresses=True,  # RFC 1035 section 3.3.9
)
