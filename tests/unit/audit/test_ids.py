"""The auditor's own reader of client order ids agrees with the format and refuses the rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audit.ids import ALPHABET, FORMAT, LENGTH, PURPOSES, SIDES, Tag, decode
from domain.ids import OrderTag, Purpose, Side, SlotId, encode_tag
from unit.audit.dataset import client_id

tags = st.builds(
    OrderTag,
    nonce=st.integers(0, (1 << 20) - 1),
    shard=st.integers(0, (1 << 16) - 1),
    slot=st.builds(SlotId, st.integers(0, 255), st.integers(-(1 << 15), (1 << 15) - 1)),
    purpose=st.sampled_from(Purpose),
    side=st.sampled_from(Side),
    generation=st.integers(0, (1 << 20) - 1),
)


@given(tag=tags)
def test_decode_own_id_returns_its_parts(tag: OrderTag) -> None:
    assert decode(client_id(tag)) == Tag(
        nonce=tag.nonce,
        shard=tag.shard,
        ladder_version=tag.slot.version,
        slot=tag.slot.number,
        purpose=PURPOSES[tag.purpose],
        side=SIDES[tag.side is Side.SELL],
        generation=tag.generation,
    )


@given(tag=tags, place=st.integers(0, LENGTH - 1), character=st.sampled_from(ALPHABET))
def test_decode_with_one_other_character_is_refused(
    tag: OrderTag, place: int, character: str
) -> None:
    name = client_id(tag)
    other = name[:place] + character + name[place + 1 :]

    # A 16-bit checksum lets a few through; never as the same order.
    assert other == name or decode(other) != decode(name)


@given(text=st.text(max_size=40))
def test_decode_any_text_returns_a_tag_only_for_its_own_spelling(text: str) -> None:
    assert decode(text) is None


def test_decode_other_format_is_refused() -> None:
    tag = OrderTag(
        nonce=1,
        shard=1,
        slot=SlotId(0, 0),
        purpose=Purpose.ENTRY,
        side=Side.BUY,
        generation=1,
    )
    assert encode_tag(tag) >> 100 == FORMAT
    assert decode("z" * LENGTH) is None
    assert decode("0" * LENGTH) is None
    assert decode("web_4f2a") is None
    assert decode(client_id(tag) + "0") is None
