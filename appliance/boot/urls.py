"""Every URL and path that a machine is given, and the names that they are made of.

The one rule: the address and port in a URL are those of the endpoint that the client
reaches, so that DHCP and every script lead to the same server.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote

from appliance.boot.loaders import KNOWN_LOADERS
from appliance.model import IN_PLACE_IGNITION, Address, Cluster, Endpoint, Host, MacAddress, Role

HTTP_PORT = 80

MENU = "pxeboot.ipxe"  # the first script of every machine: a host's own, or the menu for an unknown one
AUTOEXEC = "autoexec.ipxe"  # iPXE looks for this beside its own binary, by TFTP or HTTP, and runs it
SCRIPTS = "ipxe"  # directory of the hosts' own scripts, each named by a MAC address
GRUB_CONFIG = "grub.cfg"  # GRUB looks for this, and before that for grub.cfg-…, in the directories that it knows
GRUB = "grub"  # directory of what GRUB is told after that
GRUB_SCRIPT = f"{GRUB}/boot.cfg"  # for each client its own
NO_BOOT_FILE = "no-boot-file"  # never found: UEFI HTTP Boot is sent here when a machine is to start its disk
IGNITION = "ignition"  # directory of the Ignition files, each below a token
IGNITION_FILES = (*dict.fromkeys(role.ignition for role in Role if role.ignition), IN_PLACE_IGNITION)
SCRIPT_SUFFIX = ".ipxe"

# Directories at / that the web server uses itself, so that no image can be there.
RESERVED_DIRECTORIES = frozenset(
    {SCRIPTS, GRUB, IGNITION, *(name.partition("/")[0] for name in KNOWN_LOADERS if "/" in name)}
)
# Names at / that the web server uses itself. An image named as a loader would be served in the loader's place.
RESERVED_NAMES = frozenset(
    {MENU, AUTOEXEC, NO_BOOT_FILE, *IGNITION_FILES, *(name for name in KNOWN_LOADERS if "/" not in name)}
)

# The forms of iPXE: EFI programs, images for BIOS network boot, and an image in the form of a Linux kernel.
_LOADER_SUFFIXES = (".efi", ".pxe", ".kpxe", ".kkpxe", ".lkrn")

# Files that clients ask for and can do without: iPXE for a script beside its binary; coreos-installer for signatures;
# shim for revocations, further keys, its key manager and its fallback; GRUB for modules, their lists, fonts,
# translations and saved variables.
_OPTIONAL = re.compile(
    r"autoexec\.ipxe|.+\.sig|revocations\w*\.efi|shim_certificate\w*\.efi|(mm|fb)\w+\.efi|.+\.(mod|lst|pf2|g?mo)|grubenv"
)
_GRUB_BINARY = re.compile(r"grub\w*\.efi")


def is_reserved(name: str) -> bool:
    """Whether the web server uses /*name* itself, so that no image can have that name."""
    top, slash, _ = name.partition("/")
    is_taken = name in RESERVED_NAMES or bool(slash and top in RESERVED_DIRECTORIES)
    return is_taken or is_autoexec(name) or is_grub_config(name)


def is_autoexec(path: str) -> bool:
    """Whether *path* is the script that iPXE looks for in the directory of its own binary, whichever that is."""
    return path.rpartition("/")[2] == AUTOEXEC


def is_grub_config(path: str) -> bool:
    """Whether *path* is a configuration that GRUB looks for by itself: for its MAC address, its address, or any."""
    name = _last_part(path)
    return name == GRUB_CONFIG or name.startswith(f"{GRUB_CONFIG}-")


def is_grub_script(path: str) -> bool:
    """Whether *path*, a name that GRUB requests by TFTP, is what it is told by our configuration."""
    return path.lower().strip("/") == GRUB_SCRIPT


def is_grub_binary(path: str) -> bool:
    """Whether *path* is GRUB itself, which shim or firmware fetches."""
    return _GRUB_BINARY.fullmatch(_last_part(path)) is not None


def is_optional(path: str) -> bool:
    """Whether clients that ask for *path* can do without it, so that it is no fault if it is missing."""
    return _OPTIONAL.fullmatch(_last_part(path)) is not None


def is_script_path(path: str) -> bool:
    """Whether *path* names an iPXE script. iPXE fetches scripts by TFTP too, so not every such file is a loader."""
    return path.lower().endswith(SCRIPT_SUFFIX)


def is_loader_path(path: str) -> bool:
    """Whether *path* names a program that firmware starts."""
    return path.lower().endswith(_LOADER_SUFFIXES) and not is_script_path(path)


def _last_part(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2].lower()


def endpoint_of(server: Address, endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """Return the endpoint that accepts connections to the address *server*, or None.

    It is the first that has this address, or the wildcard address of its family.
    """
    # A socket on [::] accepts no IPv4 connections (IPV6_V6ONLY, sockets.py): each wildcard serves one family.
    return next(
        (
            endpoint
            for endpoint in endpoints
            if endpoint.address == server
            or (endpoint.address.is_unspecified and endpoint.address.version == server.version)
        ),
        None,
    )


def server_url(server: Address, endpoints: Sequence[Endpoint]) -> str:
    """Return the URL of the web server at the address *server*, which listens on *endpoints*; without a final slash."""
    endpoint = endpoint_of(server, endpoints)
    if endpoint is None and endpoints:
        # We do not listen there. Something else may forward the address to us, as a container's published port does,
        # and then most likely from the same port. `validate` warns about it.
        endpoint = endpoints[0]
    port = endpoint.port if endpoint is not None else HTTP_PORT
    host = f"[{server}]" if server.version == 6 else str(server)
    return f"http://{host}" if port == HTTP_PORT else f"http://{host}:{port}"


def base_url(cluster: Cluster, client: Address | None = None) -> str:
    """Return the URL of the appliance's web server as *client* reaches it; without a final slash.

    A client outside every machine network gets the appliance's own address of its family, and None the main one.
    """
    if client is None:
        return server_url(cluster.address, cluster.listen.http)
    network = cluster.network_of(client)
    server = network.server if network is not None else cluster.own_address(client.version)
    return server_url(server, cluster.listen.http)


def menu_url(base: str) -> str:
    """Return the URL of the first script of every machine."""
    return f"{base}/{MENU}"


def script_url(base: str, mac: MacAddress) -> str:
    """Return the URL of the script of the host with *mac*; only that host may fetch it."""
    return f"{base}/{SCRIPTS}/{mac.hyphenated}{SCRIPT_SUFFIX}"


def grub_script_url(base: str) -> str:
    """Return the URL of what GRUB is told; for each client its own."""
    return f"{base}/{GRUB_SCRIPT}"


def grub_device(url: str) -> str:
    """Return the device by which GRUB names the web server *url*."""
    return f"(http,{url.removeprefix('http://')})"


def loader_url(base: str, loader: str) -> str:
    """Return the URL of the boot file *loader*, for UEFI HTTP Boot."""
    return f"{base}/{loader}"


def no_boot_file_url(base: str) -> str:
    """Return the URL that is never found.

    Over IPv6 edk2 waits for a router, up to 12 s, before it fetches anything. There the
    scheme is one that it refuses at once, as it has since 2017; before, it took any for http.
    """
    return f"{base.replace('http:', 'none:') if base.startswith('http://[') else base}/{NO_BOOT_FILE}"


def image_url(base: str, name: str) -> str:
    """Return the URL of the image *name*."""
    return f"{base}/{quote(name)}"


def ignition_url(base: str, token: str, host: Host) -> str:
    """Return the URL of the Ignition file of *host* for the installation with *token*."""
    return f"{base}/{IGNITION}/{token}/{host.ignition}"
