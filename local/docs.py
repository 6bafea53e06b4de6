"""Writes the pages that are derived from the declarations: ``make docs``. A test compares them with what is committed."""

from __future__ import annotations

from pathlib import Path

from flows.deployments import schedules
from propensity.campaign import Campaign, Gate
from propensity.campaigns import all_campaigns
from propensity.explain import describe

DOCS = Path(__file__).parent.parent / "docs"
OTHER_COLUMNS = {"ignore": "ignored, and the reply says which", "refuse": "the row is refused"}
HEAD = """# Campaigns

Made by `make docs` from the declarations in `propensity/campaigns/`: do not edit.
How to add one: [adding-a-campaign.md](adding-a-campaign.md).
"""


def campaigns_page() -> str:
    """docs/campaigns.md, whole."""
    return "\n".join([HEAD, *(_campaign(declared) for declared in all_campaigns().values())])


def _campaign(c: Campaign) -> str:
    e = c.economics
    lines = [
        f"## {c.title}",
        "",
        f"`{c.name}` · {c.question}",
        "",
        "| | |",
        "|---|---|",
        f"| label | `{c.label.column}` = `{c.label.positive}`" + (f": {c.label.meaning}" if c.label.meaning else "") + " |",
        f"| label window | {c.label.window_days} days |",
        f"| economics | a contact costs {e.contact_cost} {e.currency}, a conversion is worth {e.conversion_value} {e.currency}; "
        f"break-even score {e.break_even:g} |",
        f"| policy | {c.policy.kind}" + (f" {c.policy.value:g}" if c.policy.value is not None else "") + " |",
        f"| gates | {'; '.join(_gate(g) for g in c.gates)} |",
        f"| monitors | {'; '.join(f'{m.metric}: warn {m.warn:g}, alert {m.alert:g}' for m in c.monitors)} |",
        f"| other columns in a posted row | {OTHER_COLUMNS[c.unexpected_columns]} |",
    ]
    if c.leak_guard:
        lines.append(f"| leak guard | random-split ROC-AUC above {c.leak_guard.roc_auc_above:g} stops the training |")
    if c.source:
        lines.append(f"| data | `{c.source.file}`, {c.source.licence}. {c.source.citation} |")
    mine = [s for s in schedules() if s.parameters["campaign_name"] == c.name]
    lines.append(f"| schedules (UTC) | {'; '.join(f'`{s.name}` {s.cron}' for s in mine)} |")
    lines += ["", "| feature | kind | allowed | |", "|---|---|---|---|"]
    for f in c.features:
        kind = type(f).__name__.lower() + (", may be missing" if f.nullable else "")
        lines.append(f"| `{f.name}` | {kind} | {describe(f)} | {f.description} |")
    if c.excluded:
        lines += ["", "| excluded column | why |", "|---|---|", *(f"| `{name}` | {reason} |" for name, reason in c.excluded)]
    return "\n".join([*lines, ""])


def _gate(gate: Gate) -> str:
    bounds = [
        f"at least {gate.at_least:g}" if gate.at_least is not None else "",
        f"at most {gate.at_most:g}" if gate.at_most is not None else "",
        f"at least {gate.versus_champion:g} more than the live model's" if gate.versus_champion is not None else "",
    ]
    return f"{gate.metric} " + ", ".join(b for b in bounds if b)


def main() -> None:
    """Write every derived page."""
    (DOCS / "campaigns.md").write_text(campaigns_page(), encoding="utf-8")
    print(f"wrote {DOCS / 'campaigns.md'}")


if __name__ == "__main__":
    main()
