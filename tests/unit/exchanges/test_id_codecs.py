"""Client order ids: what goes in comes out, and nobody else's id is taken for ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import MAX_GENERATION, MAX_NONCE, MAX_SHARD, OrderTag, Purpose, Side
from exchanges.id_codecs import Base62Codec

CODEC = Base62Codec()
TAGS = st.builds(
    OrderTag,
    nonce=st.integers(0, MAX_NONCE),
    shard=st.integers(0, MAX_SHARD),
    ladder_version=st.integers(0, 255),
    slot=st.integers(-32_768, 32_767),
    purpose=st.sampled_from(Purpose),
    side=st.sampled_from(Side),
    generation=st.integers(0, MAX_GENERATION),
)


@given(TAGS)
def test_tag_encoded_and_decoded_is_the_same(tag: OrderTag) -> None:
    text = CODEC.encode(tag)
    assert len(text) == 18
    assert text.isascii()
    assert text.isalnum()
    assert CODEC.decode(text) == tag


@given(TAGS, st.integers(0, 17), st.sampled_from("09AZaz"))
def test_id_with_another_digit_is_foreign(tag: OrderTag, at: int, digit: str) -> None:
    text = CODEC.encode(tag)
    changed = text[:at] + digit + text[at + 1 :]
    decoded = CODEC.decode(changed)
    # The checksum has 16 bits, so a changed id may pass, but never as the same tag.
    assert changed == text or decoded != tag


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("web_0123456789abcdef", id="by-hand"),
        pytest.param("x-TKT5PX2F12345678", id="broker"),
        pytest.param("000000000000000000", id="zeros"),
        pytest.param("zzzzzzzzzzzzzzzzzz", id="beyond-104-bits"),
        pytest.param("١" * 18, id="other-digits"),
    ],
)
def test_foreign_id_is_none(text: str) -> None:
    assert CODEC.decode(text) is None
