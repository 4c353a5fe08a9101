"""Bytes with a few changes, as fuzz tests send and read them."""

import random


def mutated(seed: bytes, chance: random.Random, most: int) -> bytes:
    """Return *seed* with one to five changes: a byte replaced, or up to *most* bytes taken out or put in."""
    data = bytearray(seed)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data))
        match chance.randrange(3):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randrange(1, most + 1)]
            case _:
                # What is put in is of the same kind as the seed, or anything at all.
                length = chance.randrange(1, most + 1)
                data[at:at] = bytes(chance.choices(seed, k=length)) if chance.randrange(2) else chance.randbytes(length)
        if not data:
            return b"\0"
    return bytes(data)
