"""Presets: list, read."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException

from inbound_webhooks.presets import PRESETS
from inbound_webhooks.presets.description import as_data
from inbound_webhooks.rest.dependencies import DEFAULT_LIMIT, MAX_LIMIT, AccessDep, Limit, Offset
from inbound_webhooks.rest.problems import documented

router = APIRouter(prefix="/presets", tags=["Preset"])


@router.get("", responses=documented())
def get_presets(_may: AccessDep, offset: Offset = 0, limit: Limit = DEFAULT_LIMIT) -> dict[str, Any]:
    """All presets, by name."""
    page = list(PRESETS.values())[offset : offset + min(limit, MAX_LIMIT)]
    return {"presets": [as_data(preset) for preset in page], "total_entries": len(PRESETS)}


@router.get("/{name}", responses=documented(404))
def get_preset(name: str, _may: AccessDep) -> dict[str, Any]:
    """One preset."""
    if name not in PRESETS:
        raise HTTPException(404, f"The preset `{name}` was not found")
    return as_data(PRESETS[name])
