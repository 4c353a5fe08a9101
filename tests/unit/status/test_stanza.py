"""The lines for cluster.yaml that are suggested for an unknown machine."""

import pytest
import yaml

from appliance.status.stanza import seen


def stranger(mac="00:50:56:00:00:09", arch="x64-uefi"):
    return {
        "mac": mac,
        "arch": arch,
        "program": "pxe",
        "vendor_class": "",
        "relay": "",
        "interface": "",
        "first_at": 1.0,
        "last_at": 2.0,
        "times": 3,
    }


def test_machine_comes_with_its_vendor():
    (machine,) = seen([stranger()])
    assert machine["vendor"] == "VMware, Inc."
    assert '"00:50:56:00:00:09"  # VMware, Inc.' in machine["stanza"]


def test_machine_without_a_vendor_gets_no_comment():
    (machine,) = seen([stranger("fc:ff:ff:00:00:01")])
    assert machine["stanza"].splitlines()[2] == '  macAddress: "fc:ff:ff:00:00:01"'


@pytest.mark.parametrize(("arch", "written"), [("x64-uefi", None), ("arm64-uefi", "aarch64"), ("", None)])
def test_only_an_arm_machine_needs_its_architecture(arch, written):
    ((entry,),) = (yaml.safe_load(machine["stanza"]) for machine in seen([stranger(arch=arch)]))
    assert entry.get("arch") == written


def test_infiniband_card_comes_with_its_vendor_and_without_an_entry():
    (machine,) = seen([stranger("00:02:c9:03:00:4b:d3:e1")])
    assert machine["vendor"] == "Mellanox Technologies, Inc."
    assert yaml.safe_load(machine["stanza"]) is None
    assert machine["stanza"].startswith("# 00:02:c9:03:00:4b:d3:e1 is not an Ethernet card; ")


@pytest.mark.parametrize("mac", ["06-02:00:00:00:00:01", "07-", "01-02" + ":00" * 15])
def test_other_hardware_has_neither_vendor_nor_entry(mac):
    (machine,) = seen([stranger(mac)])
    assert (machine["vendor"], yaml.safe_load(machine["stanza"])) == ("", None)


def test_mac_of_decimal_digits_stays_text():
    (machine,) = seen([stranger("10:20:30:40:50:59")])
    assert yaml.safe_load(machine["stanza"])[0]["macAddress"] == "10:20:30:40:50:59"
