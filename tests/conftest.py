"""Settings of Hypothesis, and the rule that a skipped test fails a complete run."""

import os

import pytest
from hypothesis import settings

# The time of one example depends more on what else the machine is doing than on this code.
settings.register_profile("unhurried", deadline=None)
# CI tries the same examples in every run, so that a failure is due to the change under test and can be reproduced.
# Elsewhere each run tries new examples. A failure that these find becomes a test of its own.
settings.register_profile("repeatable", settings.get_profile("unhurried"), derandomize=True)
is_ci = os.environ.get("CI") or os.environ.get("APPLIANCE_NO_SKIPS")
settings.load_profile("repeatable" if is_ci else "unhurried")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run if a test was skipped although all tests must run: .ci/run sets APPLIANCE_NO_SKIPS."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("APPLIANCE_NO_SKIPS") and exitstatus == 0 and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print why a run fails although no test has failed; pytest has printed the skipped tests and their reasons."""
    skipped = len(terminalreporter.stats.get("skipped", ()))
    if os.environ.get("APPLIANCE_NO_SKIPS") and skipped:
        terminalreporter.write_line(f"{skipped} skipped: all tests must run here, so this run fails")
