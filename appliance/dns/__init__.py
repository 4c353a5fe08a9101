"""DNS: authoritative answers from compiled zones (RFC 1035), and forwarding of all other queries."""
