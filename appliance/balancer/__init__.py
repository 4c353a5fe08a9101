"""The load balancer: HAProxy, driven by what cluster.yaml says and by what the appliance sees.

HAProxy forwards the connections; this room decides its configuration, and nothing
here is on their way. It runs apart from the appliance, so that the cluster's API
stays reachable while the appliance is restarted.
"""
