"""NS: a name server of a zone (RFC 1035 section 3.3.11).

cluster.yaml cannot have this type: our zones get their NS records from `dns.nameServers`.
"""

from appliance.dns.rdata import Name, record_of_words

RECORD = record_of_words("NS", 2, Name("name server"), adds_addresses=True)  # RFC 1035 section 3.3.11
