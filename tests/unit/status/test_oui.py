"""Vendors of network cards by MAC address, and addresses without a vendor."""

import pytest

from appliance.model import MacAddress
from appliance.status.oui import vendor_of

LOCAL = "locally administered address (usually a virtual machine)"


@pytest.mark.parametrize(
    ("mac", "vendor"),
    [
        ("00:50:56:96:11:c2", "VMware, Inc."),
        ("00:50:c2:9c:c0:01", "Hirotech inc."),  # a block of 2^12
        ("40:d8:55:0d:70:01", "Avant Technologies"),  # a block of 2^12 below the other prefix that has such blocks
        ("02:07:01:00:00:01", "RACAL-DATACOM"),  # registered, although the bit for local administration is set
    ],
)
def test_vendor_is_the_one_that_registered_the_longest_prefix(mac, vendor):
    assert vendor_of(MacAddress.parse(mac)) == vendor


@pytest.mark.parametrize("mac", ["52:54:00:12:34:56", "02:00:00:00:00:01"])
def test_locally_administered_address_has_no_vendor(mac):
    assert vendor_of(MacAddress.parse(mac)) == LOCAL


def test_prefix_that_nobody_registered_has_no_vendor():
    assert vendor_of(MacAddress.parse("fc:ff:ff:00:00:01")) == ""


@pytest.mark.parametrize("mac", ["00:55:da:10:00:01", "00:1b:c5:00:01:23"])  # of blocks of 2^20 and 2^12
def test_registration_authority_is_not_a_vendor(mac):
    assert vendor_of(MacAddress.parse(mac)) == ""
