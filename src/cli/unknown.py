"""Errors about what an operator names and nobody knows."""

from __future__ import annotations

from domain.errors import ConfigurationError


def unknown_symbol(name: str) -> ConfigurationError:
    return ConfigurationError(
        field="symbol",
        rule="must have been added",
        value=repr(name),
        remedy="see `gridkeeper symbol list --all`",
    )


def unknown_order(order_id: str) -> ConfigurationError:
    return ConfigurationError(
        field="order id",
        rule="must be a client order id of ours or the venue's id of such an order",
        value=repr(order_id),
        remedy="see `gridkeeper order list --all`",
    )


def unknown_workflow(workflow_id: str) -> ConfigurationError:
    return ConfigurationError(
        field="workflow id",
        rule="must be one that is recorded",
        value=repr(workflow_id),
        remedy="see `gridkeeper workflow list`",
    )
