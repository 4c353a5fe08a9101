"""Every metric: its name, kind, help and labels, and how its samples are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

PREFIX = "ocp_appliance_"
Counts = Mapping[tuple[str, ...], int]


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
        Described("balancer_up", "gauge", "1 while HAProxy answers."),
        Described("balancer_trouble", "gauge", "1 while HAProxy does not do what cluster.yaml says."),
        Described(
            "balancer_members",
            "gauge",
            "Members of a front end of the load balancer, by state.",
            ("front_end", "state"),
        ),
        Described(
            "balancer_members_wanted", "gauge", "Members of a front end that are to get connections.", ("front_end",)
        ),
        Described("balancer_connections", "gauge", "Connections of a member now.", ("front_end", "member")),
        Described("balancer_connections_total", "counter", "Connections that a member got.", ("front_end", "member")),
        Described(
            "balancer_client_connections_total",
            "counter",
            "Connections to the API and the machine config server in HAProxy's log, by the client's role.",
            ("front_end", "client", "outcome"),
        ),
        Described("balancer_log_lines_total", "counter", "Lines of HAProxy's log, by what they are.", ("line",)),
        Described("reloads_total", "counter", "Reloads of cluster.yaml, by result.", ("result",)),
        Described(
            "listener_failures_total", "counter", "Events that a part of the appliance failed to handle.", ("listener",)
        ),
        Described("state_in_memory", "gauge", "1 while the state cannot be written to disk."),
    )
}


def under(counts: Counts, first: str) -> Counts:
    """Return those of *counts* whose keys begin with *first*, by the rest of their keys."""
    return {key[1:]: number for key, number in counts.items() if key[0] == first}


def counter(name: str, samples: Mapping[tuple[str, ...], float]) -> Metric:
    """Return the counter *name* with its *samples*, by the values of its labels."""
    described = METRICS[name]
    return _filled(CounterMetricFamily(PREFIX + name, described.help, labels=described.labels), samples)


def gauge(name: str, samples: Mapping[tuple[str, ...], float]) -> Metric:
    """Return the gauge *name* with its *samples*, by the values of its labels."""
    described = METRICS[name]
    return _filled(GaugeMetricFamily(PREFIX + name, described.help, labels=described.labels), samples)


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily, samples: Mapping[tuple[str, ...], float]
) -> CounterMetricFamily | GaugeMetricFamily:
    for labels, value in samples.items():
        family.add_metric(labels, value)
    return family
