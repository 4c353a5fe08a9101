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
from appliance.files import UnservableError, open_below
from appliance.install.installation import Installation, Stage
from appliance.model import Cluster, Engine, FrontEnd, Host
from appliance.openshift.ignition import MAX_IGNITION_BYTES, inspect

logger = logging.getLogger(__name__)

VALIDITY_SECONDS = 3600.0  # between two looks whether certificates are still valid
# A bootstrap machine bootstraps no longer than this after it got its Ignition: its certificates are valid for a day.
BOOTSTRAP_SECONDS = 24 * 3600.0


class Authorities:
    """The files with the authorities of all clusters.

    What bootstrap.ign had is kept as `ca-CLUSTER.pem`, and stays once bootstrapping is
    complete: a file that comes later is of another run of the installer, and no master of
    this cluster would pass. HAProxy reads a copy that is named after its content: then a
    configuration that names it says which one it means, and one with another is loaded by
    a reload as any other change.
    """

    def __init__(self, directory: Path, installations: Mapping[str, Installation]) -> None:
        """Keep the files in *directory*. *installations* is by the host's full name."""
        self._directory = directory
        self._installations = installations
        self._signatures: dict[tuple[str, Path], tuple[int, ...]] = {}  # as they were read for a domain
        self._kept: dict[str, str] = {}
        self._valid: dict[str, tuple[str, int, str]] = {}

    def find(
        self, clusters: Sequence[Cluster], front_ends: Iterable[FrontEnd], reports: Reports, now: float
    ) -> dict[str, str]:
        """Return the path of the authorities by front end, for those whose members are verified. Raises OSError."""
        ours = {cluster.domain: cluster for cluster in clusters if cluster.load_balancer.engine is Engine.HAPROXY}
        found = {}
        for front_end in front_ends:
            if front_end.service == API and (cluster := ours.get(front_end.cluster)) is not None:
                path = self._file(cluster, front_end, reports, now)
                if path is not None:
                    found[front_end.name] = str(path)
        return found

    def _file(self, cluster: Cluster, front_end: FrontEnd, reports: Reports, now: float) -> Path | None:
        kept = self._pem(cluster)
        pem = self._valid_at(cluster.name, kept, now)
        if not pem or self._is_given_up(cluster, front_end, kept, reports, now):
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
            if signature == self._signatures.get((cluster.domain, source), ()):
                continue
            try:
                content = _read(source)
            except (OSError, UnservableError):  # it may become readable, which its signature does not show
                continue
            pem = api_authorities(inspect(content), cluster.domain).decode("ascii", "replace")
            if pem and pem != self._kept[cluster.name]:
                files.write_whole(kept, pem)
                self._kept[cluster.name] = pem
            # Last, so that what a full disk prevented is tried again.
            self._signatures[cluster.domain, source] = signature
        return self._kept[cluster.name]

    def _sources(self, cluster: Cluster) -> list[Path]:
        """Return the Ignition files of the bootstrap machines that are still needed."""
        names = {
            host.ignition
            for host in cluster.hosts
            if host.is_bootstrap and host.ignition and not self._is_complete(host)
        }
        return [cluster.data_dir / "ignition" / name for name in sorted(names)]

    def _is_complete(self, host: Host) -> bool:
        # This runs in a thread. Without a record a reload is just replacing them all, and nothing is to be concluded.
        record = self._installations.get(host.name)
        return record is None or record.bootstrapped_at is not None

    def _is_bootstrapping(self, cluster: Cluster, now: float) -> bool:
        """Whether *cluster* may be being installed at *now*, by the authorities in bootstrap.ign."""
        records = [
            self._installations.get(host.name)
            for host in cluster.hosts
            if host.is_bootstrap and not self._is_complete(host)
        ]
        begun = [record.reached.get(Stage.IGNITION, float("-inf")) for record in records if record is not None]
        return any(now - at < BOOTSTRAP_SECONDS for at in begun)

    def _valid_at(self, cluster: str, pem: str, now: float) -> str:
        hour = int(now // VALIDITY_SECONDS)
        judged = self._valid.get(cluster)
        if judged is None or judged[:2] != (pem, hour):
            judged = self._valid[cluster] = pem, hour, valid(pem.encode(), now).decode("ascii", "replace")
        return judged[2]

    def _is_given_up(self, cluster: Cluster, front_end: FrontEnd, kept: str, reports: Reports, now: float) -> bool:
        """Whether the cluster, which runs, has other authorities. That is remembered until it is installed again."""
        mark = self._directory / f"ca-{cluster.name}.refuted"
        # Before its bootstrap machine has its Ignition, nothing that answers has these authorities.
        if self._is_bootstrapping(cluster, now):
            mark.unlink(missing_ok=True)
            return False
        if files.read_text(mark) == _digest(kept):
            return True
        if not is_refuted(front_end, reports):
            return False
        files.write_whole(mark, _digest(kept))
        logger.warning(
            "balancer.unverified front_end=%s why=no master has a certificate of the authorities in bootstrap.ign, so"
            " their certificates are no longer verified; if the cluster did not replace them, and that file is of its"
            " own installation, look at its API servers; remove %s to have them verified again",
            front_end.name,
            mark,
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
    """Return the file at *path*; b"" if it is larger than any Ignition file. Raises OSError, UnservableError."""
    descriptor, identity = open_below(path.parent, path.name)
    with open(descriptor, "rb") as file:
        return file.read(MAX_IGNITION_BYTES) if identity.size <= MAX_IGNITION_BYTES else b""
