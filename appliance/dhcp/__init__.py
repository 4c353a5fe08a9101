"""DHCP for hosts that are pinned by their MAC address (RFC 2131), and what network boot needs of it."""
