"""The answer to the firmware of a host that has no IPv6 address, and is to start its disk.

The one rule: it gets an offer of nothing, which ends its IPv6 boot entries after 5 s.
Without any answer, edk2 repeats its request for more than a minute in each of them.
"""

from collections.abc import Mapping

from appliance.dhcp.situation import boots_local
from appliance.dhcp6.clients import identify_options
from appliance.dhcp6.compile import Dhcp6Table
from appliance.dhcp6.hardware import DUID_BYTES
from appliance.dhcp6.messages import SOLICIT
from appliance.dhcp6.options import OPT_CLIENT_ID, OPT_SERVER_ID, Options, encode_option, only
from appliance.dhcp6.reply import ADVERTISE, NAMES, Arrival, Reply
from appliance.events import Program
from appliance.install.installation import Installation


def offer_nothing(
    table: Dhcp6Table,
    message: bytes,
    options: Options,
    arrival: Arrival,
    mac: bytes,
    installations: Mapping[str, Installation],
) -> Reply | None:
    """Return the offer of nothing to *mac*, whose *message* came from its own link; None if it gets none."""
    bystander = table.bystanders.get(mac)
    if bystander is None or message[0] != SOLICIT or arrival.is_unicast or not bystander.is_near(arrival.addresses):
        return None
    if identify_options(options).program not in (Program.PXE, Program.HTTP):
        return None
    if bystander.is_boot_nic and not boots_local(bystander.host, installations):
        return None
    client_id = only(options, OPT_CLIENT_ID)
    if client_id is None or len(client_id) not in DUID_BYTES or OPT_SERVER_ID in options:
        return None
    # Without an IA and without a status: edk2 takes no notice of an offer with the status NoAddrsAvail. And without a
    # preference, so that the offer of another server, which may have a boot file, keeps its chance.
    identities = encode_option(OPT_CLIENT_ID, client_id) + encode_option(OPT_SERVER_ID, table.duid)
    payload = bytes((ADVERTISE,)) + message[1:4] + identities
    return Reply(payload, NAMES[ADVERTISE], table.port - 1, None, bystander.host.name, is_local=True)
