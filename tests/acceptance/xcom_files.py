"""A custom XCom backend: values are files, and the database holds their names."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

FOLDER = "XCOM_FILES"
"""The variable with the folder of the files."""


class XComFiles(BaseXCom):
    """What workers read and write; no other process knows the files."""

    @staticmethod
    def serialize_value(value: Any, **_: Any) -> str:
        path = Path(os.environ[FOLDER]) / uuid.uuid4().hex
        path.write_text(json.dumps(value))
        return str(BaseXCom.serialize_value(f"file:{path.name}"))

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        name = str(BaseXCom.deserialize_value(result)).removeprefix("file:")
        return json.loads((Path(os.environ[FOLDER]) / name).read_text())
