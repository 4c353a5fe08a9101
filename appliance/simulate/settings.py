"""iPXE's settings, and ${…} in a script's lines (ipxe.org/scripting; iPXE src/core/settings.c)."""

import base64
import uuid
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from urllib.parse import quote

MAX_EXPANSIONS = 100  # per token; a ${…} whose value contains itself would never end
MAX_TOKEN_BYTES = 4096

# A setting that is not text is shown in its own format when no type is requested.
FORMATS: Mapping[str, Callable[[bytes], str]] = {
    "string": lambda value: value.decode("utf-8", "replace"),
    "uristring": lambda value: quote(value, safe="-._~"),
    "ipv4": lambda value: str(IPv4Address(value[:4])) if len(value) >= 4 else "",
    "hex": lambda value: value.hex(":"),
    "hexhyp": lambda value: value.hex("-"),
    "hexraw": lambda value: value.hex(),
    "base64": lambda value: base64.b64encode(value).decode(),
    "uuid": lambda value: str(uuid.UUID(bytes=value)) if len(value) == 16 else "",
    "guid": lambda value: str(uuid.UUID(bytes_le=value)) if len(value) == 16 else "",
    **{f"int{bits}": lambda value: str(int.from_bytes(value, "big", signed=True)) for bits in (8, 16, 32)},
    **{f"uint{bits}": lambda value: str(int.from_bytes(value, "big")) for bits in (8, 16, 32)},
}


class Settings:
    """Names and their values: bytes, each with the type that it is shown as."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[bytes, str]] = {}

    def store(self, name: str, value: bytes, kind: str = "string") -> None:
        """Store *value* under *name*, which may carry a type of its own."""
        bare, _, own = name.partition(":")
        self._values[_canonical(bare)] = (value, own if own in FORMATS else kind)

    def store_text(self, name: str, text: str) -> None:
        """Store the value given to `set`: text, or a number where the type says so; "" clears the setting."""
        bare, _, kind = name.partition(":")
        if not text:
            self.clear(bare)
        elif kind.removeprefix("u").startswith("int") and kind in FORMATS:
            bits = int(kind.rpartition("int")[2])
            self.store(name, (int(text, 0) % (1 << bits)).to_bytes(bits // 8, "big"))
        elif kind == "ipv4":
            self.store(name, IPv4Address(text).packed)
        elif kind.startswith("hex"):
            self.store(name, bytes.fromhex(text.replace(":", "").replace("-", "")))
        else:
            self.store(bare, text.encode())

    def clear(self, name: str) -> None:
        """Clear *name*."""
        self._values.pop(_canonical(name.partition(":")[0]), None)

    def text(self, name: str) -> str:
        """Return the text of ${name}; "" when it is not set or has no such format."""
        bare, _, asked = name.partition(":")
        value, kind = self._values.get(_canonical(bare), (b"", "string"))
        form = FORMATS.get(asked or kind)
        return form(value) if value and form else ""

    def expand(self, token: str) -> str:
        """Return *token* with every ${…} expanded, the innermost first, and expansions within values too.

        Raises ValueError where that does not end.
        """
        for _ in range(MAX_EXPANSIONS):
            end = token.find("}", token.find("${") + 2) if "${" in token else -1
            if end < 0:
                return token
            start = token.rfind("${", 0, end)
            token = token[:start] + self.text(token[start + 2 : end]) + token[end + 1 :]
            if len(token) > MAX_TOKEN_BYTES:
                break
        raise ValueError("its settings expand without end")


def _canonical(name: str) -> str:
    """Return *name* without a leading interface name: this machine has a single interface."""
    scope, slash, rest = name.partition("/")
    if slash and (scope.startswith("net") or scope in ("dhcp", "smbios", "pxebs", "proxydhcp")):
        name = rest
    return name.lower()
