"""The client order id carries an order's place in the grid, and nothing else is taken for one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ConfigurationError
from domain.ids import (
    FORMAT,
    MAX_GENERATION,
    MAX_NONCE,
    MAX_SHARD,
    OrderTag,
    Purpose,
    Side,
    SlotId,
    decision_id,
    decode_tag,
    encode_tag,
    symbol_key,
)

ID_BITS = 104
TAG = OrderTag(
    nonce=1,
    shard=2,
    slot=SlotId(3, -4),
    purpose=Purpose.EXIT,
    side=Side.SELL,
    generation=5,
)

tags = st.builds(
    OrderTag,
    nonce=st.integers(0, MAX_NONCE),
    shard=st.integers(0, MAX_SHARD),
    slot=st.builds(SlotId, st.integers(0, 255), st.integers(-(1 << 15), (1 << 15) - 1)),
    purpose=st.sampled_from(Purpose),
    side=st.sampled_from(Side),
    generation=st.integers(0, MAX_GENERATION),
)


@given(tags)
def test_encode_tag_any_tag_reads_back_equal(tag: OrderTag) -> None:
    packed = encode_tag(tag)
    assert 0 <= packed < 1 << ID_BITS
    assert packed >> (ID_BITS - 4) == FORMAT
    assert decode_tag(packed) == tag


@given(tags, tags)
def test_encode_tag_different_tags_get_different_ids(one: OrderTag, other: OrderTag) -> None:
    assert (encode_tag(one) == encode_tag(other)) is (one == other)


@given(tags, st.integers(0, ID_BITS - 1))
def test_decode_tag_any_flipped_bit_is_foreign(tag: OrderTag, bit: int) -> None:
    assert decode_tag(encode_tag(tag) ^ 1 << bit) is None


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(-1, id="negative"),
        pytest.param(0, id="zero"),
        pytest.param(encode_tag(TAG) | 1 << ID_BITS, id="one bit too long"),
        pytest.param((1 << ID_BITS) - 1, id="all ones"),
    ],
)
def test_decode_tag_number_of_nobody_is_foreign(number: int) -> None:
    assert decode_tag(number) is None


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"nonce": MAX_NONCE + 1}, id="nonce"),
        pytest.param({"shard": MAX_SHARD + 1}, id="shard"),
        pytest.param({"slot": SlotId(256, 0)}, id="ladder version"),
        pytest.param({"slot": SlotId(0, 1 << 15)}, id="slot above"),
        pytest.param({"slot": SlotId(0, -(1 << 15) - 1)}, id="slot below"),
        pytest.param({"generation": MAX_GENERATION + 1}, id="generation"),
        pytest.param({"generation": -1}, id="negative"),
    ],
)
def test_encode_tag_part_that_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="must fit"):
        encode_tag(replace(TAG, **changes))


def test_symbol_key_is_safe_in_ids_and_paths() -> None:
    key = symbol_key("sim_2", "1000SATS/USDT")
    assert key == "sim_2-1000SATS-USDT"
    assert decision_id(key, 3, 17) == "sim_2-1000SATS-USDT:3:17"


def test_symbol_key_of_a_perpetual_differs_from_its_spot_pairs() -> None:
    key = symbol_key("sim", "BTC/USDT:USDT")
    assert key == "sim-BTC-USDT-perp"
    assert key != symbol_key("sim", "BTC/USDT")


@pytest.mark.parametrize(
    ("account", "symbol", "field"),
    [
        pytest.param("", "BTC/USDT", "account", id="no account"),
        pytest.param("Sim", "BTC/USDT", "account", id="capital in account"),
        pytest.param("sim:1", "BTC/USDT", "account", id="colon in account"),
        pytest.param("sim-1", "BTC/USDT", "account", id="dash in account"),
        pytest.param("s" * 32, "BTC/USDT", "account", id="long account"),
        pytest.param("sim", "btc/usdt", "symbol", id="small letters"),
        pytest.param("sim", "BTCUSDT", "symbol", id="no slash"),
        pytest.param("sim", "BTC/USD:BTC", "symbol", id="contract settled in its base"),
        pytest.param("sim", "BTC/USDT\n", "symbol", id="line end"),
        pytest.param("sim", "../USDT", "symbol", id="path"),
        pytest.param("sim", "A" * 21 + "/USDT", "symbol", id="long base"),
        pytest.param("sim", "", "symbol", id="no symbol"),
    ],
)
def test_symbol_key_malformed_name_is_refused(account: str, symbol: str, field: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        symbol_key(account, symbol)
    assert refusal.value.field == field
