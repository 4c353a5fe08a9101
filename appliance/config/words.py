"""The types of cluster.yaml's values, each with its parser and its JSON Schema."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Annotated, Any

from appliance.config import addresses, fields
from appliance.config.spelled import Spelled
from appliance.dns.records import BY_NAME, FILE_TYPES
from appliance.model import (
    BOOT_SERVER_DISTANCE,
    DHCP_PORT,
    Address,
    Arch,
    Balance,
    Boot,
    Cidr,
    DhcpMode,
    Endpoint,
    Engine,
    Install,
    Loader,
    LocalBoot,
    MacAddress,
    Probe,
    Release,
    Role,
)

# Where each service listens unless `listen` gives a port.
DEFAULT_PORTS = {"dns": 53, "tftp": 69, "http": 80, "dashboard": 8080}

RECORD_TYPES = FILE_TYPES

_ROLE_HINTS = {
    "control-plane": "control-plane is called master here, as in agent-config.yaml",
    "controlplane": "a control plane node is called master here, as in agent-config.yaml",
    "compute": "compute is called worker here, as in agent-config.yaml",
    "storage": "a storage node is installed as a worker and labelled later",
    "router": "a router node is installed as infra",
}
_BALANCE_HINTS = {"round-robin": "HAProxy's word is roundrobin"}
_ARCH_HINTS = {
    "amd64": "amd64 is called x86_64 here, as in RHCOS",
    "arm64": "arm64 is called aarch64 here, as in RHCOS",
}


def _text(*examples: str, **more: object) -> dict[str, Any]:
    return {"type": "string", "examples": list(examples)} | more


def _words(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words), "examples": [words[0]]}


def _whole(least: int, most: int, example: int, unit: str = "") -> Spelled:
    schema = {"type": "integer", "minimum": least, "maximum": most, "examples": [example]}
    return Spelled(fields.parse_whole(least, most, unit), schema)


def _duration(least: int, most: int) -> Spelled:
    schema = {"type": ["integer", "string"], "pattern": r"^\d+\s*[smhdwSMHDW]?$", "examples": ["90s", "30m", "7d"]}
    return Spelled(fields.parse_duration(least, most), schema)


def _endpoint(service: str) -> Spelled:
    port = DEFAULT_PORTS[service]
    return Spelled(addresses.parse_endpoint(port), _text(f"192.0.2.5:{port}", "192.0.2.5", f"[2001:db8::5]:{port}"))


_IPV4 = _text("192.0.2.21", pattern=r"^\d{1,3}(\.\d{1,3}){3}$")
_IPV4_CIDR = _text("192.0.2.0/24", pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$")
_RANGE = _text("192.0.2.254", "198.51.100.0/28", "2001:db8:9::/64")
_NAME = r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?$"
_FILE = r"^[A-Za-z0-9_+][A-Za-z0-9._+-]*(/[A-Za-z0-9_+][A-Za-z0-9._+-]*)*$"

_MAC = _text("52:54:00:12:34:56", pattern="^[0-9A-Fa-f]{2,4}([:.-]?[0-9A-Fa-f]{2,4})+$")
_RELEASE = {"type": ["string", "number"], "pattern": r"^\d+\.\d+", "examples": ["4.16.3", "4.5"]}
_IMAGE = _text("rhcos-4.16.3-x86_64-live-kernel-x86_64", pattern=_FILE)
_DISK = _text("/dev/sda", "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4", pattern="^/dev/")
_ARGUMENT = _text("console=ttyS1,115200n8", 'key="one two"', pattern=r"^\S+( \S+)*$")

Mac = Annotated[MacAddress, Spelled(addresses.parse_mac, _MAC)]
Ipv4 = Annotated[IPv4Address, Spelled(addresses.parse_ipv4, _IPV4)]
Ipv6 = Annotated[IPv6Address, Spelled(addresses.parse_ipv6, _text("2001:db8::21", pattern=":"))]
AnyAddress = Annotated[Address, Spelled(addresses.parse_address, _text("192.0.2.5", "2001:db8::5"))]
NameServerAddress = Annotated[
    Address, Spelled(addresses.parse_scoped_address, _text("192.0.2.5", "2001:db8::5", "fe80::1%eno1"))
]
HostAddress = Annotated[Address, Spelled(addresses.parse_address, _text("192.0.2.21", "2001:db8::21"))]
TimeServer = Annotated[Address | str, Spelled(addresses.parse_time_server, _text("192.0.2.60", "ntp.example.com"))]
AnyCidr = Annotated[Cidr, Spelled(addresses.parse_cidr, _text("192.0.2.0/24", "2001:db8::/64", pattern="/"))]
Ipv4Cidr = Annotated[IPv4Network, Spelled(addresses.parse_cidr4, _IPV4_CIDR)]
AnyRange = Annotated[Cidr, Spelled(addresses.parse_range, _RANGE)]
Domain = Annotated[str, Spelled(fields.parse_domain, _text("ocp45.example.com", pattern=_NAME))]
ForwardedZone = Annotated[str, Spelled(fields.parse_zone, _text("corp.example.com", "10.in-addr.arpa", pattern=_NAME))]
HostName = Annotated[str, Spelled(fields.parse_domain, _text("m1", "m1.ocp45.example.com", pattern=_NAME))]
_LABEL = r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$"
Label = Annotated[str, Spelled(fields.parse_label, _text("ocp45", pattern=_LABEL))]
FrontEndName = Annotated[str, Spelled(fields.parse_label, _text("registry", pattern=_LABEL))]
RecordName = Annotated[str, Spelled(fields.parse_record_name, _text("lb1", "*.dev", "@", "192.0.2.111"))]
Mailbox = Annotated[str, Spelled(fields.parse_mailbox, _text("hostmaster@example.com", "hostmaster.example.com"))]
RoleWord = Annotated[Role, Spelled(fields.parse_enum(Role, _ROLE_HINTS), _words(*Role))]
BootWord = Annotated[Boot, Spelled(fields.parse_choice(Boot.INSTALLER, Boot.AGENT), _words("installer", "agent"))]
HostBootWord = Annotated[
    Boot,
    Spelled(
        fields.parse_choice(Boot.INSTALLER, Boot.AGENT, Boot.NODE_IMAGE), _words("installer", "agent", "node-image")
    ),
]
ArchWord = Annotated[Arch, Spelled(fields.parse_enum(Arch, _ARCH_HINTS), _words(*Arch))]
InstallWord = Annotated[Install, Spelled(fields.parse_enum(Install), _words(*Install))]
LocalBootWord = Annotated[LocalBoot, Spelled(fields.parse_enum(LocalBoot), _words(*LocalBoot))]
DhcpWord = Annotated[DhcpMode, Spelled(fields.parse_enum(DhcpMode), _words(*DhcpMode))]
RecordType = Annotated[
    str,
    Spelled(
        lambda text: fields.parse_one_of(RECORD_TYPES)(text.upper()),
        _words(*RECORD_TYPES),
    ),
]
ReleaseText = Annotated[Release, Spelled(fields.parse_release, _RELEASE)]
ImageRelease = Annotated[str, Spelled(fields.parse_image_release, _RELEASE)]
FileName = Annotated[str, Spelled(fields.parse_file_name, _IMAGE)]
LoaderName = Annotated[Loader | str, Spelled(fields.parse_loader, _text(*Loader, "efi/own.efi", pattern=_FILE))]
Sha256 = Annotated[str, Spelled(fields.parse_sha256, _text("0" * 64, pattern="^[0-9A-Fa-f]{64}$"))]
Disk = Annotated[str, Spelled(fields.parse_disk, _DISK)]
InterfaceName = Annotated[str, Spelled(fields.parse_interface, _text("eno1", maxLength=15))]
ProfileName = Annotated[str, Spelled(fields.parse_profile_name, _text("eno1"))]
BondOption = Annotated[
    str, Spelled(fields.parse_kernel_word, {"type": ["string", "integer"], "examples": ["100", "layer3+4"]})
]
KernelArgument = Annotated[str, Spelled(fields.parse_kernel_argument, _ARGUMENT)]
RecordValue = Annotated[str, Spelled(str, _text(*(BY_NAME[name].example for name in RECORD_TYPES)))]
Directory = Annotated[str, Spelled(fields.parse_directory, _text("/var/lib/ocp-appliance"))]
Truth = Annotated[bool, Spelled(fields.parse_truth, {"type": "boolean"})]
PrefixLength4 = Annotated[int, _whole(0, 32, 24)]
PrefixLength = Annotated[int, _whole(0, 128, 64)]
TableId = Annotated[int, _whole(0, 0xFFFFFFFF, 254)]
VlanId = Annotated[int, _whole(1, 4094, 40)]
Mtu = Annotated[int, _whole(576, 65535, 1500, "bytes")]
# The boot server's port is as far above it as 4011 is above 67, and must be a valid port too.
DhcpPort = Annotated[int, _whole(1, 65535 - BOOT_SERVER_DISTANCE, DHCP_PORT)]
Serial = Annotated[int, _whole(1, 0xFFFFFFFF, 2026010100)]
DnsSeconds = Annotated[int, _duration(0, 0x7FFFFFFF)]
MenuSeconds = Annotated[int, _duration(0, 86400)]
LeaseSeconds = Annotated[
    int,
    Spelled(
        fields.parse_lease,
        {"type": ["integer", "string"], "pattern": r"^(\d+\s*[smhdwSMHDW]?|infinite)$", "examples": ["7d", "infinite"]},
    ),
]
DnsEndpoint = Annotated[Endpoint, _endpoint("dns")]
TftpEndpoint = Annotated[Endpoint, _endpoint("tftp")]
HttpEndpoint = Annotated[Endpoint, _endpoint("http")]
DashboardEndpoint = Annotated[Endpoint, _endpoint("dashboard")]
EngineWord = Annotated[Engine, Spelled(fields.parse_enum(Engine), _words(*Engine))]
BalanceWord = Annotated[Balance, Spelled(fields.parse_enum(Balance, _BALANCE_HINTS), _words(*Balance))]
ProbeWord = Annotated[Probe, Spelled(fields.parse_enum(Probe), _words(*Probe))]
Port = Annotated[int, _whole(1, 65535, 6385)]
UrlPath = Annotated[str, Spelled(fields.parse_url_path, _text("/healthz", pattern=r"^/[!-~]*$"))]
Hold = Annotated[
    str, Spelled(fields.parse_one_of(("machineConfigServer", "none")), _words("machineConfigServer", "none"))
]
