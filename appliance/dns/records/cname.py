"""CNAME: the name that this one is an alias of (RFC 1035 section 3.3.1).

It is the only record at its name: a resolver that meets it goes on to the target
and would never see another (RFC 1034 section 3.6.2, RFC 2181 section 10.1).
"""

from appliance.dns.rdata import Name, record_of_words

RECORD = record_of_words("CNAME", 5, Name(), example="lb1", is_alone=True)
