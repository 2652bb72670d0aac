"""Errors as RFC 9457 problem documents; no request makes one that shows a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from domain.errors import ConfigurationError, StoreUnavailable

MEDIA_TYPE = "application/problem+json"
#: A document can break a rule in each of its fields; so many are told.
_BROKEN_RULES_MAX = 20
_SHOWN_CHARACTERS = 80
_RETRY_AFTER_S = "2"
_SCHEMA = "#/components/schemas/{model}"

log = structlog.get_logger("api")


class BrokenRule(BaseModel):
    """A field of the request and the rule it breaks."""

    field: str = Field(examples=["spec.spacing.step"])
    rule: str = Field(examples=["must be exact: write it as a string"])
    value: str = Field(examples=["0.1"])
    remedy: str | None = Field(default=None, examples=['use "0.1"'])


class Problem(BaseModel):
    """Why a request was not served."""

    type: str = Field(default="about:blank")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["BTC/USDT was never added"])
    errors: list[BrokenRule] | None = Field(default=None, description="What is wrong, by field.")


def problem_response(
    status: HTTPStatus,
    detail: str,
    *,
    errors: Sequence[BrokenRule] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    problem = Problem(
        title=status.phrase,
        status=status,
        detail=detail,
        errors=None if errors is None else list(errors),
    )
    return JSONResponse(
        problem.model_dump(mode="json", exclude_none=True),
        status_code=status.value,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems."""
    schema = {"$ref": _SCHEMA.format(model=Problem.__name__)}
    return {
        int(status): {
            "description": status.phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


def schemas_of(*models: type[BaseModel]) -> dict[str, Any]:
    """What the contract refers to although no route's types name it, by name."""
    schemas: dict[str, Any] = {}
    for model in models:
        schema = model.model_json_schema(ref_template=_SCHEMA, mode="serialization")
        schemas |= schema.pop("$defs") | {model.__name__: schema}
    return schemas


def install_problem_handlers(app: FastAPI) -> None:
    """Answer each kind of error with its problem document."""

    @app.exception_handler(ConfigurationError)
    async def not_well_formed(request: Request, error: ConfigurationError) -> JSONResponse:
        broken = BrokenRule(
            field=error.field,
            rule=error.rule,
            value=error.value[:_SHOWN_CHARACTERS],
            remedy=error.remedy,
        )
        return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), errors=[broken])

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> JSONResponse:
        broken = [_broken_rule(item) for item in error.errors()[:_BROKEN_RULES_MAX]]
        detail = "; ".join(f"`{rule.field}` {rule.rule}" for rule in broken)
        return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=broken)

    @app.exception_handler(StoreUnavailable)
    async def store_unavailable(request: Request, error: StoreUnavailable) -> JSONResponse:
        log.warning("store_unavailable", error=str(error))
        return problem_response(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Postgres does not answer; whether a change was kept is not known: "
            "ask again with the same Idempotency-Key",
            headers={"Retry-After": _RETRY_AFTER_S},
        )

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> JSONResponse:
        headers = None if error.headers is None else dict(error.headers)
        return problem_response(HTTPStatus(error.status_code), error.detail, headers=headers)


def _broken_rule(error: dict[str, Any]) -> BrokenRule:
    why = f": {error['ctx']['error']}" if error["type"] == "json_invalid" else ""
    return BrokenRule(
        field=".".join(str(part) for part in error["loc"]),
        rule=f"{error['msg']}{why}",
        value=f"{error.get('input')!r:.{_SHOWN_CHARACTERS}}",
    )
