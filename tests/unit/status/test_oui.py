"""Who made a card: from blocks of each of the IEEE's three sizes."""

import pytest

from appliance.model import MacAddress
from appliance.status.oui import vendor_of


@pytest.mark.parametrize(
    ("mac", "vendor"),
    [
        ("00:50:56:96:11:c2", "VMware, Inc."),
        ("00:55:da:10:00:01", "KoolPOS Inc."),  # a block of 2^20
        ("00:1b:c5:00:01:23", "Converging Systems Inc."),  # a block of 2^12
        ("52:54:00:12:34:56", "made up by software, as for a virtual machine"),
    ],
)
def test_vendor_is_the_one_that_registered_the_longest_prefix(mac, vendor):
    assert vendor_of(MacAddress.parse(mac)) == vendor


def test_prefix_that_nobody_registered_has_no_vendor():
    assert vendor_of(MacAddress.parse("fc:ff:ff:00:00:01")) == ""
