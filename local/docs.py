"""Writes the pages that are derived from the code: ``make docs``. A test compares them with what is committed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from api.codes import REMEDIES, ROW_CODES, every_code
from api.openapi import CONTRACT_VERSION, openapi
from local.compatibility import told, undeclared
from propensity.campaign import Campaign, Gate
from propensity.campaigns import all_campaigns
from propensity.explain import describe
from propensity.schedules import schedules

DOCS = Path(__file__).parent.parent / "docs"
CONTRACT = DOCS / "openapi.json"
OTHER_COLUMNS = {"ignore": "ignored, and the reply says which", "refuse": "the row is refused"}
HEAD = """# Campaigns

Made by `make docs` from the declarations in `propensity/campaigns/`: do not edit.
How to add one: [adding-a-campaign.md](adding-a-campaign.md).
"""

ERRORS_HEAD = """# Errors

Made by `make docs` from `propensity/errors.py` and `api/codes.py`: do not edit.

Every refusal of the service is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `detail`, `request_id`, and
where rows are concerned `errors` and `errors_total`. Go by `code`: it is stable, while `title` and `detail` are for people and may be
bettered. New codes may be added. A 429 or 503 says in the header `Retry-After` how many seconds to wait. Where a request carries an
`Idempotency-Key`, trying again is safe.

The command line ends with the exit code of the same error and prints the same sentence. A dash stands where only HTTP knows the code.

| code | status | exit code | what it means | what to do |
|---|---|---|---|---|
"""
ROWS_HEAD = """
## What may be wrong with a row

Each entry of `errors` names the row as it was sent (from 1), the column, one of these codes, and in `message` what is allowed.

| code | what it means |
|---|---|
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
        f"| watch | {c.watch.told} |",
        f"| other columns in a posted row | {OTHER_COLUMNS[c.unexpected_columns]} |",
    ]
    if c.leak_guard:
        lines.append(f"| leak guard | random-split ROC-AUC above {c.leak_guard.roc_auc_above:g} stops the training |")
    if c.source:
        lines.append(f"| data | `{c.source.file}`, {c.source.licence}. {c.source.citation} |")
    mine = [s for s in schedules() if s.campaign == c.name]
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


def errors_page() -> str:
    """docs/errors.md, whole."""
    codes = [
        f"| `{c.code}` | {c.status} | {'-' if c.exit_code is None else c.exit_code} | {c.meaning} | {REMEDIES[c.code]} |"
        for c in every_code().values()
    ]
    rows = [f"| `{code}` | {meaning} |" for code, meaning in ROW_CODES.items()]
    return ERRORS_HEAD + "\n".join(codes) + "\n" + ROWS_HEAD + "\n".join(rows) + "\n"


def contract_text() -> str:
    """docs/openapi.json, whole: the document that the service describes itself with."""
    return json.dumps(openapi(all_campaigns()), indent=1, ensure_ascii=False) + "\n"


def undeclared_breaks() -> list[str]:
    """What the code breaks for callers of the contract that is committed, without a new major number."""
    return undeclared(json.loads(CONTRACT.read_text(encoding="utf-8")), openapi(all_campaigns()))


def main() -> int:
    """Write every derived page. Returns the exit code: 2, and nothing is written, where the contract breaks undeclared."""
    # Without a document there is no caller to break anything for.
    broken = undeclared_breaks() if CONTRACT.exists() else []
    if broken:
        print(f"callers of the contract {CONTRACT_VERSION} would break:\n{told(broken)}", file=sys.stderr)
        print("take it back, or raise the major number of CONTRACT_VERSION in api/openapi/document.py", file=sys.stderr)
        return 2
    pages = {DOCS / "campaigns.md": campaigns_page(), DOCS / "errors.md": errors_page(), CONTRACT: contract_text()}
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
