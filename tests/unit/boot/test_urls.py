"""URLs that machines get, and names that are reserved for the web server."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest

from appliance.boot import ipxe, urls
from appliance.boot.loaders import KNOWN_LOADERS
from appliance.model import Cluster, Endpoint, MacAddress, Role
from tests.clusters import APPLIANCE, host, reference_cluster

ANY4, ANY6 = IPv4Address("0.0.0.0"), IPv6Address("::")
V6 = IPv6Address("2001:db8::5")


def listening(*http: Endpoint) -> Cluster:
    cluster = reference_cluster()
    return replace(cluster, listen=replace(cluster.listen, http=http))


def test_port_is_that_of_the_endpoint_at_the_servers_address() -> None:
    """A loopback endpoint that comes first does not give the scripts its port."""
    endpoints = (Endpoint(IPv4Address("127.0.0.1"), 8088), Endpoint(APPLIANCE, 80))
    assert urls.server_url(APPLIANCE, endpoints) == "http://172.16.0.101"


def test_wildcard_serves_every_address_of_its_family() -> None:
    assert urls.server_url(APPLIANCE, (Endpoint(ANY4, 8080),)) == "http://172.16.0.101:8080"


def test_ipv6_wildcard_serves_no_ipv4_address() -> None:
    assert urls.endpoint_of(APPLIANCE, (Endpoint(ANY6, 8080),)) is None
    assert urls.endpoint_of(V6, (Endpoint(ANY4, 8080), Endpoint(ANY6, 8081))) == Endpoint(ANY6, 8081)


def test_ipv6_address_is_in_brackets() -> None:
    assert urls.server_url(V6, (Endpoint(V6, 80),)) == "http://[2001:db8::5]"
    assert urls.server_url(V6, (Endpoint(V6, 8080),)) == "http://[2001:db8::5]:8080"


def test_address_without_an_endpoint_has_the_first_ones_port() -> None:
    assert urls.server_url(APPLIANCE, (Endpoint(V6, 8080), Endpoint(V6, 8081))) == "http://172.16.0.101:8080"


def test_server_that_listens_nowhere_is_on_port_80() -> None:
    assert urls.server_url(APPLIANCE, ()) == "http://172.16.0.101"


def test_url_has_the_port_when_it_is_not_80() -> None:
    assert urls.base_url(listening(Endpoint(APPLIANCE, 8081))) == "http://172.16.0.101:8081"


def test_url_has_the_address_that_the_clients_network_reaches() -> None:
    cluster = reference_cluster()
    second = replace(cluster.networks[0], cidr=IPv4Network("192.0.2.0/24"), server=IPv4Address("192.0.2.1"))
    cluster = replace(cluster, networks=(*cluster.networks, second))
    assert urls.base_url(cluster, IPv4Address("192.0.2.7")) == "http://192.0.2.1"
    assert urls.base_url(cluster, IPv4Address("203.0.113.7")) == "http://172.16.0.101"


@pytest.mark.parametrize("address", [None, APPLIANCE])
def test_every_script_has_the_port_of_the_endpoint_that_its_client_reaches(address: IPv4Address | None) -> None:
    cluster = listening(Endpoint(IPv4Address("127.0.0.1"), 8088), Endpoint(APPLIANCE, 80))
    host = cluster.hosts[0]
    scripts = [
        ipxe.menu(cluster, address),
        ipxe.autoexec(cluster, address),
        ipxe.host_menu(cluster, host),
        ipxe.install_script(cluster, host),
        ipxe.wait_script(cluster, host, "held"),
    ]
    assert not [script for script in scripts if ":8088" in script]


def test_paths_are_those_that_the_scripts_name() -> None:
    base, mac = "http://192.0.2.5", MacAddress.parse("52:54:00:12:34:56")
    assert urls.menu_url(base) == "http://192.0.2.5/pxeboot.ipxe"
    assert urls.script_url(base, mac) == "http://192.0.2.5/ipxe/52-54-00-12-34-56.ipxe"
    assert urls.image_url(base, "4.5/a b") == "http://192.0.2.5/4.5/a%20b"
    infra = host("i1", Role.INFRA, "192.0.2.41", "52:54:00:00:00:41")

    assert urls.ignition_url(base, "c0ffee", infra) == "http://192.0.2.5/ignition/c0ffee/worker.ign"


@pytest.mark.parametrize(
    "name",
    [
        *("pxeboot.ipxe", "autoexec.ipxe", "efi/autoexec.ipxe", "bootstrap.ign", "master.ign", "worker.ign"),
        "no-boot-file",
        *("ipxe/a", "ignition/a", "efi/kernel", "i386-efi/kernel", "arm64-efi/kernel", "undionly.kpxe"),
    ],
)
def test_name_that_the_web_server_uses_itself_is_reserved(name: str) -> None:
    assert urls.is_reserved(name)


@pytest.mark.parametrize("name", ["rhcos-kernel", "efi", "ipxe", "4.5/kernel", "efi-images/kernel"])
def test_other_names_are_the_operators(name: str) -> None:
    assert not urls.is_reserved(name)


def test_every_loader_that_packages_have_is_reserved() -> None:
    assert all(map(urls.is_reserved, KNOWN_LOADERS))


def test_every_known_loader_is_told_from_a_script() -> None:
    assert all(urls.is_loader_path(name) and not urls.is_script_path(name) for name in KNOWN_LOADERS)


@pytest.mark.parametrize("path", ["autoexec.ipxe", "/ipxe/52-54-00-12-34-56.ipxe", "EFI/AUTOEXEC.IPXE"])
def test_script_is_not_a_loader(path: str) -> None:
    assert urls.is_script_path(path)
    assert not urls.is_loader_path(path)


def test_images_and_ignition_files_are_no_loaders() -> None:
    assert not any(map(urls.is_loader_path, ("/rhcos-live-kernel-x86_64", "/master.ign", "/rootfs.img")))


@pytest.mark.parametrize(
    "path",
    [
        "/shim/x64/grub.cfg-01-52-54-00-12-34-56",
        "grub.cfg-C000020A",
        "/grub.cfg-C0",
        "EFI\\redhat\\GRUB.CFG",
        "/debian-installer/amd64/grub/x86_64-efi/grub.cfg",
    ],
)
def test_grub_s_configuration_is_known_by_every_name_that_grub_tries(path: str) -> None:
    assert urls.is_grub_config(path)
    assert urls.is_reserved(path.lstrip("/").replace("\\", "/"))


@pytest.mark.parametrize("path", ["/grub/boot.cfg", "/mygrub.cfg", "/grub.cfg.d/x"])
def test_other_names_are_no_first_configuration_of_grub(path: str) -> None:
    assert not urls.is_grub_config(path)


@pytest.mark.parametrize(
    "path",
    [
        "/shim/x64/revocations_sku.efi",
        "revocations.efi",
        "/shim/x64//shim_certificate_0.efi",
        "/shim/x64/mmx64.efi",
        "/grub/x86_64-efi/command.lst",
        "/grub/x86_64-efi/http.mod",
        "/rootfs.img.sig",
        "/efi/autoexec.ipxe",
    ],
)
def test_file_that_a_client_can_do_without_is_known(path: str) -> None:
    assert urls.is_optional(path)


@pytest.mark.parametrize("path", ["/shim/x64/grubx64.efi", "/shim/x64/shimx64.efi", "/efi/ipxe.efi", "/rhcos.img"])
def test_file_that_a_boot_needs_is_not_optional(path: str) -> None:
    assert not urls.is_optional(path)


def test_grub_names_a_web_server_by_its_host_and_port() -> None:
    assert urls.grub_device("http://172.16.0.101:8080") == "(http,172.16.0.101:8080)"
    assert urls.grub_device("http://[2001:db8::1]") == "(http,[2001:db8::1])"


def test_url_that_is_never_found_has_a_scheme_over_ipv6_that_firmware_refuses_without_asking() -> None:
    """edk2 waits for a router before it fetches anything, up to 12 s."""
    assert urls.no_boot_file_url("http://192.0.2.5:8080") == "http://192.0.2.5:8080/no-boot-file"
    assert urls.no_boot_file_url("http://[2001:db8::5]:8080") == "none://[2001:db8::5]:8080/no-boot-file"
