"""Refusals as the venue words them: its code, its message, its HTTP status."""

from enum import Enum
from typing import Any


class VenueError(Exception):
    """A request was refused; it had no effect unless its message says otherwise."""

    def __init__(
        self, code: int, message: str, *, status: int = 400, retry_after_s: int | None = None
    ) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s

    def document(self) -> dict[str, Any]:
        return {"code": self.code, "msg": self.message}


def filter_failure(name: str) -> VenueError:
    return VenueError(-1013, f"Filter failure: {name}")


def missing_parameter(name: str) -> VenueError:
    return VenueError(
        -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    )


def unread_parameters(read: int, sent: int) -> VenueError:
    return VenueError(
        -1104,
        f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.",
    )


def unwanted_parameter(name: str) -> VenueError:
    return VenueError(-1106, f"Parameter '{name}' sent when not required.")


def too_precise(name: str) -> VenueError:
    return VenueError(-1111, f"Parameter '{name}' has too much precision.")


def illegal_characters(name: str, pattern: str) -> VenueError:
    return VenueError(
        -1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'."
    )


def invalid_symbol() -> VenueError:
    return VenueError(-1121, "Invalid symbol.")


def order_rejected(reason: str) -> VenueError:
    return VenueError(-2010, reason)


def cancel_rejected() -> VenueError:
    return VenueError(-2011, "Unknown order sent.")


def no_such_order() -> VenueError:
    return VenueError(-2013, "Order does not exist.")


def unknown_key() -> VenueError:
    return VenueError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)


class FuturesError(Enum):
    """Refusals of the futures venue: its code and its message."""

    TOO_PRECISE = -1111, "Precision is over the maximum defined for this asset."
    MARGIN_INSUFFICIENT = -2019, "Margin is insufficient."
    REDUCE_ONLY = -2022, "ReduceOnly Order is rejected."
    TOO_MANY_ORDERS = -2025, "Reach max open order limit."
    POSITION_TOO_LARGE = -2027, "Exceeded the maximum allowable position at current leverage."
    PRICE_NOT_POSITIVE = -4001, "Price less than 0."
    QUANTITY_NOT_POSITIVE = -4003, "Quantity less than or equal to zero."
    QUANTITY_TOO_SMALL = -4004, "Quantity less than min quantity."
    QUANTITY_TOO_LARGE = -4005, "Quantity greater than max quantity."
    PRICE_TICK = -4014, "Price not increased by tick size."
    CLIENT_ID_TOO_LONG = -4015, "Client order id length should not be more than 36 chars"
    PRICE_TOO_HIGH = -4016, "Limit price can't be higher than {}."
    QUANTITY_STEP = -4023, "Qty not increased by step size."
    PRICE_TOO_LOW = -4024, "Limit price can't be lower than {}."
    LEVERAGE_INVALID = -4028, "Leverage {} is not valid"
    MARGIN_TYPE_KEPT = -4046, "No need to change margin type."
    MARGIN_TYPE_HAS_ORDERS = -4047, "Margin type cannot be changed if there exists open orders."
    MARGIN_TYPE_HAS_POSITION = -4048, "Margin type cannot be changed if there exists position."
    POSITION_SIDE_KEPT = -4059, "No need to change position side."
    POSITION_SIDE_MISMATCH = -4061, "Order's position side does not match user's setting."
    POSITION_SIDE_HAS_ORDERS = -4067, "Position side cannot be changed if there exists open orders."
    POSITION_SIDE_HAS_POSITION = -4068, "Position side cannot be changed if there exists position."
    BATCH_SIZE = -4082, "Invalid number of batch place orders."
    NOT_ALLOWED = -4084, "Method is not allowed currently. Upcoming soon."
    DUPLICATE_CLIENT_ID = -4116, "ClientOrderId is duplicated."
    LEVERAGE_REDUCTION = (
        -4161,
        "Leverage reduction is not supported in Isolated Margin Mode with open positions.",
    )
    NOTIONAL_TOO_SMALL = (
        -4164,
        "Order's notional must be no smaller than {} (unless you choose reduce only).",
    )
    FILL_OR_KILL = (
        -5021,
        (
            "Due to the order could not be filled immediately, the FOK order has been rejected. "
            "The order will not be recorded in the order history"
        ),
    )
    POST_ONLY = (
        -5022,
        (
            "Due to the order could not be executed as maker, the Post Only order will be "
            "rejected. The order will not be recorded in the order history"
        ),
    )
    NOTHING_TO_AMEND = -5027, "No need to modify the order."

    def error(self, *values: object) -> VenueError:
        code, message = self.value
        return VenueError(code, message.format(*values))
