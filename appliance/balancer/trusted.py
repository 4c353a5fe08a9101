"""The authorities of the clusters' APIs on disk: where HAProxy reads them, kept after bootstrap.ign is deleted."""

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from appliance.balancer import files
from appliance.balancer.authority import api_authorities, is_refuted, valid
from appliance.balancer.compile import API
from appliance.balancer.reports import Reports
from appliance.install.installation import Installation
from appliance.model import Cluster, Engine, FrontEnd, Role
from appliance.openshift.ignition import MAX_IGNITION_BYTES, inspect

logger = logging.getLogger(__name__)

VALIDITY_SECONDS = 3600.0  # between two looks whether certificates are still valid


class Authorities:
    """The files with the authorities of all clusters.

    What bootstrap.ign had is kept as `ca-CLUSTER.pem`. HAProxy reads a copy that is named
    after its content: then a configuration that names it says which one it means, and one
    with another is loaded by a reload as any other change.
    """

    def __init__(self, directory: Path, installations: Mapping[str, Installation]) -> None:
        """Keep the files in *directory*. *installations* is by the host's full name."""
        self._directory = directory
        self._installations = installations
        self._signatures: dict[Path, tuple[int, ...]] = {}
        self._kept: dict[str, str] = {}
        self._valid: dict[str, tuple[str, int, str]] = {}

    def find(
        self, clusters: Sequence[Cluster], front_ends: Iterable[FrontEnd], reports: Reports, now: float
    ) -> dict[str, str]:
        """Return the path of the authorities by front end, for those whose members are verified. Raises OSError."""
        ours = {cluster.name: cluster for cluster in clusters if cluster.load_balancer.engine is Engine.HAPROXY}
        found = {}
        for front_end in front_ends:
            if front_end.service == API and (cluster := ours.get(front_end.cluster)) is not None:
                path = self._file(cluster, front_end, reports, now)
                if path is not None:
                    found[front_end.name] = str(path)
        return found

    def _file(self, cluster: Cluster, front_end: FrontEnd, reports: Reports, now: float) -> Path | None:
        pem = self._valid_at(cluster.name, self._pem(cluster), now)
        if not pem or self._is_given_up(cluster, front_end, pem, reports):
            return None
        path = self._directory / f"ca-{cluster.name}-{_digest(pem)}.pem"
        if not path.exists():
            self._remove_old(cluster.name)
            files.write_whole(path, pem)
        return path

    def _pem(self, cluster: Cluster) -> str:
        """Return the authorities that bootstrap.ign has, or had when it was last there."""
        kept = self._directory / f"ca-{cluster.name}.pem"
        if cluster.name not in self._kept:
            self._kept[cluster.name] = files.read_text(kept)
        for source in self._sources(cluster):
            signature = files.signature(source)
            if signature == self._signatures.get(source, ()):
                continue
            pem = api_authorities(inspect(_read(source)), cluster.domain).decode("ascii", "replace")
            if pem and pem != self._kept[cluster.name]:
                files.write_whole(kept, pem)
                self._kept[cluster.name] = pem
            self._signatures[source] = signature  # last: what a full disk prevented is tried again
        return self._kept[cluster.name]

    def _sources(self, cluster: Cluster) -> list[Path]:
        names = {host.ignition for host in cluster.hosts if host.role is Role.BOOTSTRAP and host.ignition}
        return [cluster.data_dir / "ignition" / name for name in sorted(names)]

    def _valid_at(self, cluster: str, pem: str, now: float) -> str:
        hour = int(now // VALIDITY_SECONDS)
        judged = self._valid.get(cluster)
        if judged is None or judged[:2] != (pem, hour):
            judged = self._valid[cluster] = pem, hour, valid(pem.encode(), now).decode("ascii", "replace")
        return judged[2]

    def _is_given_up(self, cluster: Cluster, front_end: FrontEnd, pem: str, reports: Reports) -> bool:
        """Whether the cluster, which runs, has other authorities by now. That is remembered over a restart."""
        mark = self._directory / f"ca-{cluster.name}.refuted"
        bootstraps = [member.host for member in front_end.members if member.is_backup]
        records = [self._installations.get(host) for host in bootstraps]
        if not any(record is not None and record.bootstrapped_at is not None for record in records):
            return False
        if files.read_text(mark) == _digest(pem):
            return True
        if not is_refuted(front_end, reports):
            return False
        files.write_whole(mark, _digest(pem))
        logger.warning(
            "balancer.unverified front_end=%s why=no master has a certificate of the authorities in bootstrap.ign, so"
            " their certificates are no longer verified; if the cluster did not replace them, look at its API servers",
            front_end.name,
        )
        return True

    def _remove_old(self, cluster: str) -> None:
        """Remove the copies that no configuration names any more."""
        named = files.read_text(self._directory / "haproxy.cfg")
        pattern = re.compile(rf"ca-{re.escape(cluster)}-[0-9a-f]{{16}}\.pem")
        for path in self._directory.iterdir():
            if pattern.fullmatch(path.name) and path.name not in named:
                path.unlink(missing_ok=True)


def _digest(pem: str) -> str:
    return hashlib.sha256(pem.encode()).hexdigest()[:16]


def _read(path: Path) -> bytes:
    """Return the file at *path*; b"" if it cannot be read, or is larger than any Ignition file."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_IGNITION_BYTES + 1)
    except OSError:
        return b""
    return content if len(content) <= MAX_IGNITION_BYTES else b""
