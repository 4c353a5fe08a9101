"""Which program sent a DHCPv6 message, from the options in which it states it.

The one rule: the judge is DHCPv4's, because firmware says the same in both; only where it
is said differs.
"""

from appliance.dhcp.clients import ClientProfile, identify
from appliance.dhcp6.options import (
    OPT_CLIENT_ARCH,
    OPT_DNS_SERVERS,
    OPT_REQUEST,
    OPT_USER_CLASS,
    OPT_VENDOR_CLASS,
    Options,
    counted,
    only,
)

IPXE = b"iPXE"
_BOOT_CLIENTS = (b"PXEClient", b"HTTPClient")
ENTERPRISE_BYTES = 4


def identify_options(options: Options) -> ClientProfile:
    """Return the program that sends *options*."""
    users = options.get(OPT_USER_CLASS, ())
    is_ipxe = any(value == IPXE or IPXE in counted(value) for value in users)
    return identify(vendor_class(options), only(options, OPT_CLIENT_ARCH) or b"", IPXE if is_ipxe else b"", None)


def may_be_firmware(options: Options) -> bool:
    """Whether a message that states no program may be of firmware all the same.

    Where router advertisements have the flag M, edk2's IPv6 driver asks for an address of its own, beside PXE or HTTP
    Boot, and requests the DNS servers only. Systems request more.
    """
    is_stated = OPT_VENDOR_CLASS in options or OPT_USER_CLASS in options
    return not is_stated and only(options, OPT_REQUEST) == OPT_DNS_SERVERS.to_bytes(2, "big")


def vendor_class(options: Options) -> bytes:
    """Return the vendor class that says that firmware boots, or else the first; b"" without one."""
    classes = [text for value in options.get(OPT_VENDOR_CLASS, ()) for text in counted(value[ENTERPRISE_BYTES:])]
    booting = (text for text in classes if text.startswith(_BOOT_CLIENTS))
    return next(booting, classes[0] if classes else b"")
