"""Refusals as the venue words them: its code, its message, its HTTP status."""

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
