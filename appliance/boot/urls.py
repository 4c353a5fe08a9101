"""Every URL and path that a machine is given: made here, and taken apart here.

The one rule: the web server's address and port in a URL come from the endpoint that
the client reaches, so that DHCP and every script name the same place.
"""

from collections.abc import Sequence
from urllib.parse import quote

from appliance.boot.loaders import KNOWN_LOADERS
from appliance.model import Address, Cluster, Endpoint, MacAddress, Role

HTTP_PORT = 80

MENU = "pxeboot.ipxe"  # the first script of every machine: a host's own, or the menu for an unknown one
AUTOEXEC = "autoexec.ipxe"  # iPXE looks for this beside its own binary, by TFTP or HTTP, and runs it
SCRIPTS = "ipxe"  # directory of the hosts' own scripts, each named by a MAC address
IGNITION = "ignition"  # directory of the Ignition files, each below a token
IGNITION_FILES = tuple(dict.fromkeys(role.ignition for role in Role))
SCRIPT_SUFFIX = ".ipxe"

# Top directories of the web server that hold no image of the operator's.
RESERVED_DIRECTORIES = frozenset(
    {SCRIPTS, IGNITION, *(name.partition("/")[0] for name in KNOWN_LOADERS if "/" in name)}
)
# A loader of this name would hide behind the image, and firmware would start a kernel in its place.
RESERVED_NAMES = frozenset({MENU, AUTOEXEC, *IGNITION_FILES, *(name for name in KNOWN_LOADERS if "/" not in name)})

# What iPXE is built as: EFI programs, images for BIOS network boot, and one in the form of a Linux kernel.
_LOADER_SUFFIXES = (".efi", ".pxe", ".kpxe", ".kkpxe", ".lkrn")


def is_reserved(name: str) -> bool:
    """Whether the web server gives /*name* to something else than an image."""
    top, slash, _ = name.partition("/")
    return name in RESERVED_NAMES or bool(slash and top in RESERVED_DIRECTORIES) or is_autoexec(name)


def is_autoexec(path: str) -> bool:
    """Whether *path* is where iPXE looks for a script to run, in whichever directory its binary came from."""
    return path.rpartition("/")[2] == AUTOEXEC


def is_script_path(path: str) -> bool:
    """Whether *path* names an iPXE script, and so no loader: iPXE fetches those by TFTP too."""
    return path.lower().endswith(SCRIPT_SUFFIX)


def is_loader_path(path: str) -> bool:
    """Whether *path* names a program that firmware starts."""
    return path.lower().endswith(_LOADER_SUFFIXES) and not is_script_path(path)


def endpoint_of(server: Address, endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """Return the endpoint that a client of *server* reaches: its own, or a wildcard of its family; None without one."""
    # A socket on [::] takes no IPv4 (IPV6_V6ONLY), so each wildcard serves its own family alone.
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
    """Return the URL of the web server at *server*, which listens on *endpoints*, without a slash at the end."""
    endpoint = endpoint_of(server, endpoints)
    if endpoint is None and endpoints:
        # Nothing of ours listens there: somebody forwards the address to us, most likely from the same port.
        # `validate` warns of it.
        endpoint = endpoints[0]
    port = endpoint.port if endpoint is not None else HTTP_PORT
    host = f"[{server}]" if server.version == 6 else str(server)
    return f"http://{host}" if port == HTTP_PORT else f"http://{host}:{port}"


def base_url(cluster: Cluster, client: Address | None = None) -> str:
    """Return the URL of the appliance's web server as *client* reaches it, without a slash at the end.

    A client outside every machine network, or None, gets the appliance's own address.
    """
    network = cluster.network_of(client) if client is not None else None
    return server_url(network.server if network is not None else cluster.address, cluster.listen.http)


def menu_url(base: str) -> str:
    """Return the URL of the first script of every machine."""
    return f"{base}/{MENU}"


def script_url(base: str, mac: MacAddress) -> str:
    """Return the URL of the script of the host with *mac*, which is given to that host alone."""
    return f"{base}/{SCRIPTS}/{mac.hyphenated}{SCRIPT_SUFFIX}"


def loader_url(base: str, loader: str) -> str:
    """Return the URL of the boot file *loader*, for UEFI HTTP Boot."""
    return f"{base}/{loader}"


def image_url(base: str, name: str) -> str:
    """Return the URL of the image *name*."""
    return f"{base}/{quote(name)}"


def ignition_url(base: str, token: str, role: Role) -> str:
    """Return the URL of the Ignition file of *role* for the installation with *token*."""
    return f"{base}/{IGNITION}/{token}/{role.ignition}"
