"""Opens the file of a response, at the first of its places that has it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.boot.loaders import packaged_loader
from appliance.events import WebKind
from appliance.files import Identity, UnservableError, open_public
from appliance.web.answers import ErrorResponse, Place, SendFile
from appliance.web.protocol import damage, most_telling
from appliance.web.ranges import Entity

Sha256Of = Callable[[Path, Identity], str | None]


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file, which the caller closes."""

    fd: int
    identity: Identity
    entity: Entity
    kind: WebKind


def open_first(file: SendFile, sha256_of: Sha256Of) -> Opened | ErrorResponse:
    """Return *file* opened, or why none of its places can serve it.

    *sha256_of* returns the sum of an image in that state, or None while it is not known.
    """
    failures: list[ErrorResponse] = []
    for place in file.places:
        for look in (_own_loader, _packaged_loader, _image):
            opened = look(place, file, sha256_of)
            if isinstance(opened, Opened):
                return opened
            if opened is not None:
                failures.append(opened)
    return most_telling(failures)


def entity_of(identity: Identity, content_type: str) -> Entity:
    """Return a file on disk as the headers of a response describe it."""
    return Entity(identity.size, identity.etag, identity.modified_ns // 1_000_000_000, content_type)


def _own_loader(place: Place, file: SendFile, _sha256_of: Sha256Of) -> Opened | ErrorResponse | None:
    if place.is_image:
        return None
    opened = _open(place.site.data_dir / "tftp", file.path, file, WebKind.LOADER, in_any_case=True)
    # What is missing here may be elsewhere, and if it is nowhere, then it is a missing image.
    return None if isinstance(opened, ErrorResponse) and opened.status == 404 else opened


def _packaged_loader(place: Place, file: SendFile, _sha256_of: Sha256Of) -> Opened | ErrorResponse | None:
    loader = None if place.is_image else packaged_loader(file.path, place.site.data_dir)
    if loader is None:
        return None
    # Debian's packages link from /usr/lib/ipxe to /boot; links that leave the directory are refused.
    real = loader.resolve()
    return _open(real.parent, real.name, file, WebKind.LOADER)


def _image(place: Place, file: SendFile, sha256_of: Sha256Of) -> Opened | ErrorResponse:
    site, path = place.site, file.path
    opened = _open(site.images, path, file, file.kind)
    if isinstance(opened, Opened):
        damaged = damage(site, path, sha256_of(site.images / path, opened.identity))
        if damaged is not None:
            os.close(opened.fd)
            return damaged
    return opened


def _open(root: Path, name: str, file: SendFile, kind: WebKind, *, in_any_case: bool = False) -> Opened | ErrorResponse:
    try:
        fd, identity = open_public(root, name, in_any_case=in_any_case, may_be_sealed=file.is_sealed)
    except UnservableError as error:
        return ErrorResponse(error.status, str(error), kind, error.retry_seconds)
    return Opened(fd, identity, entity_of(identity, file.content_type), kind)
