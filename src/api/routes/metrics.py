"""Metrics for Prometheus, without the token: served on loopback only, and holding no secret."""

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
    """Everything this node counts, in the Prometheus text format; no token is asked for."""
    metrics = cast(Metrics, request.app.state.metrics)
    return Response(await metrics.scrape(), media_type=CONTENT_TYPE_LATEST)
