"""Opens the file of a response, at the first of its places that has it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.boot.loaders import find_loader
from appliance.events import WebKind
from appliance.files import Identity, UnservableError, open_below
from appliance.web.answers import ErrorResponse, Place, SendFile
from appliance.web.protocol import damage, most_telling
from appliance.web.ranges import Entity

Sha256Of = Callable[[Path, Identity], str | None]


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file, which the caller closes."""

    fd: int
    entity: Entity
    kind: WebKind


def open_first(file: SendFile, sha256_of: Sha256Of) -> Opened | ErrorResponse:
    """Return *file* opened, or why none of its places can serve it.

    *sha256_of* returns the sum of an image in that state, or None while it is not known.
    """
    failures: list[ErrorResponse] = []
    for place in file.places:
        opened = _open_at(place, file, sha256_of)
        if isinstance(opened, Opened):
            return opened
        failures.append(opened)
    return most_telling(failures)


def entity_of(identity: Identity, content_type: str) -> Entity:
    """Return a file on disk as the headers of a response describe it."""
    return Entity(identity.size, identity.etag, identity.modified_ns // 1_000_000_000, content_type)


def _open_at(place: Place, file: SendFile, sha256_of: Sha256Of) -> Opened | ErrorResponse:
    site, path = place.site, file.path
    loader = None if place.is_image else find_loader(path, site.data_dir)
    kind = file.kind if loader is None else WebKind.LOADER
    try:
        if loader is not None:
            # Debian's packages link from /usr/lib/ipxe to /boot; open_below refuses links that leave the directory.
            real = loader.resolve()
            fd, identity = open_below(real.parent, real.name)
            return Opened(fd, entity_of(identity, file.content_type), kind)
        fd, identity = open_below(site.images, path)
    except UnservableError as error:
        return ErrorResponse(error.status, str(error), kind, error.retry_seconds)
    damaged = damage(site, path, sha256_of(site.images / path, identity))
    if damaged is not None:
        os.close(fd)
        return damaged
    return Opened(fd, entity_of(identity, file.content_type), kind)
