"""The venues' records: which accounts they admit, and the document that shows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ccxt.pro
import pytest

from domain.errors import ConfigurationError
from domain.instrument import MarketKind
from exchanges.account import AccountConfig, Mode
from exchanges.capabilities import Address, LookUp, Proof, Sandbox, Venue
from exchanges.contracts import refuse_hedge_mode
from exchanges.conversions import reason_untradable
from exchanges.venue_table import facts_of, guarantees_of, markdown
from exchanges.venues import VENUES, require_access, venue_of

_WATCHES = {"orders": "watchOrders", "trades": "watchMyTrades", "wallets": "watchBalance"}
DOCUMENT = Path(__file__).parents[3] / "docs" / "venues.md"
ACCOUNT = AccountConfig(name="main", venue="okx", mode=Mode.TESTNET, api_key="k", api_secret="s")
WITH_PASSPHRASE = replace(ACCOUNT, api_passphrase="p")


@pytest.fixture(params=VENUES.values(), ids=list(VENUES))
def venue(request: pytest.FixtureRequest) -> Venue:
    found: Venue = request.param
    return found


def test_document_is_what_the_records_say() -> None:
    _, _, shown = DOCUMENT.read_text().partition("a test compares. -->\n\n")
    assert shown == markdown(VENUES.values())


def test_every_column_of_a_record_has_a_word(venue: Venue) -> None:
    assert all(facts_of(venue).values())
    assert venue.name == facts_of(venue)["venue"]


def test_venue_that_expires_nothing_says_that_strays_are_possible(venue: Venue) -> None:
    says_so = any("stray" in sentence for sentence in guarantees_of(venue))
    assert says_so is (venue.request_expiry_ms(2_000) is None)


def test_venue_whose_switch_is_fed_says_that_the_countdown_grows(venue: Venue) -> None:
    says_so = any("has many symbols" in sentence for sentence in guarantees_of(venue))
    assert says_so is (venue.countdown_s(60, 10_000) > 60)


def test_record_agrees_with_what_ccxt_has(venue: Venue) -> None:
    client = getattr(ccxt.pro, venue.ccxt_id)()
    assert venue.ids.look_up is LookUp.LISTS or client.has["fetchOrder"]
    assert client.requiredCredentials["password"] is venue.has_passphrase
    assert bool(venue.cancel_all != "none") is bool(client.has["cancelAllOrders"])
    for stream in venue.user_streams:
        assert client.has[_WATCHES[stream]]
    if venue.has_account_fees:
        assert client.has["fetchTradingFees"]
    history = "".join(part.title() for part in venue.ids.history.split("_"))
    assert venue.ids.look_up is LookUp.ORDER or client.has[history[0].lower() + history[1:]]


def test_look_up_in_lists_needs_no_parameter_only_where_ours_is_picked(venue: Venue) -> None:
    if venue.ids.fetch is None:
        assert venue.ids.look_up is LookUp.LISTS
    assert venue.ids.look_up_by is not Address.VENUE_ID


def test_sandbox_mode_is_one_that_ccxt_enters(venue: Venue) -> None:
    client = getattr(ccxt.pro, venue.ccxt_id)()
    if venue.sandbox is not Sandbox.NONE:
        client.set_sandbox_mode(True)
        assert client.isSandboxModeEnabled or client.options.get("sandboxMode")


@pytest.mark.parametrize(
    ("account", "real_money", "field"),
    [
        pytest.param(replace(ACCOUNT, venue="mexc"), False, "account.venue", id="no-record"),
        pytest.param(
            replace(WITH_PASSPHRASE, mode=Mode.SIMULATOR, simulator_file=Path("x")),
            False,
            "account.mode",
            id="simulator-of-another-venue",
        ),
        pytest.param(replace(ACCOUNT, venue="kraken"), False, "account.mode", id="no-sandbox"),
        pytest.param(
            replace(ACCOUNT, venue="kraken", mode=Mode.LIVE),
            False,
            "account.real_money",
            id="live-unasked",
        ),
        pytest.param(ACCOUNT, False, "account.api_passphrase", id="no-passphrase"),
    ],
)
def test_account_that_cannot_trade_as_set_is_refused(
    account: AccountConfig, real_money: bool, field: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        require_access(account, real_money=real_money)
    assert refused.value.field == field
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("account", "real_money"),
    [
        pytest.param(WITH_PASSPHRASE, False, id="testnet"),
        pytest.param(replace(ACCOUNT, venue="kraken", mode=Mode.LIVE), True, id="live-asked-for"),
        pytest.param(replace(ACCOUNT, venue="mexc", unverified=True), False, id="unverified"),
    ],
)
def test_account_that_can_trade_as_set_is_admitted(
    account: AccountConfig, real_money: bool
) -> None:
    require_access(account, real_money=real_money)


def test_unverified_venue_guarantees_nothing() -> None:
    venue = venue_of(replace(ACCOUNT, venue="mexc", unverified=True))
    assert (venue.ccxt_id, venue.proof, venue.expiry) == ("mexc", Proof.NONE, None)


@pytest.mark.parametrize(
    ("market", "words"),
    [
        ({"inverse": True, "spot": False, "active": True, "type": "swap"}, "inverse"),
        ({"inverse": False, "spot": False, "active": True, "type": "swap"}, "contract"),
        ({"inverse": None, "spot": True, "active": False, "type": "spot"}, "now"),
    ],
)
def test_market_that_is_none_of_ours_is_refused_with_the_reason(
    market: dict[str, Any], words: str
) -> None:
    assert words in str(reason_untradable(market))


PERPETUAL = {
    "inverse": False,
    "spot": False,
    "swap": True,
    "type": "swap",
    "active": True,
    "base": "BTC",
    "quote": "USDT",
    "settle": "USDT",
    "contractSize": "1",
}


@pytest.mark.parametrize(
    ("market", "words"),
    [
        ({"inverse": True}, "inverse"),
        ({"swap": False, "type": "future"}, "no perpetual"),
        ({"swap": False, "spot": True, "type": "spot"}, "no perpetual"),
        ({"settle": "USDC"}, "settled in USDC"),
        ({"contractSize": "0.001"}, "0.001 BTC"),
        ({"active": False}, "now"),
    ],
)
def test_contract_that_is_none_of_ours_is_refused_with_the_reason(
    market: dict[str, Any], words: str
) -> None:
    assert reason_untradable(PERPETUAL, MarketKind.LINEAR) is None
    assert words in str(reason_untradable({**PERPETUAL, **market}, MarketKind.LINEAR))


def test_market_kind_that_a_venue_has_no_record_for_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must be spot for okx"):
        venue_of(replace(WITH_PASSPHRASE, market=MarketKind.LINEAR))


def test_spot_market_is_tradable() -> None:
    market = {"inverse": None, "spot": True, "active": True, "type": "spot"}
    assert reason_untradable(market) is None


@pytest.mark.parametrize("hedged", [True, False])
async def test_account_in_hedge_mode_is_refused(hedged: bool) -> None:
    class Client:
        async def fetch_position_mode(self) -> dict[str, bool]:
            return {"hedged": hedged}

    if not hedged:
        await refuse_hedge_mode(Client())
        return
    with pytest.raises(ConfigurationError, match="one-way"):
        await refuse_hedge_mode(Client())
