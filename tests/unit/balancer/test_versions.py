"""HAProxy's version, as programs print it and operators write it."""

import pytest
from click.testing import CliRunner

from appliance.balancer.versions import UnknownVersionError, Version, of_banner, of_text
from appliance.cli import cli
from tests.simulate_segment import REFERENCE


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ("HA-Proxy version 1.8.8-1 2018/04/19\nCopyright 2000-2018 Willy Tarreau\n", Version(1, 8)),
        ("HA-Proxy version 2.2.9-2+deb11u6 2023/12/23 - https://haproxy.org/\n", Version(2, 2)),
        ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n", Version(2, 6)),
        ("HAProxy version 3.3-dev5-1 2026/11/01 - https://haproxy.org/\n", Version(3, 3)),
        ("HAProxy version 10.12.1 2040/01/01\n", Version(10, 12)),
    ],
)
def test_banner_has_a_version(banner: str, version: Version) -> None:
    assert of_banner(banner) == version


@pytest.mark.parametrize("text", ["2.6", "2.6.12", "2.6.12-1+deb12u4"])
def test_operator_may_write_a_branch_or_a_whole_version(text: str) -> None:
    assert of_text(text) == Version(2, 6)


def test_ten_is_later_than_nine() -> None:
    assert Version(2, 10) > Version(2, 9)


def test_version_that_is_too_old_is_refused_with_those_that_are_not() -> None:
    with pytest.raises(UnknownVersionError, match=r"HAProxy 1\.7 is too old; expected 1\.8 or later"):
        of_banner("HA-Proxy version 1.7.5-2 2017/05/17\n")


def test_another_program_is_told_by_what_it_printed() -> None:
    with pytest.raises(UnknownVersionError, match=r"printed 'nginx version: 1\.22'"):
        of_banner("nginx version: 1.22\n")


def test_render_refuses_an_old_version() -> None:
    done = CliRunner().invoke(cli, ["render", "haproxy", str(REFERENCE), "--haproxy-version", "1.5"])
    assert (done.exit_code, "HAProxy 1.5 is too old" in done.output) == (2, True)
