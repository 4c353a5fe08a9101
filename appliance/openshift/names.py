"""The names that OpenShift looks up in a cluster's domain, <name>.<baseDomain>."""


def api(domain: str) -> str:
    """Return the name of the API, for everybody."""
    return f"api.{domain}"


def api_int(domain: str) -> str:
    """Return the name of the API inside the cluster, where nodes also get their machine configuration."""
    return f"api-int.{domain}"


def apps(domain: str) -> str:
    """Return the wildcard of the routes."""
    return f"*.apps.{domain}"


def etcd_member(index: int, domain: str) -> str:
    """Return the name of a member of etcd, as releases before 4.4 need it; *index* counts the masters from 0."""
    return f"etcd-{index}.{domain}"


def etcd_service(domain: str) -> str:
    """Return the name whose SRV records are the members of etcd, as releases before 4.4 need it."""
    return f"_etcd-server-ssl._tcp.{domain}"
