"""Fixed-point money: every price, quantity, notional and balance is an integer of 1e-8.

The venue itself publishes eight decimals everywhere, so nothing finer can reach this code.
"""

import re

UNIT = 10**8

_DECIMAL = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?\Z")


def parse_e8(text: str) -> int:
    """Read a plain decimal string; finer than eight decimals, or not a number, is a ValueError."""
    if not _DECIMAL.match(text):
        msg = f"not a plain decimal number: {text!r}"
        raise ValueError(msg)
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > 8:
        msg = f"finer than 8 decimals: {text!r}"
        raise ValueError(msg)
    magnitude = abs(int(whole)) * UNIT + int(fraction.ljust(8, "0"))
    return -magnitude if text.startswith("-") else magnitude


def format_e8(amount_e8: int) -> str:
    """Write with exactly eight decimals, as the venue does."""
    sign = "-" if amount_e8 < 0 else ""
    whole, fraction = divmod(abs(amount_e8), UNIT)
    return f"{sign}{whole}.{fraction:08d}"


def notional_e8(price_e8: int, quantity_e8: int) -> int:
    """Quote amount; exact, because a symbol's tick × step is a whole number of 1e-8."""
    return price_e8 * quantity_e8 // UNIT


def fraction_e8(amount_e8: int, rate_e8: int) -> int:
    """`amount × rate`, floored to 1e-8: how commissions round."""
    return amount_e8 * rate_e8 // UNIT


def ceil_div(amount: int, divisor: int) -> int:
    """Quotient rounded up."""
    return -(-amount // divisor)


def decimals_of(amount_e8: int) -> int:
    """How many decimals an amount needs to be written exactly."""
    decimals = 8
    while decimals and amount_e8 % 10 == 0:
        amount_e8 //= 10
        decimals -= 1
    return decimals


def format_plain(amount_e8: int) -> str:
    """Write with as many decimals as the amount needs."""
    text = format_e8(amount_e8).rstrip("0")
    return text.removesuffix(".")
