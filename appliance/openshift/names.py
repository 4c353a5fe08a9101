"""The names that OpenShift looks up in a cluster's domain, <name>.<baseDomain>, and the ports behind them."""

API_PORT = 6443  # of api and api-int
MACHINE_CONFIG_PORT = 22623  # of api-int alone


def api(domain: str) -> str:
    """Return the name of the API for the cluster's users."""
    return f"api.{domain}"


def api_int(domain: str) -> str:
    """Return the name of the API for nodes, from which they also get their machine configuration."""
    return f"api-int.{domain}"


def apps(domain: str) -> str:
    """Return the wildcard for the names of applications."""
    return f"*.apps.{domain}"


def etcd_member(index: int, domain: str) -> str:
    """Return the name of an etcd member, which releases before 4.4 need; *index* counts the masters from 0."""
    return f"etcd-{index}.{domain}"


def etcd_service(domain: str) -> str:
    """Return the name whose SRV records list the etcd members, which releases before 4.4 need."""
    return f"_etcd-server-ssl._tcp.{domain}"
