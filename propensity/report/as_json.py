"""A report as JSON: the same figures under the same names, money as numbers, times as RFC 3339."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from propensity.errors import DataError
from propensity.report.tree import Report


def as_json(report: Report) -> bytes:
    """The whole report, indented, ending in a line break."""
    return (json.dumps(plain(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def from_json(data: bytes) -> Report:
    """The report that `as_json` wrote. Raises DataError where another version of this program wrote it, with other figures."""
    try:
        return msgspec.json.decode(data, type=Report)
    except msgspec.MsgspecError as exc:
        raise DataError("this report was kept by another version of the program; make it again") from exc


def plain(value: Any) -> Any:
    """Dataclasses as objects, in the order of their fields."""
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, datetime) else value
