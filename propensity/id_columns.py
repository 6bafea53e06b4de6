"""Which column of a list says who a customer is, and when: derived from the declaration."""

from __future__ import annotations

from propensity.campaign import Campaign

ID_COLUMN = "id"


def id_name(campaign: Campaign) -> str | None:
    """The column that holds the customers' ids where a source has it; None where no column can."""
    return campaign.id_column or (ID_COLUMN if may_have_id(campaign) else None)


def date_name(campaign: Campaign) -> str | None:
    """The calendar's column where it is not a feature, and so part of an id that is derived."""
    column = "" if campaign.calendar is None else campaign.calendar.column
    return None if not column or column in campaign.feature_names else column


def may_have_id(campaign: Campaign) -> bool:
    """Whether a column named ``id`` can be taken for the customer's id: nothing else is declared about it."""
    calendar = [campaign.calendar.column] if campaign.calendar else []
    declared = {*campaign.feature_names, *campaign.excluded_reasons, campaign.label.column, *calendar}
    return campaign.id_column is None and ID_COLUMN not in declared
