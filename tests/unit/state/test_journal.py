"""What the journal keeps, and what it does when the disk, the file or another appliance is in its way."""

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.errors import StateError
from appliance.events import Client, DhcpOffered, Stamped
from appliance.install.lifecycle import Condition, Installation, Order, Stage
from appliance.state import fallback, journal
from appliance.state.encoding import decoded, encoded
from appliance.state.journal import Journal, is_higher
from tests.boots import LEGACY, LIVE, NOW, Fleet
from tests.clusters import reference_cluster

FULL = Installation(
    "m1.example",
    number=3,
    token="ab" * 16,
    order=Order.HOLD,
    stage=Stage.IMAGE,
    reached={Stage.FIRMWARE: 1.5, Stage.IMAGE: 2.5},
    boots_live=True,
    mac="52:54:00:12:34:56",
    arch="x64-uefi",
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
    knocking_since=5.0,
    knocked_at=6.0,
    complaint=Condition("a", "b", 1.0),
    condition=Condition("c", "d", 2.0),
)


@pytest.fixture
def kept(quick_path):
    journal = Journal(quick_path)
    yield journal
    journal.close()


def test_state_with_its_secret_is_readable_by_its_owner_alone(quick_path):
    old = os.umask(0o022)
    try:
        kept = Journal(quick_path)
    finally:
        os.umask(old)
    kept.save(FULL)
    names = {path.name for path in quick_path.iterdir() if path.stat().st_mode & 0o077 == 0}
    kept.close()
    assert names == {"state.db", "state.db-lock", "state.db-shm", "state.db-wal"}


def offered(host="m1.example", mac="52:54:00:12:34:56", at=NOW):
    return Stamped(at, DhcpOffered(host, mac, "192.0.2.1", Client.PXE))


def test_example_holds_no_default():
    default = Installation("")
    assert [field.name for field in fields(FULL) if getattr(FULL, field.name) == getattr(default, field.name)] == []


def test_every_field_of_an_installation_is_kept():
    assert decoded(encoded(FULL)) == FULL


def test_installation_of_a_newer_appliance_is_read_as_far_as_it_is_known():
    text = encoded(FULL).replace('"number": 3', '"number": 3, "phase": {"moon": 1}')
    assert decoded(text) == FULL


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"host": 1}', '{"host": "a", "stage": 99}', '{"host": "a", "reached": 7}']
)
def test_text_that_is_no_installation_is_refused(text):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        decoded(text)


def test_saved_installation_is_there_after_a_restart(tmp_path):
    first = Journal(tmp_path)
    first.save(FULL, offered())
    first.close()
    second = Journal(tmp_path)
    assert second.load() == {FULL.host: FULL}
    assert second.secret == first.secret
    second.close()


def test_latest_installation_is_the_hosts_and_ten_are_kept(kept):
    for number in range(1, 16):
        kept.save(replace(FULL, number=number))
    assert kept.load()[FULL.host].number == 15
    assert [one.number for one in kept.records(FULL.host)] == list(range(6, 16))


def test_record_that_cannot_be_read_hides_no_other(kept, quick_path):
    for number in (1, 2, 3):
        kept.save(replace(FULL, number=number))
    with closing(sqlite3.connect(quick_path / journal.FILE_NAME)) as db, db:
        db.execute("UPDATE installations SET state = 'x' WHERE number = 2")
    assert [one.number for one in kept.records(FULL.host)] == [1, 3]


def test_event_that_repeats_before_it_is_written_is_counted(kept):
    for second in range(5):
        kept.note(offered(at=NOW + second), 1)
    (row,) = kept.events()
    assert (row.times, row.at, row.last_at) == (5, NOW, NOW + 4)


def test_count_is_written_by_a_flush_and_with_the_next_change(kept, quick_path):
    def on_disk():
        with closing(sqlite3.connect(quick_path / journal.FILE_NAME)) as db:
            return {host: decoded(state).repeats for host, state in db.execute("SELECT host, state FROM installations")}

    kept.note(offered(), 3, replace(FULL, repeats={"script": 9}))
    assert on_disk() == {}
    kept.flush()
    assert on_disk() == {FULL.host: {"script": 9}}
    kept.note(offered(), 3, replace(FULL, repeats={"script": 10}))
    kept.save(replace(FULL, host="m2.example"))
    assert on_disk() == {FULL.host: {"script": 10}, "m2.example": FULL.repeats}


def test_events_are_told_oldest_first_and_by_host(kept):
    for index in range(10):
        kept.note(
            offered("m1.example" if index % 2 else "m2.example", mac=f"52:54:00:00:00:0{index}", at=NOW + index), 1
        )
    assert [row.at for row in kept.events(host="m1.example", limit=3)] == [NOW + 5, NOW + 7, NOW + 9]


def test_history_is_bounded(kept, monkeypatch):
    monkeypatch.setattr(journal, "MAX_EVENTS", 300)
    for index in range(1000):
        kept.note(offered(mac=index.to_bytes(6).hex(":"), at=NOW + index), 1)
        kept.flush()
    rows = kept.events(limit=2000)
    assert 300 <= len(rows) <= 303
    assert rows[-1].at == NOW + 999


def test_second_appliance_on_the_same_directory_is_refused(kept, quick_path):
    with pytest.raises(StateError, match="another appliance"):
        Journal(quick_path)


def test_log_stays_bounded_under_a_writer_that_never_rests(kept, monkeypatch):
    monkeypatch.setattr(fallback, "CHECKPOINT_BYTES", 200_000)
    monkeypatch.setattr(fallback, "MAX_LOG_BYTES", 2_000_000)
    log = Path(f"{kept.path}-wal")
    burst, bursts, ahead = 50, 100, 4
    save_bytes = 3 * 4120  # two pages and more, each with its frame's head
    waiting = threading.Semaphore(0)
    written = threading.Semaphore(ahead)  # so far may the writer lag, and so much more may one sync find

    def writing():
        for number in range(1, bursts * burst + 1):
            if number % burst == 1:
                assert waiting.acquire(timeout=60)
            kept.save(replace(FULL, number=number))
            if number % burst == 0:
                written.release()

    sizes = []
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(writing)
        for _ in range(bursts):
            assert written.acquire(timeout=60)
            waiting.release()
            kept.sync()
            sizes.append(log.stat().st_size)
        done.result()
    assert (kept.trouble, kept.load()[FULL.host].number) == (None, bursts * burst)
    assert max(sizes) < 2_000_000 + 2 * ahead * burst * save_bytes


def test_serial_is_the_same_for_the_same_content(kept):
    assert kept.serial_of("example", "a") == kept.serial_of("example", "a")


def test_serial_rises_with_each_change_also_back(kept):
    serials = [kept.serial_of("example", digest) for digest in "abab"]
    assert [b - a for a, b in pairwise(serials)] == [1, 1, 1]


def test_serial_outlives_a_restart(tmp_path):
    first = Journal(tmp_path)
    serial = first.serial_of("example", "a", 2000091802)
    first.close()
    second = Journal(tmp_path)
    assert serial == 2000091802
    assert second.serial_of("example", "b", 2000091802) == serial + 1
    second.close()


def test_raised_least_serial_is_taken_over(kept):
    kept.serial_of("example", "a", 2000091802)
    assert kept.serial_of("example", "a", 2100000000) == 2100000000


def test_serial_goes_round_past_its_last(kept):
    kept.serial_of("example", "a", 2**31)
    before = kept.serial_of("example", "a", 2**32 - 1)
    assert before == 2**32 - 1
    assert is_higher(kept.serial_of("example", "b"), before)
    assert kept.serial_of("example", "b") != 0


def test_each_zone_has_its_cluster_least_serial(kept):
    serial_of = kept.serials([reference_cluster()])
    assert serial_of("example.localdomain", "a") == 2000091802
    assert serial_of("0.16.172.in-addr.arpa", "a") == 2000091802


def test_serials_may_be_asked_for_in_a_thread(kept):
    with ThreadPoolExecutor(4) as threads:
        serials = list(threads.map(lambda index: kept.serial_of("example", str(index)), range(100)))
    assert len(set(serials)) == 100


# A file that cannot be used


def damaged(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def newer(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()


@pytest.mark.parametrize("spoil", [damaged, newer])
def test_file_that_cannot_be_used_is_set_aside_whole(tmp_path, spoil):
    Journal(tmp_path).close()
    spoil(tmp_path / "state.db")
    before = (tmp_path / "state.db").read_bytes()
    kept = Journal(tmp_path)
    kept.save(FULL)
    kept.close()
    (aside,) = tmp_path.glob("state.db.aside-*Z")
    assert aside.read_bytes() == before
    assert str(aside.name) in kept.notice


def test_second_file_set_aside_in_a_second_does_not_overwrite_the_first(tmp_path):
    for _ in range(3):
        damaged(tmp_path / "state.db")
        Journal(tmp_path).close()
    assert len(list(tmp_path.glob("state.db.aside-*"))) == 3


def test_installed_and_held_hosts_of_a_newer_file_stay_so(tmp_path):
    first = Journal(tmp_path)
    installed = replace(FULL, host="a.example", stage=Stage.BOOTED, is_held=False, order=Order.LOCAL)
    held = replace(FULL, host="b.example", stage=Stage.WAITING, is_settled=False)
    under_way = replace(FULL, host="c.example", stage=Stage.IMAGE, is_settled=False, is_held=False)
    for one in (installed, held, under_way):
        first.save(one)
    first.close()
    newer(tmp_path / "state.db")
    second = Journal(tmp_path)
    assert second.load() == {"a.example": installed, "b.example": held}
    second.close()


def test_state_that_cannot_be_read_holds_its_host(tmp_path):
    Journal(tmp_path).close()
    db = sqlite3.connect(tmp_path / "state.db")
    db.execute("INSERT INTO installations VALUES('m1.example', 4, '{')")
    db.commit()
    db.close()
    kept = Journal(tmp_path)
    assert kept.load()["m1.example"].order is Order.HOLD
    kept.close()


def test_empty_file_is_begun_anew(tmp_path):
    (tmp_path / "state.db").touch()
    kept = Journal(tmp_path)
    assert kept.trouble is None
    kept.close()


# A disk that refuses


def run(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FULL_DISK = """
    import resource, signal, sys
    from dataclasses import replace
    from pathlib import Path
    from appliance.state.journal import Journal
    from appliance.install.lifecycle import Installation, Stage

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    directory = Path(sys.argv[1])
    journal = Journal(directory)
    one = Installation("m1.example")
    journal.save(one)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(path.stat().st_size for path in directory.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # every file is as large as it may be
    for number in range(2, 200):
        one = replace(one, number=number, stage=Stage.BOOTED)
        journal.save(one)
    print("trouble", "cannot write" in (journal.trouble or ""))
    print("memory", journal.load()["m1.example"] == one, len(journal.records("m1.example")))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    journal.retry([one])
    print("still", journal.trouble is not None)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.retry([one])
    print("recovered", journal.trouble is None)
    journal.close()
    print("disk", Journal(directory).load()["m1.example"] == one)
"""


def test_full_disk_is_loud_loses_nothing_and_is_written_when_there_is_room(tmp_path):
    assert run(FULL_DISK, str(tmp_path)).splitlines() == [
        "trouble True",
        "memory True 10",
        "still True",
        "recovered True",
        "disk True",
    ]


READ_ONLY = """
    import os, sys
    from dataclasses import replace
    from pathlib import Path
    from appliance.state.journal import Journal
    from appliance.install.lifecycle import Stage

    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)  # nobody
    journal = Journal(Path(sys.argv[1]))
    one = journal.load().get("m1.example")
    print("trouble", journal.trouble is not None, "known", one is not None and one.stage.name)
    if one is not None:
        journal.save(replace(one, number=9))
        print("saved", journal.load()["m1.example"].number)
    journal.serial_of("example", "a")
    journal.close()
"""


@pytest.fixture
def public_path(tmp_path_factory):
    """A directory that another user can come to."""
    path = tmp_path_factory.mktemp("public")
    for parent in (path, *path.parents):
        if parent == Path("/tmp"):
            break
        parent.chmod(0o755)
    return path


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be somebody else")
def test_read_only_directory_is_loud_and_its_state_is_known(public_path):
    kept = Journal(public_path)
    kept.save(replace(FULL, host="m1.example", stage=Stage.BOOTED))
    copy = public_path / "killed"
    copy.mkdir()
    for path in public_path.glob("state.db*"):  # as a kill leaves them: the last change only in the log
        (copy / path.name).write_bytes(path.read_bytes())
        (copy / path.name).chmod(0o444)
    kept.close()
    copy.chmod(0o555)
    assert (copy / "state.db-wal").stat().st_size > 0
    assert run(READ_ONLY, str(copy)).splitlines() == ["trouble True known BOOTED", "saved 9"]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be somebody else")
def test_directory_that_cannot_be_made_is_loud_and_begins_with_nothing(public_path):
    assert run(READ_ONLY, str(public_path / "none" / "state")).split() == [
        "trouble",
        "True",
        "known",
        "False",
    ]


def test_disk_that_refuses_does_not_stop_the_fleet(tmp_path):
    fleet = Fleet(tmp_path, LIVE)
    m1 = fleet.boot(1)
    fleet.journal._db.execute("PRAGMA query_only = ON")  # as a file system that was remounted read-only
    fleet.happen(m1.live(rootfs=1000))
    fleet.happen(m1.dhcp(Client.PXE))
    assert fleet[m1].stage is Stage.INSTALLED
    assert "readonly" in fleet.journal.trouble
    fleet.journal.retry(fleet.registry.installations.values())
    fleet.journal.close()
    again = Fleet(tmp_path, LIVE)
    assert again[m1] == fleet[m1]
    assert again.journal.events(host=m1.host)[0].kind == "dhcp.offer"
    again.journal.close()


def test_damage_found_while_running_goes_to_memory(tmp_path):
    fleet = Fleet(tmp_path, LIVE)
    m1 = fleet.boot(1)
    fleet.happen(m1.dhcp(Client.PXE))
    fleet.journal._db.execute("DROP TABLE installations")
    fleet.happen(m1.loader())
    assert fleet[m1].stage is Stage.LOADER
    assert fleet.journal.trouble is not None
    fleet.journal.close()


# A kill

KILLED = """
    import os, signal, sys
    from pathlib import Path
    from appliance.events import Client, StageReached
    from appliance.state.encoding import encoded
    from tests.boots import LEGACY, LIVE, Fleet

    cluster = LIVE if sys.argv[2] == "live" else LEGACY

    def events(fleet):
        boots = [fleet.boot(index) for index in range(7)]
        ways = []
        for boot in boots:
            way = boot.live(1000) if cluster is LIVE else boot.legacy(1000)
            ways.append([*way, *boot.dhcp(Client.PXE), *boot.dhcp(Client.OS), boot.api_int()])
        return [event for exchange in zip(*ways, strict=True) for event in exchange]

    rehearsal = Fleet(Path(sys.argv[1]) / "rehearsal", cluster)
    boundaries = []
    for index, event in enumerate(events(rehearsal)):
        told = len(rehearsal.told)
        rehearsal.happen(event, 0.01)
        if any(isinstance(event, StageReached) for event in rehearsal.told[told:]):
            boundaries.append(index)
    rehearsal.journal.close()

    for boundary in boundaries:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            fleet = Fleet(Path(sys.argv[1]) / str(boundary), cluster)
            for event in events(fleet)[: boundary + 1]:
                fleet.happen(event, 0.01)
            for one in fleet.registry.installations.values():
                print(boundary, encoded(one))
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
"""


@pytest.mark.parametrize("cluster", [LEGACY, LIVE], ids=["legacy", "live"])
def test_kill_at_each_stage_boundary_of_seven_nodes_changes_nothing(quick_path, cluster):
    said: dict[str, dict[str, Installation]] = {}
    for line in run(KILLED, str(quick_path), "live" if cluster is LIVE else "legacy").splitlines():
        boundary, _, state = line.partition(" ")
        one = decoded(state)
        said.setdefault(boundary, {})[one.host] = one
    assert len(said) == 7 * (len(Stage) - 1)
    for boundary, before in said.items():
        fleet = Fleet(quick_path / boundary, cluster)
        assert fleet.registry.installations == before
        fleet.journal.close()


ENDLESS = """
    import sys
    from pathlib import Path
    from appliance.events import Client
    from tests.boots import LIVE, Fleet

    fleet = Fleet(Path(sys.argv[1]), LIVE)
    boots = [fleet.boot(index) for index in range(7)]
    while True:
        for boot in boots:
            for event in [*boot.live(1000), *boot.dhcp(Client.PXE), *boot.dhcp(Client.OS)]:
                fleet.happen(event, 0.01)
                print(boot.host, fleet[boot].number, int(fleet[boot].stage), flush=True)
            fleet.registry.order(fleet.registry.hosts[boot.host], "reinstall")
"""


@pytest.mark.parametrize("lines", [1, 100, 1000])
def test_kill_in_the_middle_of_writing_loses_nothing_that_was_told(tmp_path, lines):
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ENDLESS), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        said += writer.stdout.readlines()
    fleet = Fleet(tmp_path, LIVE)
    for line in said[:-1]:  # the last may be cut
        host, number, stage = line.split()
        one = fleet.registry.installations[host]
        assert (one.number, one.stage) >= (int(number), int(stage))
    fleet.journal.close()
