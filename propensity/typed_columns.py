"""Columns of sources that know types, databases and Parquet, in the terms of a campaign's declaration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

from propensity.campaign import Campaign, Categorical
from propensity.errors import Malformed


def refuse_repeated(header: Sequence[str], name: str, campaign: Campaign) -> None:
    """Do nothing where each column has a name of its own. Raises Malformed.

    Undeclared names are told by position: in a file without a header they are a customer's values.
    """
    declared = {*campaign.feature_names, *campaign.excluded_reasons, campaign.label.column, campaign.id_column}
    seen: set[str] = set()
    for at, column in enumerate(header, start=1):
        if column in seen or not column:
            which = f"column {column!r} stands twice" if column in declared else f"the name of column {at} is empty or stands twice"
            raise Malformed(f"{name}: in the first line {which}; each column needs a name of its own")
        seen.add(column)


def typed(columns: Mapping[str, list[object]], campaign: Campaign) -> tuple[dict[str, list[object]], bool]:
    """Columns of a typed source in the terms of the declaration, and whether all features are texts (and so to be parsed).

    Databases and Parquet write what JSON cannot: decimals become numbers, NaN becomes missing, true becomes the category "TRUE".
    """
    present = [name for name in campaign.feature_names if name in columns]
    text = bool(present) and all(isinstance(cell, str | None) for name in present for cell in columns[name])
    if text:
        return dict(columns), True
    out = dict(columns)
    for name in present:
        feature = campaign.feature(name)
        words = {str(value).casefold(): value for value in feature.values} if isinstance(feature, Categorical) else {}
        out[name] = [_typed_cell(cell, words) for cell in columns[name]]
    return out, False


def _typed_cell(cell: object, words: Mapping[str, str | int]) -> object:
    if isinstance(cell, Decimal):
        cell = float(cell)
    if isinstance(cell, float):
        if math.isnan(cell):
            return None
        # A column of whole numbers with gaps is kept as floats by many programs.
        return words.get(str(int(cell)), cell) if words and cell.is_integer() else cell
    if words and isinstance(cell, bool | int | str):
        # Only a bool or a number changes its type here: the case of a text is the sender's.
        return cell if isinstance(cell, str) else words.get(str(cell).casefold(), cell)
    return cell
