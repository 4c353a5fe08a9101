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
from itertools import accumulate, pairwise

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from appliance import __version__
from appliance.balancer.view import BalancerView
from appliance.bus import Bus
from appliance.events import Reloaded, ReloadRefused, StageReached, Stamped
from appliance.install.installation import Stage
from appliance.metrics.balancer import of_balancer
from appliance.metrics.described import METRICS, PREFIX, Counts, counter, gauge, under
from appliance.model import Boot
from appliance.registry_view import RegistryView

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# An installation takes from a minute (a VM, a fast image) to half an hour (a server with a slow self-test).
DURATION_BUCKETS = (15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0)


class Metrics(Collector):
    """The appliance's metrics, collected at each scrape. Subscribe `listen` to the bus.

    `balancer` is the HAProxy that the appliance drives, if it drives one.
    """

    def __init__(
        self, registry: RegistryView, bus: Bus, counts: Mapping[str, Callable[[], Counts]], now: Callable[[], float]
    ) -> None:
        """*counts* has what returns the counters of each part: dns, dhcp, dhcp6, ra, tftp, web and balancer (its log).

        *now* returns seconds UTC.
        """
        self.balancer: BalancerView | None = None
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
        yield gauge("build_info", {(__version__, platform.python_version()): 1})
        yield from self._dns()
        yield from self._dhcp()
        yield from self._dhcp6()
        yield from self._ra()
        yield from self._tftp()
        yield from self._web()
        yield from of_balancer(self.balancer, self._of("balancer"))
        yield from self._hosts()
        yield from self._appliance()

    def _of(self, part: str) -> Counts:
        counts = self._counts.get(part)
        return dict(counts()) if counts is not None else {}

    def _dns(self) -> Iterator[Metric]:
        counts = self._of("dns")
        served = {key: number for key, number in counts.items() if key[0] in ("udp", "tcp")}
        unanswered = {"silence", "unsent"}
        yield counter("dns_responses_total", {key: n for key, n in served.items() if key[1] not in unanswered})
        yield counter("dns_unanswered_total", {key: n for key, n in served.items() if key[1] in unanswered})
        yield counter("dns_upstream_total", under(counts, "upstream"))

    def _dhcp(self) -> Iterator[Metric]:
        counts = self._of("dhcp")
        yield counter("dhcp_replies_total", under(counts, "reply"))
        yield counter("dhcp_silences_total", under(counts, "silence"))
        yield counter("dhcp_sends_total", under(counts, "sent"))
        yield counter("dhcp_send_failures_total", under(counts, "unsent"))
        yield counter("dhcp_stranger_events_dropped_total", {(): counts.get(("stranger-event", "dropped"), 0)})
        yield counter("dhcp_host_events_dropped_total", {(): counts.get(("host-event", "dropped"), 0)})
        yield counter("dhcp_outside_events_dropped_total", {(): counts.get(("outside-event", "dropped"), 0)})

    def _dhcp6(self) -> Iterator[Metric]:
        counts = self._of("dhcp6")
        yield counter("dhcp6_replies_total", under(counts, "reply"))
        yield counter("dhcp6_silences_total", under(counts, "silence"))
        yield counter("dhcp6_send_failures_total", under(counts, "unsent"))
        senders = ("host", "stranger", "outside")
        dropped: dict[tuple[str, ...], float] = {
            (sender,): counts.get((f"{sender}-event", "dropped"), 0) for sender in senders
        }
        yield counter("dhcp6_events_dropped_total", dropped)

    def _ra(self) -> Iterator[Metric]:
        counts = self._of("ra")
        yield counter("ra_sent_total", {(): counts.get(("sent",), 0)})
        yield counter("ra_send_failures_total", under(counts, "unsent"))
        yield counter("ra_heard_total", under(counts, "heard"))

    def _tftp(self) -> Iterator[Metric]:
        counts = self._of("tftp")
        outcomes = ("started", "finished", "aborted", "failed")
        yield counter("tftp_transfers_total", {(outcome,): counts.get((outcome,), 0) for outcome in outcomes})
        yield counter("tftp_refusals_total", under(counts, "refused"))
        yield counter("tftp_silences_total", under(counts, "silent"))
        yield counter("tftp_resent_blocks_total", {(): counts.get(("resent",), 0)})
        yield counter("tftp_sent_bytes_total", {(): counts.get(("bytes",), 0)})

    def _web(self) -> Iterator[Metric]:
        counts = self._of("web")
        yield counter("http_requests_total", under(counts, "request"))
        yield counter("http_sent_bytes_total", under(counts, "bytes"))
        yield counter("http_broken_total", under(counts, "broken"))
        yield counter("http_connections_refused_total", {(): counts.get(("connection", "turned away"), 0)})

    def _hosts(self) -> Iterator[Metric]:
        # Copies, because the loop's thread changes them while this one iterates.
        installations = list(self._registry.installations.values())
        hosts = self._registry.hosts
        # A machine that boots nothing is no installation.
        installations = [it for it in installations if it.host in hosts and hosts[it.host].boot is not Boot.NOTHING]
        at_stage = Counter(installation.stage for installation in installations)
        yield gauge("hosts", {(stage.name.lower(),): at_stage[stage] for stage in Stage})
        yield gauge(
            "host_stage",
            {(it.host, hosts[it.host].role.value): it.stage for it in installations},
        )
        yield counter("host_installations_total", {(it.host,): it.number for it in installations})
        durations: dict[tuple[str, ...], float] = {}
        for installation in installations:
            in_order = sorted(installation.reached.items(), key=lambda item: item[1])
            for (stage, began_at), (_, ended_at) in pairwise(in_order):
                durations[installation.host, stage.name.lower()] = ended_at - began_at
        yield gauge("host_stage_duration_seconds", durations)
        yield counter("host_sent_bytes_total", dict(self._registry.bytes))
        conditions = [(it.host, self._registry.condition(it, self._now())) for it in installations]
        yield gauge("host_condition", {(host, found.name): 1 for host, found in conditions if found is not None})

    def _appliance(self) -> Iterator[Metric]:
        described = METRICS["installation_duration_seconds"]
        edges = [*map(str, DURATION_BUCKETS), "+Inf"]
        histogram = HistogramMetricFamily(PREFIX + described.name, described.help)
        histogram.add_metric((), list(zip(edges, accumulate(self._buckets), strict=True)), self._duration_sum)
        yield histogram
        yield gauge("unknown_machines", {(): len(self._registry.strangers)})
        expiring = {state.path: state.expires_at for state in self._registry.certificates.states() if state.expires_at}
        yield gauge("certificate_expiry_timestamp_seconds", {(path,): at for path, at in expiring.items()})
        yield gauge("certificate_left_seconds", {(path,): at - self._now() for path, at in expiring.items()})
        yield counter("reloads_total", {(result,): number for result, number in self._reloads.items()})
        yield counter("listener_failures_total", {(name,): number for name, number in dict(self._bus.failures).items()})
        yield gauge("state_in_memory", {(): self._registry.journal.trouble is not None})
