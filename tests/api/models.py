"""A small campaign for the tests of the service; rows and models of it are those that the faults are tried with."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from faults.samples import as_table, make_model, make_rows
from propensity.campaign import Campaign, Categorical, Economics, Label, Numeric

__all__ = ["as_table", "make_campaign", "make_model", "make_rows"]


def make_campaign(**changes: Any) -> Campaign:
    """A small campaign: a whole number, a nullable number, numbers as categories, its own id column."""
    declared = Campaign(
        name="small",
        title="Small",
        question="Will it?",
        label=Label("bought", positive="yes", negative="no"),
        features=(
            Numeric("age", low=18, high=99, unit="years", integer=True),
            Numeric("income", low=0, high=1e6, unit="EUR", nullable=True),
            Categorical("segment", ("a", "b", "c")),
            Categorical("region", (1, 2, 3), nullable=True),
        ),
        excluded=(("result", "known only afterwards"),),
        economics=Economics(contact_cost=Decimal("1"), conversion_value=Decimal("10"), currency="EUR"),
        id_column="customer_no",
    )
    return replace(declared, **changes)
