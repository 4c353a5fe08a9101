"""Clusters for tests, built in Python: the reference cluster, and variations on it."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from appliance.model import (
    Arch,
    Cluster,
    DhcpMode,
    DnsSettings,
    Endpoint,
    Host,
    Image,
    Images,
    Install,
    Listen,
    Loader,
    LocalBoot,
    MacAddress,
    NameServer,
    Network,
    Release,
    Role,
)

APPLIANCE = IPv4Address("172.16.0.101")

NODES = (
    ("bs", Role.BOOTSTRAP, "172.16.0.11", "00:50:56:96:11:c2"),
    ("m1", Role.MASTER, "172.16.0.21", "00:50:56:96:37:c8"),
    ("m2", Role.MASTER, "172.16.0.22", "00:50:56:96:ec:a7"),
    ("m3", Role.MASTER, "172.16.0.23", "00:50:56:96:e5:2f"),
    ("w1", Role.WORKER, "172.16.0.31", "00:50:56:96:6b:da"),
    ("w2", Role.WORKER, "172.16.0.32", "00:50:56:96:c1:c5"),
    ("w3", Role.WORKER, "172.16.0.33", "00:50:56:96:e3:f5"),
)

LEGACY_IMAGES = Images(
    kernel=Image("rhcos-4.5.6-x86_64-installer-kernel-x86_64", None),
    initramfs=Image("rhcos-4.5.6-x86_64-installer-initramfs.x86_64.img", None),
    rootfs=None,
    metal=Image("rhcos-4.5.6-x86_64-metal.x86_64.raw.gz", None),
)
LIVE_IMAGES = Images(
    kernel=Image("rhcos-4.16.3-x86_64-live-kernel-x86_64", None),
    initramfs=Image("rhcos-4.16.3-x86_64-live-initramfs.x86_64.img", None),
    rootfs=Image("rhcos-4.16.3-x86_64-live-rootfs.x86_64.img", None),
    metal=None,
)


def host(name: str, role: Role, address: str, mac: str, domain: str = "ocp45.example.localdomain") -> Host:
    """Return a host with the defaults that cluster.yaml would give it."""
    return Host(
        name=f"{name}.{domain}",
        role=role,
        macs=(MacAddress.parse(mac),),
        addresses=(IPv4Address(address),),
        arch=Arch.X86_64,
        install_disk="/dev/sda",
        kernel_arguments=(),
        network_arguments=(),
        loader=Loader.AUTO,
        install=Install.ONCE,
        local_boot=LocalBoot.NO_OFFER,
    )


def reference_cluster(data_dir: Path = Path("/var/lib/ocp-appliance"), **changes: object) -> Cluster:
    """Return the reference cluster of data/ocp45/cluster.yaml; *changes* replace fields of Cluster."""
    cluster = Cluster(
        name="ocp45",
        base_domain="example.localdomain",
        release=Release(4, 5),
        appliance_name="bastion.example.localdomain",
        address=APPLIANCE,
        networks=(
            Network(
                cidr=IPv4Network("172.16.0.0/24"),
                server=APPLIANCE,
                gateway=IPv4Address("172.16.0.254"),
                dns_servers=(APPLIANCE,),
                ntp_servers=(),
                domain="ocp45.example.localdomain",
                search=(),
                mtu=None,
                lease_seconds=7 * 86400,
            ),
        ),
        api_vips=(IPv4Address("172.16.0.111"),),
        api_int_vips=(IPv4Address("172.16.0.110"),),
        ingress_vips=(IPv4Address("172.16.0.111"),),
        hosts=tuple(host(*node) for node in NODES),
        dns=DnsSettings(
            zone="example.localdomain",
            name_servers=(NameServer("ns1.example.localdomain", (IPv4Address("172.16.0.102"),)),),
            mailbox="root.example.localdomain",
            serial=2000091802,
            ttl=3600,
            refresh=3600,
            retry=900,
            expire=3600000,
            minimum=3600,
            records=(),
            forwarders=(),
            forward=(),
            forward_private_reverse=False,
            drop_private_answers=False,
            is_isolated=True,
            allow_recursion=(IPv4Network("172.16.0.0/24"),),
            rfc2317=False,
        ),
        dhcp=DhcpMode.FULL,
        listen=Listen(
            dns=(Endpoint(APPLIANCE, 53),),
            dhcp=(),
            dhcp_port=67,
            tftp=(Endpoint(APPLIANCE, 69),),
            tftp_single_port=False,
            http=(Endpoint(APPLIANCE, 80),),
            dashboard=(Endpoint(IPv4Address("127.0.0.1"), 8080),),
        ),
        images={Arch.X86_64: LEGACY_IMAGES},
        menu_seconds=300,
        known_menu_seconds=10,
        hold_workers=True,
        serve_expired=False,
        data_dir=data_dir,
        source=Path("data/ocp45/cluster.yaml"),
        digest="0" * 64,
    )
    return replace(cluster, **changes)  # type: ignore[arg-type]
