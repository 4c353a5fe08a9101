"""From paths to clusters: read, validate, check, build."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.config.agentconfig import agent_config
from appliance.config.build import build, data_dir_of
from appliance.config.checks import problems_between
from appliance.config.draft import Draft
from appliance.config.reading import read
from appliance.config.validation import validated
from appliance.config.vocabulary import ClusterFile
from appliance.errors import ApplianceError, ConfigError, Problem
from appliance.model import Boot, Cluster


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of checking some files. *clusters* is empty if any of them has an error."""

    clusters: tuple[Cluster, ...]
    problems: tuple[Problem, ...]  # in the order of the files and of their lines; warnings among them

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that are not just warnings."""
        return tuple(problem for problem in self.problems if not problem.is_warning)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems with which the appliance can still serve."""
        return tuple(problem for problem in self.problems if problem.is_warning)


def load(paths: Sequence[Path], data_dir: Path | None = None) -> tuple[Cluster, ...]:
    """Return the clusters that the files at *paths* describe.

    *data_dir* overrides dataDir in the files; with several files it contains a
    directory for each cluster. Raises ConfigError with every problem of every file.
    """
    checked = check(paths, data_dir)
    if checked.errors:
        raise ConfigError(checked.problems)
    return checked.clusters


def render_agent_config(path: Path) -> str:
    """Return the agent-config.yaml for the cluster that the file at *path* describes.

    Raises ConfigError with every problem of the file, or ApplianceError if it has no hosts with `boot: agent`.
    """
    (cluster,) = load([path])
    if cluster.rendezvous is None:
        raise ApplianceError(f"{path}: no host with the role master boots an agent; write `boot: agent`")
    document = read(path)
    file, _ = validated(document)
    return agent_config(Draft(document, file), cluster)


def check(
    paths: Sequence[Path], data_dir: Path | None = None, now: float | None = None, *, reads_images: bool = False
) -> Checked:
    """Return the clusters that the files at *paths* describe, and every problem. Raises nothing.

    *now* (UTC, by default the clock's) is compared with the certificates in Ignition files.
    With *reads_images* each image is compared with its sha256, which takes seconds per gigabyte.
    """
    documents = [read(path) for path in paths]
    problems = {document.file: list(document.problems) for document in documents}
    drafts = []
    for path, document in zip(paths, documents, strict=True):
        if document.root is not None:
            file, found = validated(document)
            draft = Draft(document, file, _data_dir(path, file, data_dir, len(paths)))
            # An agent configures everything that nmstate can say, so that nothing has to wait for the first boot. And a
            # machine that boots nothing has a warning that all of it is not used.
            whole = tuple(
                f"hosts[{i}].networkConfig."
                for i, host in enumerate(draft.hosts)
                if host.boot.is_embedded or host.boot is Boot.NOTHING
            )
            problems[document.file] += [each for each in found if not (each.is_warning and each.path.startswith(whole))]
            drafts.append(draft)
    moment = time.time() if now is None else now
    for problem in problems_between(drafts, moment, reads_images=reads_images):
        problems[problem.file].append(problem)
    in_order = tuple(_in_order(problems.values()))
    if any(not problem.is_warning for problem in in_order):
        return Checked((), in_order)
    # Every draft is complete now, and every file has one: a file without a root has a problem that says why.
    clusters = [
        build(draft, path, hashlib.sha256(draft.document.raw).hexdigest())
        for path, draft in zip(paths, drafts, strict=True)
    ]
    return Checked(tuple(clusters), in_order)


def _data_dir(path: Path, file: ClusterFile, override: Path | None, cluster_count: int) -> Path | None:
    """Return the data directory; None where it depends on a name that cannot be read."""
    name = file.metadata.name
    if name is None and cluster_count > 1:
        return None
    return data_dir_of(file.data_dir, path, override, name or "", cluster_count)


def _in_order(problems: Iterable[Sequence[Problem]]) -> Iterator[Problem]:
    for of_file in problems:
        yield from sorted(dict.fromkeys(of_file), key=lambda problem: problem.line)
