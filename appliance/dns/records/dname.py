"""DNAME: the tree of names that this one is an alias of (RFC 6672).

No zone of ours has one. It is here for forwarded answers: RFC 6672 section 2.5
forbids servers to compress its target, and old servers do it all the same.
"""

from appliance.dns.rdata import Name, record_of_words

RECORD = record_of_words("DNAME", 39, Name())
