"""The page writes sizes, times and foreign text as the command line does."""

import pytest

from tests.browser_page import opened
from tests.dashboards import Dashboard
from tests.spellings import AGES, DURATIONS, SIZES, TEXTS

WRITTEN = "async ([name, values]) => { const words = await import('/words.js'); return values.map(words[name]); }"


@pytest.mark.parametrize(
    ("name", "table"), [("size", SIZES), ("age", AGES), ("duration", DURATIONS), ("printable", TEXTS)]
)
async def test_page_writes_as_the_command_line_does(tmp_path, name, table):
    dashboard = Dashboard(tmp_path)
    await dashboard.start()
    try:
        async with opened(dashboard.url) as view:
            assert await view.page.evaluate(WRITTEN, [name, list(table)]) == list(table.values())
    finally:
        await dashboard.close()
