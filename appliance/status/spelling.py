"""How sizes, times and foreign text are written, for every command and the timeline alike.

`size`, `age` and `duration` have twins in `dashboard/static/words.js`, because a
page spells what changes while it is open. A test puts the same values through
both. Halves round up in both, which neither language's own formatting does.
"""

import math
from datetime import datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400  # seconds


def size(count: float) -> str:
    """Return a number of bytes with about three digits in a decimal unit: 999 B, 1.5 kB, 83.5 MB, 900 MB, 12.0 GB."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        # 999.5 would round to 1000, which belongs to the next unit.
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{_rounded(value, 10):.1f} {unit}" if unit != "B" and value < 99.95 else f"{_rounded(value):.0f} {unit}"


def age(seconds: float) -> str:
    """Return a length of time in whole units, rounded down: 7 s, 12 min, 3 h, 2 days."""
    seconds = max(0.0, seconds)
    # A unit is used from two of it on: "90 min" says more than "1 h".
    for length, unit in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds // 1:.0f} s"


def duration(seconds: float) -> str:
    """Return how long something took: 340 ms, 4.2 s, and from ten seconds on as `age` does."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{_rounded(seconds * 1000):.0f} ms"
    # From 9.95 on, tenths would round to 10.0.
    return f"{_rounded(seconds, 10):.1f} s" if seconds < 9.95 else age(max(seconds, 10))


def clock(at: float) -> str:
    """Return the time of day of *at*, seconds since the epoch, in this computer's time zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def date(at: float) -> str:
    """Return the date and time of *at*, seconds since the epoch, in this computer's time zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def printable(text: object) -> str:
    """Return *text* with a replacement for each control character: names and paths come from the network."""
    return "".join(char if char.isprintable() else "�" for char in str(text))


def _rounded(value: float, parts: int = 1) -> float:
    """Return *value* rounded to a multiple of 1 / *parts*, halves up."""
    return math.floor(value * parts + 0.5) / parts
