"""A disk that refuses writes: the state stays in memory, with a warning, and is written when the disk works again."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.events import Program, WebKind
from appliance.install.installation import Stage
from appliance.state.fallback import FallbackStore
from appliance.state.journal import Journal
from appliance.state.sqlite import SqliteStore
from appliance.state.store import Change, Saved
from tests.boots import LIVE, Fleet, refuse_writes, refuse_writes_of
from tests.scripts import run
from tests.state_examples import FULL

FULL_DISK = """
    import resource, signal, sys
    from dataclasses import replace
    from pathlib import Path
    from appliance.state.fallback import FallbackStore
    from appliance.state.journal import Journal
    from appliance.install.installation import Installation, Stage

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    directory = Path(sys.argv[1])
    journal = Journal(FallbackStore(directory))
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
    print("disk", Journal(FallbackStore(directory)).load()["m1.example"] == one)
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
    from appliance.state.fallback import FallbackStore
    from appliance.state.journal import Journal
    from appliance.install.installation import Stage

    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)  # nobody
    journal = Journal(FallbackStore(Path(sys.argv[1])))
    one = journal.load().get("m1.example")
    print("trouble", journal.trouble is not None, "known", one is not None and one.stage.name)
    if one is not None:
        journal.save(replace(one, number=9))
        print("saved", journal.load()["m1.example"].number)
    journal.store.serial_of("example", "a")
    journal.close()
"""


@pytest.fixture
def public_path(tmp_path_factory):
    """A directory that other users can reach."""
    path = tmp_path_factory.mktemp("public")
    for parent in (path, *path.parents):
        if parent == Path("/tmp"):
            break
        parent.chmod(0o755)
    return path


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be somebody else")
def test_read_only_directory_is_loud_and_its_state_is_known(public_path):
    kept = Journal(FallbackStore(public_path))
    kept.save(replace(FULL, host="m1.example", stage=Stage.BOOTED))
    copy = public_path / "killed"
    copy.mkdir()
    for path in public_path.glob("state.db*"):  # as after a kill: the last change is only in the log
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
    refuse_writes(fleet.journal)
    fleet.happen(m1.live(rootfs=1000))
    fleet.happen(m1.dhcp(Program.PXE))
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
    fleet.happen(m1.dhcp(Program.PXE))
    fleet.journal.store._store._db.execute("DROP TABLE installations")
    fleet.happen(m1.loader())
    assert fleet[m1].stage is Stage.LOADER
    assert fleet.journal.trouble is not None
    fleet.journal.close()


@pytest.fixture
def refused(quick_path):
    """A store with an installation on disk that can no longer be written."""
    store = FallbackStore(quick_path)
    store.save([Change(FULL.host, 0, FULL)])
    refuse_writes_of(store)
    store.save_strangers([])
    assert store.trouble
    yield store
    store.close()


def test_trouble_names_the_file_the_reason_and_the_remedy(refused):
    assert refused.trouble == (
        f"cannot write {refused.path}: attempt to write a readonly database. The appliance keeps running with its "
        "state in memory, which a restart would lose: free space on the disk, or make the directory writable"
    )


def test_revisions_and_the_secret_go_on_in_memory_and_back_on_disk(refused, quick_path):
    secret = refused.secret
    for tries in (4, 5):
        kept = refused.load()[FULL.host]
        assert isinstance(refused.save([Change(FULL.host, kept.revision, replace(FULL, tries=tries))]), Saved)
    before = refused.load()
    refused.retry([replace(FULL, tries=5)])
    assert refused.trouble is None
    assert (refused.load(), refused.secret) == (before, secret)
    assert isinstance(refused.save([Change(FULL.host, before[FULL.host].revision, replace(FULL, tries=6))]), Saved)


def test_host_that_is_forgotten_in_memory_is_not_on_disk_again(refused):
    refused.save([Change(FULL.host, refused.load()[FULL.host].revision, None)])
    refused.retry([])
    assert (refused.trouble, refused.load()) == (None, {})


def test_serial_that_rose_in_memory_does_not_fall_on_disk(refused):
    serial = refused.serial_of("example", "a", 2000091802)
    refused.retry([])
    assert refused.serial_of("example", "b") == serial + 1


def test_lost_file_does_not_stop_a_change_and_gets_all_current_installations(tmp_path):
    fleet = Fleet(tmp_path, LIVE)
    m1, m2 = fleet.boot(1), fleet.boot(2)
    fleet.happen([*m1.to_script(), *m2.to_script()])
    secret = fleet.journal.store.secret
    fleet.journal.store._store._db.execute("DROP TABLE installations")
    fleet.happen(m1.get(WebKind.KERNEL))
    fleet.journal.store.path.unlink()
    fleet.journal.retry(fleet.registry.installations.values())
    assert fleet.journal.trouble is None
    fleet.happen(m2.get(WebKind.KERNEL))
    fleet.journal.close()
    again = Fleet(tmp_path, LIVE)
    assert (again[m1].stage, again[m2].stage) == (Stage.KERNEL, Stage.KERNEL)
    # How the clock was set is lost with the file, and with that how long ago anything was.
    assert again[m1] == replace(fleet[m1], window_opened_at=again[m1].window_opened_at)
    assert again.journal.store.secret == secret
    again.journal.close()


def test_disk_that_another_appliance_has_taken_meanwhile_is_left_alone(refused, quick_path):
    other = SqliteStore.on_disk(quick_path / "state.db")
    refused.retry([FULL])
    assert refused.trouble
    other.close()
