"""A part of a file is not the file: what counts as fetched."""

from dataclasses import replace

import pytest

from appliance.events import WebFinished, WebKind
from appliance.install.effects import GONE_SECONDS
from appliance.install.installation import Stage
from tests.boots import MB, Boot

TOTAL = 900 * MB


def sent(boot: Boot, what: WebKind, first: int, size: int) -> list:
    """Return the events of a transfer of *size* bytes from *first* on."""
    status = 200 if (first, size) == (0, TOTAL) else 206
    started = replace(boot.started(what, TOTAL), first=first)
    return [started, WebFinished(boot.host, boot.address, f"/{what}", what, status, size, TOTAL, 1.0, first=first)]


# The first byte, the last, all but one, and all but the first.
PARTS = [(0, 1), (TOTAL - 1, 1), (0, TOTAL - 1), (1, TOTAL - 1)]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("kind", "what"), [("live", WebKind.ROOTFS), ("legacy", WebKind.INITRAMFS)])
def test_part_of_what_comes_before_ignition_is_not_all_of_it(kind, what, part, request):
    fleet = request.getfixturevalue(kind)
    m1 = fleet.boot(1)
    fleet.happen([*m1.to_script(), *sent(m1, what, *part)])
    assert not fleet[m1].has_fetched
    fleet.happen(sent(m1, what, 0, TOTAL))
    assert fleet[m1].has_fetched


@pytest.mark.parametrize("what", [WebKind.ROOTFS, WebKind.INITRAMFS])
def test_download_that_broke_off_is_not_all_of_it(live, what):
    m1 = live.boot(1)
    live.happen([*m1.to_script(), m1.started(what, TOTAL), m1.broken(what, TOTAL - 1, TOTAL)])
    assert not live[m1].has_fetched


def test_live_installer_needs_more_than_its_initramfs(live):
    m1 = live.boot(1)
    live.happen([*m1.to_script(), *sent(m1, WebKind.INITRAMFS, 0, TOTAL)])
    assert not live[m1].has_fetched


@pytest.mark.parametrize("part", PARTS)
def test_part_of_a_disk_image_is_not_the_disk_image(legacy, part):
    m1 = legacy.boot(1)
    legacy.happen([*m1.to_script(), *sent(m1, WebKind.INITRAMFS, 0, TOTAL), *m1.get(WebKind.IGNITION)])
    legacy.happen(sent(m1, WebKind.METAL, *part))
    assert (legacy[m1].stage, legacy[m1].ready_at) == (Stage.IMAGE, None)
    legacy.happen(sent(m1, WebKind.METAL, 0, TOTAL))
    assert legacy[m1].stage is Stage.IGNITION


def test_new_try_fetches_everything_again(live):
    m1 = live.boot(1)
    live.happen([*m1.to_script(), *sent(m1, WebKind.ROOTFS, 0, TOTAL)])
    live.wait(GONE_SECONDS)
    live.happen(m1.to_script())
    assert (live[m1].number, live[m1].has_fetched) == (2, False)
