"""Metrics for Prometheus: without a token on loopback, where they are no secret."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from telemetry.metrics import Metrics

router = APIRouter(tags=["operations"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def scrape(request: Request) -> Response:
    """Everything this node counts, in the Prometheus text format.

    A token is asked for only where others than this machine can reach the API.
    """
    metrics = cast(Metrics, request.app.state.metrics)
    return Response(await metrics.scrape(), media_type=CONTENT_TYPE_LATEST)
