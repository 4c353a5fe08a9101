"""The way from paths to clusters: read, validate, check, build."""

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from appliance.config import fields
from appliance.config.build import build, data_dir_of
from appliance.config.checks import problems_between
from appliance.config.document import Document
from appliance.config.facts import Facts
from appliance.config.messages import problems_of, without_foreign
from appliance.config.reading import read
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


def check(
    paths: Sequence[Path], data_dir: Path | None = None, now: float | None = None, *, reads_images: bool = False
) -> Checked:
    """Return the clusters that the files at *paths* describe, and everything that is wrong or odd. Raises nothing.

    *now* (UTC, by default the clock's) is what the certificates in Ignition files are held against.
    With *reads_images* each image is held against its sha256, which takes seconds a gigabyte.
    """
    documents = [read(path) for path in paths]
    problems = {document.file: list(document.problems) for document in documents}
    files = [_validated(document, problems[document.file]) for document in documents]
    facts = [_facts(path, document, data_dir, len(paths)) for path, document in zip(paths, documents, strict=True)]
    readable = [each for each in facts if each is not None]
    moment = time.time() if now is None else now
    for problem in problems_between(readable, moment, reads_images=reads_images):
        problems[problem.file].append(problem)
    in_order = tuple(_in_order(problems.values()))
    if any(not problem.is_warning for problem in in_order):
        return Checked((), in_order)
    clusters = []
    for path, each, file in zip(paths, facts, files, strict=True):
        assert file is not None, "a file that says nothing has a problem"
        assert each is not None, "and so has one without facts"
        assert each.data_dir is not None, "a file without errors has a name"
        digest = hashlib.sha256(each.document.raw).hexdigest()
        release = str(each.document.value_at(("release",))).strip()
        clusters.append(build(file, path, digest, each.data_dir, release))
    return Checked(tuple(clusters), in_order)


def _facts(path: Path, document: Document, data_dir: Path | None, cluster_count: int) -> Facts | None:
    if document.root is None:
        return None
    facts = Facts(document)
    said = facts.at(fields.parse_directory, "dataDir")
    name = facts.name.value if facts.name else None
    if name is None and cluster_count > 1:
        return facts
    return Facts(document, data_dir_of(said.value if said else None, path, data_dir, name or "", cluster_count))


def _validated(document: Document, problems: list[Problem]) -> ClusterFile | None:
    if document.root is None:
        return None
    root, warnings = without_foreign(document)
    problems += warnings
    try:
        file = ClusterFile.model_validate(root)
    except ValidationError as error:
        problems += problems_of(error, document)
        return None
    problems += problems_of(None, document)
    return file


def _in_order(problems: Iterable[Sequence[Problem]]) -> Iterator[Problem]:
    for of_file in problems:
        yield from sorted(dict.fromkeys(of_file), key=lambda problem: problem.line)
