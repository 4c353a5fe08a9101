"""The log of `ocp-appliance serve` about datagrams that get no reply."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dhcp_messages import FIRMWARE, STRANGER_MAC, request
from tests.serve_lab import APPLIANCE, Site, site

pytestmark = pytest.mark.netns

TFTP_ERROR = b"\0\5\0\0\0"  # an ERROR is never answered by an ERROR
READ_REQUEST = b"\0\1nonesuch\0octet\0"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield found


@pytest.mark.parametrize(("options", "lines"), [((), 0), (("--verbose",), 1)])
def test_silence_is_logged_when_the_operator_asks_for_it(here: Site, options: tuple[str, ...], lines: int) -> None:
    with here.serve(*options) as serve:
        with here.place, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"short", (APPLIANCE, 67))
            client.sendto(TFTP_ERROR, (APPLIANCE, 69))
            # These cause events, so that the datagrams before them have been handled too.
            client.sendto(request("discover", *FIRMWARE, mac=STRANGER_MAC), (APPLIANCE, 67))
            client.sendto(READ_REQUEST, (APPLIANCE, 69))
            serve.said(r"dhcp\.unknown")
            serve.said(r"tftp\.fail")
        text = serve.text
    assert text.count("dhcp.silence why=short ") == lines
    assert text.count(f"dhcp.silence why=unknown-mac mac={STRANGER_MAC} from={APPLIANCE} ") == lines
    assert text.count(f"tftp.silence why=no-request client={APPLIANCE}") == lines
