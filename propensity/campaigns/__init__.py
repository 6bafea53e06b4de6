"""The campaigns of this installation: one file each, found by looking, registered nowhere.

Files in the folder named by ``PROPENSITY_CAMPAIGNS_DIR`` join those of this package, so that a campaign can live outside it.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from pathlib import Path

from propensity.campaign import Campaign
from propensity.errors import CampaignError, NotFound


def all_campaigns() -> dict[str, Campaign]:
    """Every campaign by name, sorted. Raises CampaignError where a file is unsound or two share a name."""
    return dict(_load(os.environ.get("PROPENSITY_CAMPAIGNS_DIR", "")))


def campaign(name: str) -> Campaign:
    """The campaign of that name. Raises NotFound, naming those that exist."""
    known = all_campaigns()
    if name not in known:
        raise NotFound(f"there is no campaign of that name; there are: {', '.join(known)}")
    return known[name]


@cache
def _load(extra: str) -> tuple[tuple[str, Campaign], ...]:
    folders = [Path(__file__).parent, *([Path(extra)] if extra else [])]
    if not all(folder.is_dir() for folder in folders):
        raise CampaignError("PROPENSITY_CAMPAIGNS_DIR does not name a folder")
    found: dict[str, Campaign] = {}
    for path in (p for folder in folders for p in sorted(folder.glob("*.py")) if p.name != "__init__.py"):
        declared = _read(path)
        if declared.name in found:
            raise CampaignError(f"two files declare the campaign {declared.name!r}; the second is {path.name}")
        found[declared.name] = declared
    return tuple(sorted(found.items()))


def _read(path: Path) -> Campaign:
    spec = importlib.util.spec_from_file_location(f"propensity.campaigns.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise CampaignError(f"{path.name} cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, NameError, AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as exc:
        raise CampaignError(f"{path.name} cannot be read: {exc}") from exc
    declared = getattr(module, "CAMPAIGN", None)
    if not isinstance(declared, Campaign):
        raise CampaignError(f"{path.name} does not define CAMPAIGN = Campaign(...)")
    return declared
