"""What only accounts that trade contracts are asked."""

from __future__ import annotations

from typing import Any

from domain.errors import ConfigurationError


async def refuse_hedge_mode(client: Any) -> None:
    """Refuse an account that holds a long and a short position of one symbol apart.

    Raises
    ------
    ConfigurationError
        If it does: an exit could open the other position instead of closing its own.
    """
    if (await client.fetch_position_mode())["hedged"]:
        raise ConfigurationError(
            field="account",
            rule="must be in one-way position mode",
            value="in hedge mode",
            remedy="close its positions and switch the mode at the venue",
        )
