"""Which Ignition files count, as far as their directory can be read."""

from pathlib import Path

from appliance.events import IgnitionLoaded
from appliance.install.certificates import CertificateClock


def test_file_of_which_nobody_can_say_whether_it_exists_still_counts(tmp_path: Path) -> None:
    path = str(tmp_path / f"{'x' * 300}.ign")  # the error is as for a directory that may not be entered
    clock = CertificateClock(lambda _path: True)
    clock.hear(IgnitionLoaded("", path, "3.2.0", ""))
    assert [state.path for state in clock.states()] == [path]


def test_file_that_is_gone_does_not_count(tmp_path: Path) -> None:
    clock = CertificateClock(lambda _path: True)
    clock.hear(IgnitionLoaded("", str(tmp_path / "worker.ign"), "3.2.0", ""))
    assert clock.states() == []
