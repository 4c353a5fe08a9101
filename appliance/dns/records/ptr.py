"""PTR: the name that belongs to an address (RFC 1035 section 3.3.12)."""

from appliance.dns.rdata import Name, record_of_words

RECORD = record_of_words("PTR", 12, Name(), example="lb1")
