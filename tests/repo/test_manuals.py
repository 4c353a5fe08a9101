"""Figures and keys in docs/ agree with the code."""

import re
from pathlib import Path

from appliance.config.schema import schema_at
from appliance.recorder import KEPT_BLOCKS
from appliance.tftp.transfer import (
    MAX_CLIENT_TRANSFERS,
    MAX_STRANGER_CLIENT_TRANSFERS,
    MAX_STRANGER_TRANSFERS,
    MAX_TRANSFERS,
)

DOCS = Path(__file__).parents[2] / "docs"


def test_manual_of_tftp_states_the_bounds_of_transfers() -> None:
    bounds = (
        f"- At most {MAX_TRANSFERS:,} transfers to hosts run at once, and {MAX_STRANGER_TRANSFERS} to all other "
        f"addresses; {MAX_CLIENT_TRANSFERS} for one host, and {MAX_STRANGER_CLIENT_TRANSFERS} for one other address."
    )

    assert bounds in (DOCS / "tftp.md").read_text()


def test_manual_of_the_dashboard_states_how_many_blocks_are_kept() -> None:
    assert f"the first {KEPT_BLOCKS} blocks of each transfer" in (DOCS / "dashboard.md").read_text()


def test_keys_below_lists_that_manuals_name_are_in_the_schema() -> None:
    named = {key for path in DOCS.glob("*.md") for key in re.findall(r"`([\w.]+\[\][\w.\[\]-]*)`", path.read_text())}
    paths = {key: [0 if part == "[]" else part for part in re.findall(r"\[\]|[\w-]+", key)] for key in named}

    assert [key for key, path in paths.items() if not schema_at(tuple(path))] == []
    assert len(named) > 1
