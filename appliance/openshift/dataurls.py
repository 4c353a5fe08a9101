"""The contents of data URLs (RFC 2397), in which Ignition files embed others."""

import binascii
import zlib
from base64 import b64decode
from urllib.parse import unquote_to_bytes


class Budget:
    """Decodes data URLs, up to a total number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self.left_bytes = limit_bytes

    def decode(self, source: str, compression: object) -> bytes:
        """Return the contents of a data URL (RFC 2397), decompressed, or b"" for any other URL.

        Raises ValueError, with a message that follows the file's name, if it cannot be
        decoded or is too large.
        """
        if not source.startswith("data:"):
            return b""
        header, comma, payload = source.partition(",")
        if not comma:
            raise ValueError("its data URL has no comma")
        content = unquote_to_bytes(payload)
        if header.endswith(";base64"):
            try:
                content = b64decode(content, validate=True)
            except binascii.Error as error:
                raise ValueError(f"its data URL is not valid base64: {error}") from error
        if compression == "gzip":
            content = self._unpack(content)
        self.left_bytes -= len(content)
        if self.left_bytes < 0:
            raise ValueError("its contents are larger than those of any OpenShift Ignition file")
        return content

    def _unpack(self, packed: bytes) -> bytes:
        unpacker = zlib.decompressobj(wbits=31)  # gzip
        try:
            # One byte more than is left, so that decode() notices contents that are too large.
            content = unpacker.decompress(packed, self.left_bytes + 1)
        except zlib.error as error:
            raise ValueError(f"its contents are not gzip: {error}") from error
        if not unpacker.eof and len(content) <= self.left_bytes:
            raise ValueError("its gzip data is truncated")
        return content
