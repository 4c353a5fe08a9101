"""What the appliance knows about a record type, and the building blocks for declaring one.

The types themselves are in `appliance.dns.records`, one file each. A value is
RDATA as text: words as in a master file (RFC 1035 section 5.1), in which names are
lower case, fully qualified and without the trailing dot.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from appliance.dns.message import MessageError, RecordSpan, expanded_name

MAX_RDATA_BYTES = 65535  # RFC 1035 section 3.2.1: RDLENGTH has 16 bits

FullName = Callable[[str], str]  # makes a name that a person wrote fully qualified; raises ValueError


class RecordDataError(ValueError):
    """A text is not data of its record type. The message follows the text: `is not an IPv4 address; ...`."""


@dataclass(frozen=True, slots=True)
class RecordType:
    """A record type: its text, its wire form, and its own rules."""

    name: str
    number: int  # assigned by IANA (RFC 6895 section 3.1)
    parse: Callable[[str, FullName], str]  # the text in cluster.yaml → a value; raises RecordDataError
    encoder_arguments: Callable[[str], tuple[object, ...]]  # a value → arguments of dnslib's class with this name
    example: str = ""  # data as a person writes it; "" for a type that cluster.yaml cannot have
    name_words: tuple[int, ...] = ()  # which words of a value are names
    bytes_before_names: int = 0  # of RDATA; the names come one directly after the other
    adds_addresses: bool = False  # a reply also contains the addresses of the last name

    def names(self, value: str) -> tuple[str, ...]:
        """Return the names in *value*, in their order."""
        words = value.split()
        return tuple(words[place] for place in self.name_words)

    def master_text(self, value: str) -> str:
        """Return *value* for a master file, where a name without a trailing dot is relative to the origin."""
        if not self.name_words:
            return value  # not split into words: blanks in a quoted string count
        words = value.split()
        return " ".join(f"{word}." if place in self.name_words else word for place, word in enumerate(words))

    def expanded(self, message: bytes, record: RecordSpan) -> bytes:
        """Return the RDATA of *record* without compressed names, so that it can move to another message.

        Raises MessageError.
        """
        at = record.data + self.bytes_before_names
        data = message[record.data : at]
        for _ in self.name_words:
            name, at = expanded_name(message, at)
            data += name
        data += message[at : record.end]
        # Each name can grow from 2 bytes to 255, so the RDATA may become longer than RDLENGTH can state.
        if len(data) > MAX_RDATA_BYTES:
            raise MessageError("RDATA is too long without compressed names")
        return data


@dataclass(frozen=True, slots=True)
class Number:
    """A word of RDATA: an unsigned number with a length of *octets* octets."""

    label: str
    octets: int = 2

    def parse(self, word: str, _full_name: FullName, _example: str) -> str:
        """Return *word* without leading zeros."""
        most = (1 << 8 * self.octets) - 1
        # The length is checked first: int() takes quadratic time, and rejects 5,000 digits with a message of its own.
        if not (word.isascii() and word.isdigit() and len(word) <= 12 and int(word) <= most):
            raise RecordDataError(f"has a {self.label} that is not a whole number from 0 to {most}")
        return str(int(word))

    def value(self, word: str) -> int:
        """Return the number."""
        return int(word)


@dataclass(frozen=True, slots=True)
class Name:
    """A word of RDATA: a domain name, which may be compressed on the wire."""

    label: str = "target"

    def parse(self, word: str, full_name: FullName, example: str) -> str:
        """Return *word* fully qualified."""
        # An IPv4 address would pass as a name of four labels, which no client could resolve.
        if _is_address(word):
            raise RecordDataError(f'has an address as its {self.label}; expected a name, as in "{example}"')
        return full_name(word)

    def value(self, word: str) -> str:
        """Return the name."""
        return word


def record_of_words(
    name: str,
    number: int,
    *layout: Number | Name,
    encoder_arguments: Callable[..., tuple[object, ...]] = lambda *values: values,
    example: str = "",
    adds_addresses: bool = False,
) -> RecordType:
    """Return the type whose RDATA has *layout*: numbers before or after the names, and the names next to each other.

    *encoder_arguments* puts the values in the order of dnslib's constructor, if that
    differs from the order on the wire.
    """

    def parse(text: str, full_name: FullName) -> str:
        words = text.split()
        if len(words) != len(layout):
            labels = " ".join(field.label for field in layout)
            raise RecordDataError(f'is not {name} data; expected "{labels}", as in "{example}"')
        return " ".join(field.parse(word, full_name, example) for field, word in zip(layout, words, strict=True))

    def arguments(value: str) -> tuple[object, ...]:
        return encoder_arguments(*(field.value(word) for field, word in zip(layout, value.split(), strict=True)))

    name_words = tuple(place for place, field in enumerate(layout) if isinstance(field, Name))
    before = layout[: name_words[0]] if name_words else layout
    return RecordType(
        name=name,
        number=number,
        parse=parse,
        encoder_arguments=arguments,
        example=example,
        name_words=name_words,
        bytes_before_names=sum(field.octets for field in before if isinstance(field, Number)),
        adds_addresses=adds_addresses,
    )


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True
