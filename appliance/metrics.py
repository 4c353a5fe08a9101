"""The appliance's metrics in Prometheus' text format; docs/metrics.md lists the same names.

Nothing is counted twice: the servers and the registry keep plain counters, and
a scrape turns them into samples. A scrape with 1,000 hosts takes some 100 ms, so
`exposition` is called in a thread; it works on copies, because the loop's thread
changes the originals.
"""

import platform
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from appliance import __version__
from appliance.bus import Bus
from appliance.events import Reloaded, ReloadRefused, StageReached, Stamped
from appliance.install.installation import Stage
from appliance.model import Boot
from appliance.registry_view import RegistryView

Counts = Mapping[tuple[str, ...], int]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "ocp_appliance_"
# An installation takes from a minute (a VM, a fast image) to half an hour (a server with a slow self-test).
DURATION_BUCKETS = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Described:
    """A metric: its name without the prefix, its kind, its help text, and its labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


METRICS = {
    described.name: described
    for described in (
        Described("build_info", "gauge", "Always 1; the labels give the running versions.", ("version", "python")),
        Described("dns_responses_total", "counter", "DNS responses sent.", ("transport", "rcode")),
        Described("dns_unanswered_total", "counter", "DNS messages that got no response.", ("transport", "reason")),
        Described("dns_upstream_total", "counter", "Queries sent to forwarders, by result.", ("result",)),
        Described("dhcp_replies_total", "counter", "DHCP replies, by message type.", ("message",)),
        Described("dhcp_silences_total", "counter", "DHCP messages that got no reply.", ("reason",)),
        Described("dhcp_sends_total", "counter", "DHCP replies sent, by method.", ("way",)),
        Described("dhcp_send_failures_total", "counter", "DHCP replies that could not be sent.", ("reason",)),
        Described(
            "dhcp_stranger_events_dropped_total",
            "counter",
            "Events of unknown machines that were not recorded, because there were too many.",
        ),
        Described(
            "dhcp_host_events_dropped_total",
            "counter",
            "Events of hosts that were not recorded, because there were too many.",
        ),
        Described(
            "dhcp_outside_events_dropped_total",
            "counter",
            "Events of messages from outside that were not recorded, because there were too many.",
        ),
        Described("dhcp6_replies_total", "counter", "DHCPv6 replies, by message type.", ("message",)),
        Described("dhcp6_silences_total", "counter", "DHCPv6 messages that got no reply.", ("reason",)),
        Described("dhcp6_send_failures_total", "counter", "DHCPv6 replies that could not be sent.", ("reason",)),
        Described(
            "dhcp6_events_dropped_total",
            "counter",
            "Events of DHCPv6 messages that were not recorded, because there were too many.",
            ("sender",),
        ),
        Described(
            "ra_sent_total", "counter", "Router advertisements sent, or solicitations where the appliance sends none."
        ),
        Described(
            "ra_send_failures_total",
            "counter",
            "Router advertisements and solicitations that could not be sent.",
            ("reason",),
        ),
        Described("ra_heard_total", "counter", "Solicitations and advertisements of others.", ("kind",)),
        Described("tftp_transfers_total", "counter", "TFTP transfers, by outcome.", ("outcome",)),
        Described("tftp_refusals_total", "counter", "TFTP requests answered with an error.", ("reason",)),
        Described("tftp_silences_total", "counter", "TFTP requests that got no reply.", ("reason",)),
        Described("tftp_resent_blocks_total", "counter", "TFTP blocks sent more than once."),
        Described("tftp_sent_bytes_total", "counter", "Bytes of files delivered by TFTP."),
        Described("http_requests_total", "counter", "HTTP requests, by kind of file and status.", ("kind", "status")),
        Described("http_sent_bytes_total", "counter", "Bytes of HTTP bodies sent.", ("kind",)),
        Described("http_broken_total", "counter", "HTTP responses that were cut short.", ("kind",)),
        Described(
            "http_connections_refused_total", "counter", "HTTP connections refused because of the connection limit."
        ),
        Described("hosts", "gauge", "Hosts at each stage.", ("stage",)),
        Described("host_stage", "gauge", "A host's stage, from 0 (waiting) to 11 (joining).", ("host", "role")),
        Described(
            "host_installations_total", "counter", "Installations of a host, including the current one.", ("host",)
        ),
        Described("host_stage_duration_seconds", "gauge", "Time from this stage to the next one.", ("host", "stage")),
        Described("host_sent_bytes_total", "counter", "Bytes sent to a host.", ("host", "kind")),
        Described(
            "host_condition",
            "gauge",
            "1 while this condition keeps a host from making progress.",
            ("host", "condition"),
        ),
        Described(
            "installation_duration_seconds",
            "histogram",
            "Time from a host's first packet to the last byte of its Ignition file and image.",
        ),
        Described("unknown_machines", "gauge", "Machines in no cluster.yaml that asked for an address."),
        Described(
            "certificate_expiry_timestamp_seconds",
            "gauge",
            "When the certificates in an Ignition file expire.",
            ("path",),
        ),
        Described(
            "certificate_left_seconds", "gauge", "Time until the certificates in an Ignition file expire.", ("path",)
        ),
        Described("reloads_total", "counter", "Reloads of cluster.yaml, by result.", ("result",)),
        Described(
            "listener_failures_total", "counter", "Events that a part of the appliance failed to handle.", ("listener",)
        ),
        Described("state_in_memory", "gauge", "1 while the state cannot be written to disk."),
    )
}


class Metrics(Collector):
    """The appliance's metrics, collected at each scrape. Subscribe `listen` to the bus."""

    def __init__(
        self, registry: RegistryView, bus: Bus, counts: Mapping[str, Callable[[], Counts]], now: Callable[[], float]
    ) -> None:
        """*counts* returns the counters of dns, dhcp, dhcp6, ra, tftp and web; *now* returns seconds UTC."""
        self._registry = registry
        self._bus = bus
        self._counts = counts
        self._now = now
        self._reloads: Counter[str] = Counter({"done": 0, "refused": 0})
        self._buckets = [0] * (len(DURATION_BUCKETS) + 1)
        self._duration_sum = 0.0
        self._exposed = CollectorRegistry()
        self._exposed.register(self)
        ProcessCollector(registry=self._exposed)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._exposed)

    def listen(self, stamped: Stamped) -> None:
        """Count what neither a server nor the registry counts: reloads, and how long installations take."""
        event = stamped.event
        if isinstance(event, Reloaded):
            self._reloads["done"] += 1
        elif isinstance(event, ReloadRefused):
            self._reloads["refused"] += 1
        elif isinstance(event, StageReached) and event.stage == "ignition":
            reached = self._registry.installations[event.host].reached
            seconds = stamped.at - min(reached.values(), default=stamped.at)
            self._buckets[bisect_left(DURATION_BUCKETS, seconds)] += 1
            self._duration_sum += seconds

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering this collector does not collect: a test checks the names instead."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield _gauge("build_info", {(__version__, platform.python_version()): 1})
        yield from self._dns()
        yield from self._dhcp()
        yield from self._dhcp6()
        yield from self._ra()
        yield from self._tftp()
        yield from self._web()
        yield from self._hosts()
        yield from self._appliance()

    def _of(self, part: str) -> Counts:
        counts = self._counts.get(part)
        return dict(counts()) if counts is not None else {}

    def _dns(self) -> Iterator[Metric]:
        counts = self._of("dns")
        served = {key: number for key, number in counts.items() if key[0] in ("udp", "tcp")}
        unanswered = {"silence", "unsent"}
        yield _counter("dns_responses_total", {key: n for key, n in served.items() if key[1] not in unanswered})
        yield _counter("dns_unanswered_total", {key: n for key, n in served.items() if key[1] in unanswered})
        yield _counter("dns_upstream_total", _under(counts, "upstream"))

    def _dhcp(self) -> Iterator[Metric]:
        counts = self._of("dhcp")
        yield _counter("dhcp_replies_total", _under(counts, "reply"))
        yield _counter("dhcp_silences_total", _under(counts, "silence"))
        yield _counter("dhcp_sends_total", _under(counts, "sent"))
        yield _counter("dhcp_send_failures_total", _under(counts, "unsent"))
        yield _counter("dhcp_stranger_events_dropped_total", {(): counts.get(("stranger-event", "dropped"), 0)})
        yield _counter("dhcp_host_events_dropped_total", {(): counts.get(("host-event", "dropped"), 0)})
        yield _counter("dhcp_outside_events_dropped_total", {(): counts.get(("outside-event", "dropped"), 0)})

    def _dhcp6(self) -> Iterator[Metric]:
        counts = self._of("dhcp6")
        yield _counter("dhcp6_replies_total", _under(counts, "reply"))
        yield _counter("dhcp6_silences_total", _under(counts, "silence"))
        yield _counter("dhcp6_send_failures_total", _under(counts, "unsent"))
        senders = ("host", "stranger", "outside")
        dropped: dict[tuple[str, ...], float] = {
            (sender,): counts.get((f"{sender}-event", "dropped"), 0) for sender in senders
        }
        yield _counter("dhcp6_events_dropped_total", dropped)

    def _ra(self) -> Iterator[Metric]:
        counts = self._of("ra")
        yield _counter("ra_sent_total", {(): counts.get(("sent",), 0)})
        yield _counter("ra_send_failures_total", _under(counts, "unsent"))
        yield _counter("ra_heard_total", _under(counts, "heard"))

    def _tftp(self) -> Iterator[Metric]:
        counts = self._of("tftp")
        outcomes = ("started", "finished", "aborted", "failed")
        yield _counter("tftp_transfers_total", {(outcome,): counts.get((outcome,), 0) for outcome in outcomes})
        yield _counter("tftp_refusals_total", _under(counts, "refused"))
        yield _counter("tftp_silences_total", _under(counts, "silent"))
        yield _counter("tftp_resent_blocks_total", {(): counts.get(("resent",), 0)})
        yield _counter("tftp_sent_bytes_total", {(): counts.get(("bytes",), 0)})

    def _web(self) -> Iterator[Metric]:
        counts = self._of("web")
        yield _counter("http_requests_total", _under(counts, "request"))
        yield _counter("http_sent_bytes_total", _under(counts, "bytes"))
        yield _counter("http_broken_total", _under(counts, "broken"))
        yield _counter("http_connections_refused_total", {(): counts.get(("connection", "turned away"), 0)})

    def _hosts(self) -> Iterator[Metric]:
        # Copies, because the loop's thread changes them while this one iterates.
        installations = list(self._registry.installations.values())
        hosts = self._registry.hosts
        # A machine that boots nothing is no installation.
        installations = [it for it in installations if it.host in hosts and hosts[it.host].boot is not Boot.NOTHING]
        at_stage = Counter(installation.stage for installation in installations)
        yield _gauge("hosts", {(stage.name.lower(),): at_stage[stage] for stage in Stage})
        yield _gauge(
            "host_stage",
            {(it.host, hosts[it.host].role.value): it.stage for it in installations},
        )
        yield _counter("host_installations_total", {(it.host,): it.number for it in installations})
        durations: dict[tuple[str, ...], float] = {}
        for installation in installations:
            in_order = sorted(installation.reached.items(), key=lambda item: item[1])
            for (stage, began_at), (_, ended_at) in pairwise(in_order):
                durations[installation.host, stage.name.lower()] = ended_at - began_at
        yield _gauge("host_stage_duration_seconds", durations)
        yield _counter("host_sent_bytes_total", dict(self._registry.bytes))
        conditions = [(it.host, self._registry.condition(it, self._now())) for it in installations]
        yield _gauge("host_condition", {(host, found.name): 1 for host, found in conditions if found is not None})

    def _appliance(self) -> Iterator[Metric]:
        described = METRICS["installation_duration_seconds"]
        edges = [*map(str, DURATION_BUCKETS), "+Inf"]
        histogram = HistogramMetricFamily(PREFIX + described.name, described.help)
        histogram.add_metric((), list(zip(edges, accumulate(self._buckets), strict=True)), self._duration_sum)
        yield histogram
        yield _gauge("unknown_machines", {(): len(self._registry.strangers)})
        expiring = {state.path: state.expires_at for state in self._registry.certificates.states() if state.expires_at}
        yield _gauge("certificate_expiry_timestamp_seconds", {(path,): at for path, at in expiring.items()})
        yield _gauge("certificate_left_seconds", {(path,): at - self._now() for path, at in expiring.items()})
        yield _counter("reloads_total", {(result,): number for result, number in self._reloads.items()})
        yield _counter(
            "listener_failures_total", {(name,): number for name, number in dict(self._bus.failures).items()}
        )
        yield _gauge("state_in_memory", {(): self._registry.journal.trouble is not None})


def _under(counts: Counts, first: str) -> Counts:
    return {key[1:]: number for key, number in counts.items() if key[0] == first}


def _counter(name: str, samples: Mapping[tuple[str, ...], float]) -> Metric:
    described = METRICS[name]
    return _filled(CounterMetricFamily(PREFIX + name, described.help, labels=described.labels), samples)


def _gauge(name: str, samples: Mapping[tuple[str, ...], float]) -> Metric:
    described = METRICS[name]
    return _filled(GaugeMetricFamily(PREFIX + name, described.help, labels=described.labels), samples)


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily, samples: Mapping[tuple[str, ...], float]
) -> CounterMetricFamily | GaugeMetricFamily:
    for labels, value in samples.items():
        family.add_metric(labels, value)
    return family
