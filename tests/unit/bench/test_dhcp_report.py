"""The report of perfdhcp, as the bench parses it."""

import pytest

from tests.bench.dhcp import Report, parse_report
from tests.bench.lab import BenchError

STATISTICS = """\
***Rate statistics***
Rate: {rate} 4-way exchanges/second, expected rate: 100
***Statistics for: DISCOVER-OFFER***
received packets: {offers}
drops ratio: {offers_lost} %
***Statistics for: REQUEST-ACK***
received packets: {acks}
drops ratio: {acks_lost} %
"""


def test_report_is_rate_worse_loss_and_exchanges() -> None:
    out = STATISTICS.format(rate=98.5, offers=100, offers_lost=0.5, acks=99, acks_lost=0)
    assert parse_report(out) == Report(98.5, 0.5, 99)


def test_overloaded_server_has_lost_everything() -> None:
    out = STATISTICS.format(rate=0, offers=0, offers_lost=100, acks=0, acks_lost="-nan")
    assert parse_report(out) == Report(0, 100, 0)


def test_output_without_statistics_is_an_error() -> None:
    with pytest.raises(BenchError, match="perfdhcp printed no statistics: Unable to bind"):
        parse_report("Unable to bind")
