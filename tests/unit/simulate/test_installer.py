"""What the simulated installer and firmware refuse, and the errors."""

import json
from ipaddress import IPv4Address

import pytest

from appliance.model import MacAddress
from appliance.simulate.dhcp import Message, Reply
from appliance.simulate.dracut import Arguments
from appliance.simulate.http import Response
from appliance.simulate.installer import check_ignition, install
from appliance.simulate.lease import pxe_sub_options
from appliance.simulate.machine import Expected, Machine, Phase, StepError
from appliance.simulate.run import Run
from appliance.simulate.script import Ending, How, IpxeImage
from tests.simulate_loopback import Loopback

MAC = MacAddress.parse("00:50:56:96:37:c8")
M1 = Expected("m1.ocp45.example", IPv4Address("192.0.2.21"), "master.ign", {"kernel": "00" * 32})
URL = "http://192.0.2.101/ignition/token/master.ign"
LEGACY = "coreos.inst=yes coreos.inst.install_dev=sda coreos.inst.image_url=http://x coreos.inst.ignition_url=http://x"


def run_of(expected: Expected = M1) -> Run:
    return Run(Machine("m1", MAC, expected=expected), Loopback())


def answer(body: bytes, url: str = URL, status: int = 200, sha256: str = "") -> Response:
    return Response(url, status, {}, len(body), sha256, body)


def ignition(source: str) -> bytes:
    config = {"merge": [{"source": source}]}
    return json.dumps({"ignition": {"version": "3.2.0", "config": config}}).encode()


def booting(arguments: str, *initrds: str) -> Ending:
    kernel = IpxeImage("kernel", "http://x/kernel", 1, b"", arguments)
    return Ending(How.BOOT, kernel=kernel, initrds=tuple(IpxeImage(name, f"http://x/{name}", 1) for name in initrds))


async def test_an_initrd_that_no_image_is_named_after_is_a_panic() -> None:
    with pytest.raises(StepError, match="VFS: unable to mount root") as failed:
        await install(run_of(), booting(f"initrd=http://x/initramfs.img {LEGACY}", "initramfs.img"))
    assert failed.value.received == "initrd images named initramfs.img"


async def test_a_kernel_without_an_initramfs_is_a_panic() -> None:
    with pytest.raises(StepError, match="VFS: unable to mount root"):
        await install(run_of(), booting(LEGACY))


async def test_a_kernel_line_without_a_disk_is_an_error_that_shows_it() -> None:
    with pytest.raises(StepError, match=r"no coreos\.inst\.install_dev=") as failed:
        await install(run_of(), booting("initrd=main quiet", "main"))
    assert failed.value.received == "initrd=main quiet"


@pytest.mark.parametrize("value", ["192.0.2.21::192.0.2.254:255.255.0.255:m1:eth0:none", "192.0.2.21:::x:m1:eth0:none"])
async def test_a_malformed_static_network_is_an_error(value: str) -> None:
    with pytest.raises(StepError, match="the initramfs drops an argument"):
        await install(run_of(), booting(f"initrd=main ip={value} {LEGACY}", "main"))


def test_the_last_of_two_equal_arguments_counts() -> None:
    assert Arguments("console=tty0 console=ttyS0").get("console") == "ttyS0"


async def test_ignition_of_our_cluster_gives_its_domain() -> None:
    body = ignition("https://api-int.ocp45.example:22623/config/master")
    assert check_ignition(run_of(), answer(body), URL) == "ocp45.example"


async def test_ignition_without_a_pointer_gives_no_domain() -> None:
    assert check_ignition(run_of(), answer(b'{"ignition": {"version": "2.2.0"}}'), URL) == ""


async def test_ignition_of_another_cluster_is_refused() -> None:
    body = ignition("https://api-int.other.example:22623/config/master")
    with pytest.raises(StepError, match="belongs to another cluster"):
        check_ignition(run_of(), answer(body), URL)


async def test_ignition_of_another_role_is_refused() -> None:
    with pytest.raises(StepError, match=r"worker\.ign"):
        check_ignition(run_of(), answer(b'{"ignition": {"version": "2.2.0"}}'), "http://192.0.2.101/worker.ign")


@pytest.mark.parametrize("body", [b"", b"<html>404</html>", b"[]", b"{}", b'{"ignition": 1}', b"\x1f\x8bnot gzip"])
async def test_body_that_is_not_ignition_is_refused(body: bytes) -> None:
    with pytest.raises(StepError, match="not an Ignition configuration"):
        check_ignition(run_of(), answer(body), URL)


@pytest.mark.parametrize(("status", "says"), [(403, "own address"), (404, "data directory"), (503, "explain")])
async def test_a_refusal_says_what_to_look_at(status: int, says: str) -> None:
    with pytest.raises(StepError) as failed:
        run_of().check(answer(b"why\nmore", status=status), Phase.IGNITION, "Ignition")
    assert failed.value.received == f"status {status}: why"
    assert says in failed.value.check


async def test_a_file_with_another_sum_is_refused() -> None:
    with pytest.raises(StepError, match="not the file that"):
        run_of().check(answer(b"x", "http://192.0.2.101/kernel", sha256="11" * 32), Phase.KERNEL, "the kernel")


def reply(option_43: bytes) -> Reply:
    nowhere = IPv4Address(0)
    return Reply(Message.OFFER, 1, MAC.octets, nowhere, nowhere, nowhere, "", {43: option_43})


def test_pxe_options_are_read_to_their_end() -> None:
    assert pxe_sub_options(reply(b"\x06\x01\x08\x00\x0a\x02ab\xff\x09\x01x")) == {6: b"\x08", 10: b"ab"}


@pytest.mark.parametrize("cut", [b"\x06", b"\x06\x05\x08", b"\xff", b""])
def test_pxe_options_that_are_cut_short_raise_nothing(cut: bytes) -> None:
    pxe_sub_options(reply(cut))
