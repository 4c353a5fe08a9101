"""SOA: the start of a zone, and how long its data may be cached (RFC 1035 section 3.3.13).

cluster.yaml cannot have this type: each of our zones makes its own.
"""

from appliance.dns.rdata import Name, Number, record_of_words

RECORD = record_of_words(
    "SOA",
    6,
    Name("primary server"),
    Name("mailbox"),
    *(Number(label, octets=4) for label in ("serial", "refresh", "retry", "expire", "minimum")),
    encoder_arguments=lambda primary, mailbox, *times: (primary, mailbox, times),
)
