"""The output of `validate` for a file with many mistakes, word for word.

`python -m tests.golden.test_config_mistakes` writes config/mistakes.txt again; read the diff before you commit it.
"""

import os
from pathlib import Path

from click.testing import CliRunner

from appliance.cli import cli

GOLDEN = Path(__file__).parent / "config"


def said() -> str:
    """Return the output of validate, run in the directory of the file."""
    here = Path.cwd()
    os.chdir(GOLDEN)
    try:
        return CliRunner().invoke(cli, ["validate", "mistakes.yaml", "--data-dir", "/nowhere"]).stdout
    finally:
        os.chdir(here)


def test_every_mistake_is_reported_at_once_in_the_order_of_the_file() -> None:
    assert said() == (GOLDEN / "mistakes.txt").read_text()


if __name__ == "__main__":
    (GOLDEN / "mistakes.txt").write_text(said())
