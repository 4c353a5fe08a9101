"""The way from paths to clusters: read, validate, check, build."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from appliance.config.build import build, data_dir_of
from appliance.config.document import Document, read
from appliance.config.messages import problems_of
from appliance.config.vocabulary import ClusterFile
from appliance.errors import ConfigError, Problem
from appliance.model import Cluster


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of some files. *clusters* is empty unless every file is without errors."""

    clusters: tuple[Cluster, ...]
    problems: tuple[Problem, ...]  # in the order of the files and of their lines; warnings among them

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that are no mere warnings."""
        return tuple(problem for problem in self.problems if not problem.is_warning)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that do not keep the appliance from serving."""
        return tuple(problem for problem in self.problems if problem.is_warning)


def load(paths: Sequence[Path], data_dir: Path | None = None) -> tuple[Cluster, ...]:
    """Return the clusters that the files at *paths* describe.

    *data_dir* comes before what the files say; with several files it holds a
    directory for each cluster. Raises ConfigError with every problem of every file.
    """
    checked = check(paths, data_dir)
    if checked.errors:
        raise ConfigError(checked.problems)
    return checked.clusters


def check(paths: Sequence[Path], data_dir: Path | None = None) -> Checked:
    """Return the clusters that the files at *paths* describe, and everything that is wrong or odd. Raises nothing."""
    documents = [read(path) for path in paths]
    problems = [list(document.problems) for document in documents]
    files = [_validated(document, found) for document, found in zip(documents, problems, strict=True)]
    in_order = tuple(_in_order(problems))
    if any(not problem.is_warning for problem in in_order):
        return Checked((), in_order)
    clusters = []
    for path, document, file in zip(paths, documents, files, strict=True):
        assert file is not None
        directory = data_dir_of(file.data_dir, path, data_dir, file.metadata.name, len(paths))
        release = str(document.value_at(("release",)))
        clusters.append(build(file, path, hashlib.sha256(document.raw).hexdigest(), directory, release))
    return Checked(tuple(clusters), in_order)


def _validated(document: Document, problems: list[Problem]) -> ClusterFile | None:
    if document.root is None:
        return None
    try:
        return ClusterFile.model_validate(document.root)
    except ValidationError as error:
        problems += problems_of(error, document)
        return None


def _in_order(problems: Sequence[Sequence[Problem]]) -> Iterator[Problem]:
    for of_file in problems:
        yield from sorted(set(of_file), key=lambda problem: problem.line)
