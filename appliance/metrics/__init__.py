"""The appliance's metrics for Prometheus; docs/metrics.md lists the same names.

`exposition` has `Metrics`, which makes samples of what the parts have counted, and
`described` every metric. A new metric is an entry there, a row in the manual, and a
line in `exposition`, or in `balancer` if it is the load balancer's.
"""

from appliance.metrics.described import METRICS, PREFIX
from appliance.metrics.exposition import CONTENT_TYPE, Metrics

__all__ = ["CONTENT_TYPE", "METRICS", "PREFIX", "Metrics"]
