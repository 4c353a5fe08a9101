"""DNAME: the tree of names that the tree below its owner is an alias of (RFC 6672).

Our zones have none. The type is known for forwarded answers: RFC 6672 section 2.5
forbids servers to compress the target, but old servers do it nevertheless.
"""

from appliance.dns.rdata import Name, record_of_words

RECORD = record_of_words("DNAME", 39, Name())
