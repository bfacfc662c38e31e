"""Where one begins who knows the address alone."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

router = APIRouter(include_in_schema=False)


@router.get("/")
async def start() -> RedirectResponse:
    """Lead to the description of what is served."""
    return RedirectResponse("/docs")
