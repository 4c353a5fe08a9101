"""An installation with a value in every field, and an event, for tests of the state."""

from appliance.events import DhcpOffered, Program, Stamped
from appliance.install.installation import Condition, Installation, Order, Recipe, Stage
from appliance.model import Boot
from tests.boots import NOW

FULL = Installation(
    "m1.example",
    number=3,
    token="ab" * 16,
    order=Order.HOLD,
    stage=Stage.IMAGE,
    reached={Stage.FIRMWARE: 1.5, Stage.IMAGE: 2.5},
    boots_live=True,
    boot=Boot.AGENT,
    mac="52:54:00:12:34:56",
    arch="x64-uefi",
    has_dhcp=False,
    has_fetched=False,
    is_held=True,
    window_opened_at=2.0,
    delivered_at=3.0,
    image_bytes=7,
    lacks_image=False,
    ready_at=4.0,
    is_settled=True,
    early_returns=1,
    tries=2,
    ended_at=Stage.KERNEL,
    repeats={"script": 2},
    recipe=Recipe(
        firmware="x64-uefi PXEClient:Arch:00007",
        loader="ipxe-snp",
        block_bytes=512,
        loaded="efi/snponly.efi",
        loaded_at=10.5,
        loads=2,
        is_refused=True,
        breaks=1,
        tried="auto",
        worked="ipxe",
        worked_at=11.5,
        worked_on="x64-uefi PXEClient:Arch:00007:UNDI:003001",
    ),
    knocking_since=5.0,
    knocked_at=6.0,
    doubt=Condition("e", "f", 3.0),
    returned_at=7.5,
    asked_at=8.5,
    looked_at=9.5,
    complaint=Condition("a", "b", 1.0),
    condition=Condition("c", "d", 2.0),
    reinstalled_at=12.5,
    bootstrapped_at=13.5,
    bootstrapped_by="checks",
    balancer={"": "maint", "api-6443": "ready"},
)


def offered(host="m1.example", mac="52:54:00:12:34:56", at=NOW, number=0):
    return Stamped(at, DhcpOffered(host, mac, "192.0.2.1", Program.PXE), number)
