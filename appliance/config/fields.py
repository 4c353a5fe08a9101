"""The spelling of each type of value in cluster.yaml.

Every parser takes the text of a value and raises ValueError with a complete
message: what was found and what would be right.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeVar

from appliance.config.document import describe
from appliance.dns.reverse import reverse_apexes
from appliance.model import INFINITE_LEASE, Loader, Release

MAX_NAME = 253  # characters, without the final dot (RFC 1035 section 2.3.4)

E = TypeVar("E", bound=StrEnum)

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_RECORD_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
_RELEASE = re.compile(r"(\d)\.(\d{1,3})(?:\.\d{1,5})?(?:[-+.][0-9A-Za-z.+-]*)?", re.ASCII)
_DURATION = re.compile(r"(\d{1,10})\s*([smhdw]?)", re.ASCII)
_FILE_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_+][A-Za-z0-9._+-]*)*")
_LOADER_HINTS = {
    **dict.fromkeys(("snponly", "snp"), "snponly.efi is called ipxe-snp here; a file is written with its directory"),
    "grub": "GRUB is loaded by shim; a GRUB of yours is written as a file in tftp/, such as efi/grub.efi",
}
_IPXE_OWN = re.compile(r"['\\]|\$\{|^(\|\||&&|;|#.*)$")
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")
_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def wrong(text: str, why: str) -> ValueError:
    """Return the error for the value *text*; its message is *text* in quotes, then *why*."""
    return ValueError(f"{describe(text)} {why}")


def parse_domain(text: str) -> str:
    """Return the domain name that *text* spells, lower case and without the trailing dot (RFC 1123 section 2.1)."""
    return _domain(text, _LABEL, "letters, digits and hyphens, with no hyphen at either end")


def parse_zone(text: str) -> str:
    """Return the name of a zone of others, as `parse_domain` does."""
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return parse_domain(text)
    zones = list(reverse_apexes(network)) if network.prefixlen % 8 == 0 else []
    example = zones[0] if len(zones) == 1 else "10.in-addr.arpa for 10.0.0.0/8"
    raise wrong(text, f"is a range of addresses; write the name of its reverse zone: {example}")


def parse_record_name(text: str) -> str:
    """Return an owner name: a domain name, which may have underscores and begin with `*.`; or `@`, or an address.

    A trailing dot is kept: it marks a full name.
    """
    if text.strip() == "@":
        return "@"
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        pass
    star, rest = ("*.", text.strip()[2:]) if text.strip().startswith("*.") else ("", text.strip())
    name = _domain(rest, _RECORD_LABEL, "letters, digits, hyphens and underscores")
    return star + name + ("." if rest.endswith(".") else "")


def _domain(text: str, label_form: re.Pattern[str], wanted: str) -> str:
    name = text.strip().lower().removesuffix(".")
    if not name:
        raise wrong(text, "is not a name; for example m1.ocp45.example.com")
    if len(name) > MAX_NAME:
        raise wrong(text, f"has {len(name)} characters; a domain name has at most {MAX_NAME}")
    for label in name.split("."):
        inside = "" if label == name else f"has {describe(label)}, which "
        if not label:
            raise wrong(text, "has two dots in a row, or begins with a dot")
        if len(label) > 63:
            raise wrong(text, f"{inside}has {len(label)} characters; a label has at most 63")
        if not label_form.fullmatch(label) or not text.isascii():
            raise wrong(text, f"{inside}is not a valid name (RFC 1123); use {wanted}")
    return name


def full_name(name: str, domain: str) -> str:
    """Return *name* in *domain*, or as it is when it has dots."""
    return name if "." in name else f"{name}.{domain}"


def parse_label(text: str) -> str:
    """Return the single label that *text* spells, lower case."""
    name = parse_domain(text)
    if "." in name:
        raise wrong(text, "contains a dot; write only the name here, and its domain as baseDomain")
    return name


def parse_release(text: str) -> Release:
    """Return the release that *text* names, such as 4.5, 4.16.3 or 4.15.0-0.okd-2024-03-10-010116."""
    form = _RELEASE.fullmatch(text.strip())
    if not form:
        raise wrong(text, "is not a release; for example 4.16 or 4.16.3")
    release = Release(int(form[1]), int(form[2]))
    if release.major < 4 or (release.major, release.minor) < (4, 1):
        raise wrong(text, "is too old; machines are installed with Ignition since 4.1")
    return release


def parse_whole(least: int, most: int, unit: str = "") -> Callable[[str], int]:
    """Return the parser of whole numbers from *least* to *most*."""
    wanted = f"a whole number from {least} to {most}" + (f" ({unit})" if unit else "")

    def parse(text: str) -> int:
        digits = text.strip()
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 12 and least <= int(digits) <= most):
            raise wrong(text, f"is not {wanted}")
        return int(digits)

    return parse


def parse_truth(text: str) -> bool:
    """Return the truth value that *text* spells."""
    match text.strip().lower():
        case "true" | "yes" | "on":
            return True
        case "false" | "no" | "off":
            return False
    raise wrong(text, "is neither true nor false")


def parse_duration(least: int, most: int) -> Callable[[str], int]:
    """Return the parser of durations in seconds, spelled as 600, 90s, 30m, 12h, 7d or 2w."""

    def parse(text: str) -> int:
        form = _DURATION.fullmatch(text.strip().lower())
        if not form:
            raise wrong(text, "is not a duration; write seconds, or a number with s, m, h, d or w, such as 7d")
        seconds = int(form[1]) * _UNIT_SECONDS[form[2]]
        if not least <= seconds <= most:
            raise wrong(text, f"is {seconds} s; expected {least} s to {most} s")
        return seconds

    return parse


def parse_lease(text: str) -> int:
    """Return a lease's length in seconds; INFINITE_LEASE for `infinite`."""
    if text.strip().lower() == "infinite":
        return INFINITE_LEASE
    return parse_duration(60, INFINITE_LEASE - 1)(text)


def parse_file_name(text: str) -> str:
    """Return a relative path that is safe in a URL, on a kernel command line and in the data directory."""
    name = text.strip()
    if name.startswith("/"):
        raise wrong(text, "begins with /; write a path relative to images/ (or tftp/) in the data directory")
    if "://" in name:
        raise wrong(text, "is a URL; download the file to images/ in the data directory, and write its name here")
    if not _FILE_NAME.fullmatch(name) or len(name) > 200:
        raise wrong(text, "is not a valid file name; use letters, digits and . _ + - (and / between directories)")
    return name


def parse_loader(text: str) -> Loader | str:
    """Return the loader with the name *text*, or the path of a boot file."""
    if re.fullmatch("[A-Za-z0-9_-]*", text.strip()):  # no boot file has a name without a dot or a directory
        return parse_enum(Loader, _LOADER_HINTS)(text)
    return parse_file_name(text)


def parse_sha256(text: str) -> str:
    """Return a SHA-256 in lower-case hexadecimal."""
    digest = text.strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise wrong(text, f"is not a sha256; expected 64 hexadecimal digits, got {len(digest)} characters")
    return digest


def parse_disk(text: str) -> str:
    """Return the path of a disk under /dev."""
    path = text.strip()
    if not re.fullmatch(r"/dev/[A-Za-z0-9._:+@/-]+", path) or ".." in path:
        is_bare = re.fullmatch("[a-z0-9]+", path)
        hint = f"/dev/{path}" if is_bare else "/dev/sda or /dev/disk/by-id/wwn-0x5000c500a1b2c3d4"
        raise wrong(text, f"is not a path under /dev; write {hint}")
    return path


def parse_interface(text: str) -> str:
    """Return the name of a network interface (15 characters at most: linux/if.h)."""
    name = text.strip()
    if not _INTERFACE.fullmatch(name):
        raise wrong(text, "is not an interface name; Linux uses names like eno1 or ens192, of at most 15 characters")
    return name


def parse_profile_name(text: str) -> str:
    """Return what nmstate calls an interface, which need not be a name that Linux allows."""
    name = text.strip()
    if not re.fullmatch(r"[\w .:@/+#-]{1,255}", name):
        raise wrong(text, "is not the name of an interface; for example eno1")
    return name


def is_interface_name(text: str) -> bool:
    """Whether Linux allows the name, and it has no colon, which separates the fields of a kernel argument."""
    return bool(_INTERFACE.fullmatch(text)) and ":" not in text


def parse_kernel_word(text: str) -> str:
    """Return a part of an argument of the kernel's command line, without spaces and quotes."""
    word = text.strip()
    if re.search(r"[\s\"]", word):
        raise wrong(text, "contains a space or a quote; write a single word")
    return parse_kernel_argument(word)


def parse_kernel_argument(text: str) -> str:
    """Return one argument of the kernel's command line, which iPXE parses as well.

    The kernel keeps spaces inside double quotes, as in key="one two".
    """
    argument = text.strip()
    if argument.count('"') % 2:
        raise wrong(text, 'has a quote without a second one; put both around the value, as in key="one two"')
    if re.search(r"\s", re.sub(r'"[^"]*"', "", argument)):
        raise wrong(text, "contains a space; write each argument as a list item of its own")
    if re.search(r"[^\S ]| {2}", argument):
        raise wrong(text, "contains several spaces in a row, or a tab; iPXE makes a single space of them")
    # In a script iPXE expands ${…}, runs || && ; as operators, drops what follows # and joins lines at a backslash. It
    # takes the words between spaces for itself, quoted or not, and hands them on with single spaces.
    is_safe = all(re.fullmatch(r"[!-~]+", word) and not _IPXE_OWN.search(word) for word in argument.split(" "))
    if not is_safe or len(argument) > 1000:
        raise wrong(text, "cannot be passed through iPXE; remove single quotes, backslashes, ${ and && || ; #")
    return argument


def parse_one_of(names: Iterable[str], hints: dict[str, str] | None = None) -> Callable[[str], str]:
    """Return the parser of the words *names*; *hints* has an explanation for some common wrong words."""
    known = tuple(names)

    def parse(text: str) -> str:
        word = text.strip()
        if word in known:
            return word
        wanted = f"{', '.join(known[:-1])} or {known[-1]}" if len(known) > 1 else known[0]
        hint = (hints or {}).get(word.lower())
        raise wrong(text, f"is not valid; expected {wanted}" + (f" ({hint})" if hint else ""))

    return parse


def parse_enum(enum: type[E], hints: dict[str, str] | None = None) -> Callable[[str], E]:
    """Return the parser of *enum*'s words."""
    word = parse_one_of(enum, hints)
    return lambda text: enum(word(text))


def parse_choice(*members: E) -> Callable[[str], E]:
    """Return the parser of the words of these *members* of an enum, which has others that no file says."""
    word = parse_one_of(tuple(member.value for member in members))
    return lambda text: type(members[0])(word(text))


def parse_mailbox(text: str) -> str:
    """Return a mailbox as the SOA record holds it: the part before the @ as the first label (RFC 1035 section 8)."""
    local, at, domain = text.strip().partition("@")
    if not at:
        return parse_domain(local)
    if not re.fullmatch("[A-Za-z0-9_-]{1,63}", local):
        raise wrong(
            text, "has characters other than letters, digits, _ and - before the @; for example hostmaster@example.com"
        )
    mailbox = f"{local.lower()}.{parse_domain(domain)}"
    if len(mailbox) > MAX_NAME:
        raise wrong(text, f"has {len(mailbox)} characters; a mailbox has at most {MAX_NAME}")
    return mailbox


def parse_image_release(text: str) -> str:
    """Return the release in image names, such as 4.5.6, 416.94.202405291527-0 or 42.20250410.3.1, as it is spelled."""
    name = text.strip()
    of_release = r"\d{1,4}\.\d{1,4}(\.\d{1,12})?([-+][0-9A-Za-z.-]*)?"
    of_fcos = r"\d{2,3}\.\d{8}\.\d{1,3}\.\d{1,5}"
    if not re.fullmatch(f"{of_release}|{of_fcos}", name, re.ASCII):
        raise wrong(
            text,
            "is not an RHCOS release or a CoreOS build; write it as in the images' names, for example 4.16.3",
        )
    return name


def parse_url_path(text: str) -> str:
    """Return the path of a URL, which may have a query, as HAProxy can be given it without quotes."""
    path = text.strip()
    if "://" in path:
        raise wrong(text, "is a URL; write only its path, for example /healthz")
    if not re.fullmatch(r"/[A-Za-z0-9._~/?&=%:@+,-]*", path) or len(path) > 200:
        raise wrong(text, "is not the path of a URL; for example /healthz")
    return path


def parse_directory(text: str) -> str:
    """Return the path of a directory."""
    path = text.strip()
    if path.startswith("~"):
        raise wrong(text, "begins with ~, which is not expanded; write a full path, or one relative to this file")
    if not path or not path.isprintable() or len(path) > 1000 or any(len(part) > 200 for part in path.split("/")):
        raise wrong(text, "is not a valid directory; for example /var/lib/ocp-appliance")
    return path
