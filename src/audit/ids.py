"""Reads a client order id by the written format, not by the code that wrote it.

104 bits, most significant first, as 18 base62 characters: format 4, nonce 20, shard 16, ladder
version 8, slot 16 (offset binary), purpose 3, side 1, generation 20, checksum 16.
"""

from __future__ import annotations

import binascii
import string
from dataclasses import dataclass

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
LENGTH = 18
FORMAT = 4
PURPOSES = ("entry", "exit", "initial", "flatten", "stop")
SIDES = ("buy", "sell")

_VALUES = {character: value for value, character in enumerate(ALPHABET)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """What an id says about its order."""

    nonce: int
    shard: int
    ladder_version: int
    slot: int
    purpose: str
    side: str
    generation: int


def decode(client_order_id: str) -> Tag | None:
    """The tag of an own order, of any installation; `None` for every other id."""
    if len(client_order_id) != LENGTH or not _VALUES.keys() >= set(client_order_id):
        return None
    packed = 0
    for character in client_order_id:
        packed = packed * len(ALPHABET) + _VALUES[character]
    if packed >> 100 != FORMAT:
        return None
    body = (packed >> 16).to_bytes(11, "big")
    if binascii.crc_hqx(body, 0xFFFF) != packed & 0xFFFF:
        return None
    purpose = packed >> 37 & 0x7
    if purpose >= len(PURPOSES):
        return None
    return Tag(
        nonce=packed >> 80 & 0xF_FFFF,
        shard=packed >> 64 & 0xFFFF,
        ladder_version=packed >> 56 & 0xFF,
        slot=(packed >> 40 & 0xFFFF) - 0x8000,
        purpose=PURPOSES[purpose],
        side=SIDES[packed >> 36 & 1],
        generation=packed >> 16 & 0xF_FFFF,
    )
