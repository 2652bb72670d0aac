"""Client order ids: what goes in comes out, and nobody else's id is taken for ours."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import MAX_GENERATION, MAX_NONCE, MAX_SHARD, OrderTag, Purpose, Side, SlotId
from exchanges.id_codecs import Base62Codec, HexCodec, Uuid8Codec
from exchanges.venues import VENUES
from ports.exchange import ClientIdCodec

CODECS = [
    pytest.param(Base62Codec(), r"[0-9A-Za-z]{18}", id="base62"),
    pytest.param(Base62Codec(prefix="t-"), r"t-[0-9A-Za-z]{18}", id="prefixed"),
    pytest.param(Uuid8Codec(), r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", id="uuid8"),
    pytest.param(HexCodec(), r"0x[0-9a-f]{32}", id="hex"),
]
TAGS = st.builds(
    OrderTag,
    nonce=st.integers(0, MAX_NONCE),
    shard=st.integers(0, MAX_SHARD),
    slot=st.builds(SlotId, st.integers(0, 255), st.integers(-32_768, 32_767)),
    purpose=st.sampled_from(Purpose),
    side=st.sampled_from(Side),
    generation=st.integers(0, MAX_GENERATION),
)


@pytest.mark.parametrize(("codec", "spelling"), CODECS)
@given(tag=TAGS)
def test_tag_encoded_and_decoded_is_the_same(
    codec: ClientIdCodec, spelling: str, tag: OrderTag
) -> None:
    text = codec.encode(tag)
    assert re.fullmatch(spelling, text)
    assert codec.decode(text) == tag


@pytest.mark.parametrize("venue", VENUES)
@given(tag=TAGS)
def test_id_is_one_that_the_venue_takes(venue: str, tag: OrderTag) -> None:
    ids = VENUES[venue].ids
    assert re.fullmatch(ids.pattern, ids.codec.encode(tag))


@pytest.mark.parametrize(("codec", "spelling"), CODECS)
@given(tag=TAGS, at=st.integers(0, 35), digit=st.sampled_from("09AZaz"))
def test_id_with_another_digit_is_foreign(
    codec: ClientIdCodec, spelling: str, tag: OrderTag, at: int, digit: str
) -> None:
    text = codec.encode(tag)
    changed = text[:at] + digit + text[at + 1 :]
    decoded = codec.decode(changed)
    # The checksum has 16 bits, so a changed id may pass, but never as the same tag.
    assert changed == text or decoded != tag


@pytest.mark.parametrize(("codec", "spelling"), CODECS)
@given(text=st.text(max_size=40) | st.uuids().map(str) | st.from_regex(r"[0-9A-Za-z]{18}"))
def test_id_of_somebody_else_is_none(codec: ClientIdCodec, spelling: str, text: str) -> None:
    tag = codec.decode(text)
    assert tag is None or codec.encode(tag) == text


@pytest.mark.parametrize(("codec", "spelling"), CODECS)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("web_0123456789abcdef", id="by-hand"),
        pytest.param("x-TKT5PX2F12345678", id="broker"),
        pytest.param("0" * 18, id="zeros"),
        pytest.param("t-" + "0" * 18, id="prefixed-zeros"),
        pytest.param("z" * 18, id="beyond-104-bits"),
        pytest.param("١" * 18, id="other-digits"),
        pytest.param("0x" + "f" * 32, id="hex"),
        pytest.param(str(uuid.UUID(int=0)), id="nil-uuid"),
        pytest.param("81234567", id="number"),
    ],
)
def test_foreign_id_is_none(codec: ClientIdCodec, spelling: str, text: str) -> None:
    assert codec.decode(text) is None


def test_uuid_is_of_version_8_and_of_no_other_spelling() -> None:
    tag = OrderTag(
        nonce=MAX_NONCE,
        shard=7,
        slot=SlotId(1, -1),
        purpose=Purpose.EXIT,
        side=Side.SELL,
        generation=3,
    )
    text = Uuid8Codec().encode(tag)
    assert (uuid.UUID(text).version, uuid.UUID(text).variant) == (8, uuid.RFC_4122)
    assert Uuid8Codec().decode(text.upper()) is None
    assert Uuid8Codec().decode(f"{{{text}}}") is None
    assert Uuid8Codec().decode(f"{text[:14]}4{text[15:]}") is None
