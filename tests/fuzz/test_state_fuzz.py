"""Whatever becomes of the files of the state, the appliance starts or says why not, and arms no host by it."""

import os
import random
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from appliance.errors import StateError
from appliance.install.installation import Order
from tests.boots import LIVE, Fleet

QUICK, FULL = 300, 10_000
FUZZ_SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))  # `make fuzz` sets it to an hour, for a million starts
VALUES = (None, "", "x", -1, 0, 2**62, 1e308, float("inf"), b"\xff", "[" * 5000, '{"host": "a"}')
TABLES = ("installations", "events", "secrets", "serials", "strangers", "clock")
COLUMNS = {
    "installations": ("host", "number", "state", "revision"),
    "events": ("at", "host", "number", "kind", "facts", "times", "last_at"),
    "secrets": ("name", "value"),
    "serials": ("zone", "digest", "serial"),
    "strangers": ("mac", "last_at", "facts"),
    "clock": ("name", "boot", "ahead"),
}


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The state after a kill and after a clean end."""
    path = tmp_path_factory.mktemp("originals")
    fleet = Fleet(path / "lives", LIVE)
    for number in (1, 2):
        fleet.happen(fleet.boot(number).live(rootfs=1000))
    fleet.happen(fleet.boot(3).to_script())
    fleet.journal.serials([LIVE])("example", "digest")
    fleet.journal.store.sync()
    shutil.copytree(path / "lives", path / "killed")
    fleet.journal.close()
    return path / "killed", path / "lives"


def flip(path: Path, dice: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(dice.choice((1, 1, 4, 64))):
        if content:
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def cut(path: Path, dice: random.Random) -> None:
    os.truncate(path, dice.randrange(path.stat().st_size + 1))


def swap(path: Path, dice: random.Random) -> None:
    content = path.read_bytes()
    pages = [content[at : at + 4096] for at in range(0, len(content), 4096)]
    one, other = dice.randrange(len(pages)), dice.randrange(len(pages))
    pages[one], pages[other] = pages[other], pages[one]
    path.write_bytes(b"".join(pages))


def edit(path: Path, dice: random.Random) -> None:
    table = dice.choice(TABLES)
    column = dice.choice(COLUMNS[table])
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as db, db:
        if dice.random() < 0.1:
            db.execute(f"DROP TABLE {table}")
        elif dice.random() < 0.1:
            db.execute("DROP INDEX events_of_host")
        elif table == "installations" and column == "state":
            old, new = dice.choice(('"stage": 9', ": 0", "true", '"host"', "}", "1")), dice.choice(("", "9", "null"))
            db.execute("UPDATE installations SET state = replace(state, ?, ?)", (old, new))
        else:
            db.execute(f"UPDATE OR REPLACE {table} SET {column} = ?", (dice.choice(VALUES),))


def begun(directory: Path) -> dict[str, Order]:
    fleet = Fleet(directory, LIVE)
    fleet.registry.journal.events()
    fleet.journal.close()
    return {host: installation.order for host, installation in fleet.registry.installations.items()}


def one_start(directory: Path, originals: tuple[Path, Path], before: dict[str, Order], seed: int) -> str:
    """Start on a mutation of the state; return what is wrong with the result, or nothing."""
    dice = random.Random(seed)
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(dice.choice(originals), directory)
    files = [directory / name for name in ("state.db", "state.db-wal") if (directory / name).exists()]
    dice.choice((flip, cut, swap, edit))(dice.choice(files), dice)
    try:
        found = begun(directory)
    except StateError:
        return ""
    armed = [host for host in found if found[host] is Order.INSTALL and before[host] is not Order.INSTALL]
    return f"seed {seed} arms {armed}" if armed else ""


@pytest.mark.parametrize(
    ("starts", "seconds"),
    [
        pytest.param(QUICK, 10.0, id="quick"),
        pytest.param(FULL * max(1, int(FUZZ_SECONDS / 60)), FUZZ_SECONDS, id="full", marks=pytest.mark.slow),
    ],
)
def test_no_mutation_of_the_state_arms_a_host(originals, tmp_path, starts, seconds):
    end = time.monotonic() + seconds
    directory = tmp_path / "mutated"
    before = begun(shutil.copytree(originals[1], tmp_path / "sound"))
    assert set(before.values()) == {Order.INSTALL, Order.LOCAL}
    done = 0
    for seed in range(starts):
        assert one_start(directory, originals, before, seed) == ""
        done = seed + 1
        if time.monotonic() > end:
            break
    print(f"{done} starts")
