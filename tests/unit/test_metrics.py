"""The metrics, read by the parser of Prometheus, and the list of metrics in the manual."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance import model
from appliance.bus import Bus
from appliance.events import IgnitionLoaded, Program, Reloaded, ReloadRefused, Stamped, WebKind
from appliance.metrics import METRICS, PREFIX, Metrics
from appliance.model import Role
from appliance.registry import Registry
from appliance.state.fallback import FallbackStore
from appliance.state.journal import Journal
from tests.boots import LIVE, MB, NOW, Boot, refuse_writes
from tests.clusters import host as new_host
from tests.clusters import reference_cluster
from tests.takes import quickest

DOCS = Path(__file__).parents[2] / "docs/metrics.md"
M1 = Boot(LIVE.hosts[1])

COUNTS = {
    "dns": Counter({("udp", "NOERROR"): 7, ("tcp", "SERVFAIL"): 1, ("udp", "silence"): 2, ("upstream", "cached"): 3}),
    "dhcp": Counter(
        {
            ("reply", "offer"): 4,
            ("silence", "unknown-mac"): 5,
            ("sent", "frame"): 4,
            ("unsent", "Network is down"): 1,
            ("stranger-event", "dropped"): 9,
        }
    ),
    "dhcp6": Counter({("reply", "advertise"): 4, ("silence", "unknown-mac"): 5, ("outside-event", "dropped"): 2}),
    "ra": Counter({("sent",): 6, ("unsent", "Network is down"): 1, ("heard", "solicitation"): 3}),
    "tftp": Counter(
        {("started",): 3, ("finished",): 2, ("refused", "no-file"): 1, ("silent", "busy"): 1, ("bytes",): 9}
    ),
    "web": Counter({("request", "kernel", "200"): 1, ("bytes", "kernel"): 14 * MB, ("broken", "rootfs"): 1}),
}


class Scraped:
    """A registry, its bus and its metrics."""

    def __init__(self, data_dir, cluster=LIVE):
        self.bus = Bus()
        self.journal = Journal(FallbackStore(data_dir))
        self.registry = Registry(self.journal, [cluster], self.bus.publish)
        counts = {part: (lambda part=part: COUNTS[part]) for part in COUNTS}
        self.metrics = Metrics(self.registry, self.bus, counts, lambda: NOW)
        self.bus.first = self.registry.listen
        self.bus.subscribers.append(self.metrics.listen)

    def samples(self):
        families = text_string_to_metric_families(self.metrics.exposition().decode())
        return {
            (name, *(sample.labels[label] for label in (METRICS[name].labels if name in METRICS else ()))): sample.value
            for family in families
            for sample in family.samples
            if (name := sample.name.removeprefix(PREFIX))
        }


@pytest.fixture
def scraped(tmp_path):
    scraped = Scraped(tmp_path)
    yield scraped
    scraped.journal.close()


def test_a_host_that_fell_silent_has_its_condition(scraped):
    boot = Boot(LIVE.hosts[1])
    for event in boot.to_initramfs():
        scraped.registry.listen(Stamped(NOW - 3600, event))
    assert scraped.samples()["host_condition", boot.host, "silent"] == 1


def test_every_described_metric_is_exposed_and_no_other(scraped):
    families = text_string_to_metric_families(scraped.metrics.exposition().decode())
    # The parser removes the suffix _total of counters.
    kinds = {family.name: family.type for family in families if family.name.startswith(PREFIX)}
    described = {PREFIX + metric.name.removesuffix("_total"): metric.kind for metric in METRICS.values()}
    assert kinds == described


def test_manual_lists_each_metric_with_its_kind_and_labels():
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", DOCS.read_text(), re.MULTILINE)
    described = [
        (metric.name, metric.kind, ", ".join(f"`{label}`" for label in metric.labels) or "–", metric.help)
        for metric in METRICS.values()
    ]
    assert listed == described


@pytest.mark.parametrize("described", METRICS.values(), ids=lambda metric: metric.name)
def test_name_follows_the_conventions(described):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", described.name)
    assert described.name.endswith("_total") == (described.kind == "counter")
    assert not set(described.labels) & {"le", "quantile", "job", "instance"}
    assert described.help.endswith(".")


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        (("dns_responses_total", "udp", "NOERROR"), 7),
        (("dns_responses_total", "tcp", "SERVFAIL"), 1),
        (("dns_unanswered_total", "udp", "silence"), 2),
        (("dns_upstream_total", "cached"), 3),
        (("dhcp_replies_total", "offer"), 4),
        (("dhcp_silences_total", "unknown-mac"), 5),
        (("dhcp_sends_total", "frame"), 4),
        (("dhcp_send_failures_total", "Network is down"), 1),
        (("dhcp_stranger_events_dropped_total",), 9),
        (("dhcp6_replies_total", "advertise"), 4),
        (("dhcp6_silences_total", "unknown-mac"), 5),
        (("dhcp6_events_dropped_total", "outside"), 2),
        (("ra_sent_total",), 6),
        (("ra_send_failures_total", "Network is down"), 1),
        (("ra_heard_total", "solicitation"), 3),
        (("tftp_transfers_total", "finished"), 2),
        (("tftp_transfers_total", "failed"), 0),
        (("tftp_refusals_total", "no-file"), 1),
        (("tftp_silences_total", "busy"), 1),
        (("tftp_sent_bytes_total",), 9),
        (("http_requests_total", "kernel", "200"), 1),
        (("http_sent_bytes_total", "kernel"), 14 * MB),
        (("http_broken_total", "rootfs"), 1),
    ],
)
def test_servers_counts_are_the_samples(scraped, sample, value):
    assert scraped.samples()[sample] == value


def test_host_shows_its_stage_its_bytes_and_its_condition(scraped):
    for event in [*M1.to_script(), *M1.get(WebKind.KERNEL, 14 * MB), *[M1.broken(WebKind.INITRAMFS)] * 3]:
        scraped.bus.publish(event)
    samples = scraped.samples()
    assert samples["host_stage", M1.host, "master"] == 5
    assert samples["hosts", "kernel"] == 1
    assert samples["hosts", "waiting"] == 6
    assert samples["host_sent_bytes_total", M1.host, "kernel"] == 14 * MB
    assert samples["host_condition", M1.host, "download-stalled"] == 1


def test_durations_are_of_stages_and_of_whole_installations(scraped):
    for second, event in enumerate(M1.live()):
        scraped.registry.listen(Stamped(NOW + second, event))
    samples = scraped.samples()
    assert samples["host_stage_duration_seconds", M1.host, "firmware"] == 3
    count = samples["installation_duration_seconds_count",]
    assert count == 1


def test_certificate_has_the_time_when_it_expires(scraped, tmp_path):
    scraped.registry.update([replace(LIVE, data_dir=tmp_path)])
    path = tmp_path / "ignition" / "bootstrap.ign"
    path.parent.mkdir()
    path.write_text("{}")
    scraped.bus.publish(IgnitionLoaded("", str(path), "3.2.0", "2023-11-15T00:00:00+00:00"))
    samples = scraped.samples()
    assert samples["certificate_expiry_timestamp_seconds", str(path)] == 1700006400
    assert samples["certificate_left_seconds", str(path)] == 6400


def test_certificate_ends_with_the_installation_of_its_hosts(scraped, tmp_path):
    """An alert about a file that nobody needs would never end."""
    scraped.registry.update([replace(LIVE, data_dir=tmp_path)])
    path = tmp_path / "ignition" / "bootstrap.ign"
    path.parent.mkdir()
    path.write_text("{}")
    scraped.bus.publish(IgnitionLoaded("", str(path), "3.2.0", "2023-11-15T00:00:00+00:00"))
    assert ("certificate_left_seconds", str(path)) in scraped.samples()
    bootstrap = Boot(LIVE.hosts[0])
    for event in [*bootstrap.live(rootfs=1000), *bootstrap.dhcp(Program.OS)]:
        scraped.bus.publish(event)
    assert [name for name, *_ in scraped.samples() if name.startswith("certificate_")] == []


def test_reloads_are_counted_by_result(scraped):
    for event in (Reloaded("", "a"), ReloadRefused("", "a", "no"), ReloadRefused("", "a", "no")):
        scraped.bus.publish(event)
    samples = scraped.samples()
    assert (samples["reloads_total", "done"], samples["reloads_total", "refused"]) == (1, 2)


def test_state_in_memory_is_shown(scraped):
    assert scraped.samples()["state_in_memory",] == 0
    refuse_writes(scraped.journal)
    scraped.bus.publish(M1.loader()[1])
    scraped.bus.publish(M1.dhcp(Program.PXE)[0])
    assert scraped.samples()["state_in_memory",] == 1


def test_subscriber_that_fails_is_counted(scraped):
    def broken(_stamped):
        raise RuntimeError

    scraped.bus.subscribers.append(broken)
    scraped.bus.publish(Reloaded("", "a"))
    assert any(name == "listener_failures_total" and value == 1 for (name, *_), value in scraped.samples().items())


def test_machine_that_is_no_node_is_not_counted(tmp_path):
    hosts = tuple(replace(host, boot=model.Boot.NOTHING) if host.short_name == "w3" else host for host in LIVE.hosts)
    scraped = Scraped(tmp_path, replace(LIVE, hosts=hosts))
    samples = scraped.samples()
    scraped.journal.close()
    assert samples["hosts", "waiting"] == 6
    assert not any("w3." in str(sample) for sample in samples)


def test_thousand_hosts_are_scraped_within_a_second(tmp_path):
    hosts = tuple(
        new_host(f"w{n}", Role.WORKER, f"10.0.{n // 250}.{n % 250 + 1}", f"52:54:00:00:{n >> 8:02x}:{n & 255:02x}")
        for n in range(1000)
    )
    scraped = Scraped(tmp_path, reference_cluster(hosts=hosts))
    for host in hosts:
        for event in Boot(host).to_initramfs():
            scraped.registry.listen(Stamped(NOW, event))
    text = scraped.metrics.exposition().decode()
    # The goal is one second on an idle machine. On a slow or busy machine the parser of Prometheus is slow
    # too; parsing this text takes two to three times as long as making it.
    making, parsing = quickest(scraped.metrics.exposition, lambda: list(text_string_to_metric_families(text)), takes=3)
    assert making < max(1.0, 5 * parsing)
    scraped.journal.close()
