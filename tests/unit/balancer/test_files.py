"""The files that the appliance and HAProxy share."""

import os
from pathlib import Path

from appliance.balancer import files


def test_pipe_in_the_place_of_a_file_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "haproxy.cfg")
    assert files.read_text(tmp_path / "haproxy.cfg") == ""


def test_device_in_the_place_of_a_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "haproxy.cfg").symlink_to("/dev/zero")
    assert files.read_text(tmp_path / "haproxy.cfg") == ""


def test_file_too_large_to_be_ours_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "haproxy.cfg").open("wb") as file:
        file.truncate(files.MAX_TEXT_BYTES + 1)
    assert files.read_text(tmp_path / "haproxy.cfg") == ""


def test_text_that_was_written_is_read(tmp_path: Path) -> None:
    files.write_whole(tmp_path / "haproxy.cfg", "global\n")
    assert files.read_text(tmp_path / "haproxy.cfg") == "global\n"
