"""CNAME: the name that its owner is an alias of (RFC 1035 section 3.3.1).

It is the only record at its name: a resolver that finds it goes on to the target, and
would never see another record (RFC 1034 section 3.6.2, RFC 2181 section 10.1).
"""

from appliance.dns.rdata import Name, record_of_words

RECORD = record_of_words("CNAME", 5, Name(), example="lb1")
