"""Airflow's assets: which one a name or URI means."""

from __future__ import annotations

from dataclasses import dataclass

from airflow.models.asset import AssetActive, AssetModel
from sqlalchemy import Connection, and_, or_, select


@dataclass(frozen=True)
class FoundAsset:
    """An asset as Airflow stores it; ``is_active``: a DAG file names it now."""

    id: int
    name: str
    uri: str
    is_active: bool


def find_asset(connection: Connection, name_or_uri: str) -> FoundAsset | None:
    """The asset with this name or, if there is none, with this URI; an active one if there is one.

    Airflow's names and URIs are unique among active assets alone.
    """
    same = and_(AssetActive.name == AssetModel.name, AssetActive.uri == AssetModel.uri)
    is_active = AssetActive.name.is_not(None)
    rows = connection.execute(
        select(AssetModel.id, AssetModel.name, AssetModel.uri, is_active)
        .join(AssetActive, same, isouter=True)
        .where(or_(AssetModel.name == name_or_uri, AssetModel.uri == name_or_uri))
        .order_by(is_active.desc(), (AssetModel.name == name_or_uri).desc(), AssetModel.id.desc())
        .limit(1)
    )
    return next((FoundAsset(row[0], row[1], row[2], bool(row[3])) for row in rows), None)
