"""The output of dig and curl in docs/ equals the answers of the appliance for the reference cluster."""

from collections.abc import Iterator

import pytest

from tests.manual import blocks, commands
from tests.serve_lab import REFERENCE_TEXT, Site, run, site

pytestmark = pytest.mark.netns

DIGS = [
    pytest.param(words, printed, id=f"{block.page.name} {' '.join(words)}"[:80])
    for block in blocks("console")
    for words, printed in commands(block)
    if words[0] == "dig" and "@172.16.0.101" in words
]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("manual"), REFERENCE_TEXT) as served, served.serve():
        yield served


@pytest.mark.parametrize(("words", "printed"), DIGS)
def test_dig_prints_what_the_manual_shows(here: Site, words: list[str], printed: list[str]) -> None:
    done = run(*words, place=here.place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == printed


def test_curl_shows_the_fields_that_the_manual_shows(here: Site) -> None:
    ((words, printed),) = [
        (words, printed) for block in blocks("console") for words, printed in commands(block) if "-I" in words
    ]
    done = run(*words, "-s", place=here.place)
    got = done.stdout.splitlines()
    assert got[0] == printed[0]
    names = {line.partition(":")[0].lower() for line in got if ":" in line}
    assert {line.partition(":")[0].lower() for line in printed if ":" in line} <= names
