"""What all tests share."""

import os

import pytest
from hypothesis import settings

# How long one example takes says more about the machine's other work than about ours.
settings.register_profile("unhurried", deadline=None)
# A run that judges a change tries the same examples each time, so that it fails for what the change did and can
# be repeated; it is at the keyboard that each run searches further. What a search finds becomes a test.
settings.register_profile("repeatable", settings.get_profile("unhurried"), derandomize=True)
is_judged = os.environ.get("CI") or os.environ.get("APPLIANCE_NO_SKIPS")
settings.load_profile("repeatable" if is_judged else "unhurried")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Let a skipped test fail the run where everything is meant to run (.ci/run sets APPLIANCE_NO_SKIPS)."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("APPLIANCE_NO_SKIPS") and exitstatus == 0 and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why a run fails in which every test that ran has passed; their names and reasons stand above."""
    skipped = len(terminalreporter.stats.get("skipped", ()))
    if os.environ.get("APPLIANCE_NO_SKIPS") and skipped:
        terminalreporter.write_line(f"{skipped} skipped: everything is meant to run here, so that this is a failure")
