"""``propensity alerts | acknowledge | flows``: what is wrong, who takes care of it, and how the flows stand."""

from __future__ import annotations

import argparse
import getpass
import json
from typing import Any

from propensity.alerting import StoredAlert
from propensity.errors import Malformed
from propensity.flow_health import CHECKER, FlowState, states

NEWEST = 50
NOTE_LENGTH = 500


def add_commands(commands: Any) -> None:
    """Add the three to the command line."""
    alerts = _command(commands, "alerts", _alerts, "what is wrong with campaigns and flows; --all with what is over")
    alerts.add_argument("--all", action="store_true", help="also what was acknowledged, resolved or replaced")
    acknowledge = _command(commands, "acknowledge", _acknowledge, "take care of an alert: it is not told again while it is open")
    acknowledge.add_argument("alert_id", metavar="ID", help="as alerts shows it, as in a-0123456789ab")
    acknowledge.add_argument("--note", default="", help="what is being done about it")
    flows = _command(commands, "flows", _flows, "how every scheduled flow stands: last good run, due, late, failed")
    for sub in (alerts, flows):
        sub.add_argument("--json", action="store_true", help="print everything that is known, as JSON")


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    sub.set_defaults(run=run, needs_stores=True)
    return sub


def _alerts(args: argparse.Namespace) -> int:
    from api.alerts import alert_json
    from propensity.adapters.platform import platform

    found = [stored for stored in platform().alerts.recent(NEWEST) if args.all or stored.state in ("open", "acknowledged")]
    if args.json:
        print(json.dumps([alert_json(stored) for stored in found], indent=2))
        return 0
    for stored in found:
        print("\n".join(of_alert(stored)))
    if not found:
        print("no alert is open")
    return 0


def _acknowledge(args: argparse.Namespace) -> int:
    from propensity.adapters.platform import platform

    if len(args.note) > NOTE_LENGTH or not args.note.isprintable():
        raise Malformed(f"a note has at most {NOTE_LENGTH} printable characters")
    stored = platform().alerts.acknowledge(args.alert_id, actor=f"cli:{getpass.getuser()}", note=args.note)
    said = stored.first("acknowledged")
    print(f"{stored.alert_id}: acknowledged by {said.actor if said else ''}; it is told again only when it is over")
    return 0


def _flows(args: argparse.Namespace) -> int:
    from propensity.adapters.platform import platform

    _, found = states(platform().heartbeats)
    if args.json:
        print(json.dumps([_plain(state) for state in found], indent=2))
        return 0
    for state in found:
        print(of_flow(state))
    if not found:
        print("nothing is scheduled yet: make up does that")
    return 0


def of_alert(stored: StoredAlert) -> list[str]:
    """An alert in some lines."""
    alert = stored.alert
    about = f" of {alert.about}" if alert.about else ""
    lines = [
        f"{stored.alert_id}  {stored.state:<12}  {stored.raised_at:%Y-%m-%d %H:%M}  {alert.campaign}: {alert.kind}{about}, {alert.verdict}"
    ]
    lines += [f"    {alert.detail}"] if alert.detail else []
    lines += [f"    {f.column or 'all'}, {f.metric}: {f.value:.4g} ({f.verdict})" for f in alert.findings[:3]]
    if (said := stored.first("acknowledged")) is not None:
        lines.append(f"    acknowledged by {said.actor}" + (f": {said.detail}" if said.detail else ""))
    newest = {(e.channel, e.occasion): e for e in stored.events if e.channel is not None}
    lines += [
        f"    {e.channel}: {e.occasion} {e.event}" + (f", try {e.attempt}: {e.detail}" if e.event == "failed" else "")
        for e in newest.values()
    ]
    return lines


def of_flow(state: FlowState) -> str:
    """A flow in one line."""
    schedule, good, failed = state.schedule, state.beats.get("succeeded"), state.failed_run
    last = f"last good run {good.at:%Y-%m-%d %H:%M}" if good is not None else "no good run yet"
    error = f"; failed {failed.at:%Y-%m-%d %H:%M} with {failed.detail.get('error', 'an error')}" if failed is not None else ""
    due = f"; next due {state.next_due:%Y-%m-%d %H:%M}" if state.next_due is not None and schedule.flow != CHECKER else ""
    return f"{schedule.campaign:<22} {schedule.flow:<12} {state.state:<8} {last}{due}{error}"


def _plain(state: FlowState) -> dict[str, Any]:
    return {
        "flow": state.schedule.flow,
        "campaign": state.schedule.campaign,
        "state": state.state,
        "cron": state.schedule.cron,
        "last_due": None if state.last_due is None else state.last_due.isoformat(),
        "next_due": None if state.next_due is None else state.next_due.isoformat(),
        "beats": {
            name: {"at": beat.at.isoformat(), "run_id": beat.run_id, "detail": dict(beat.detail)} for name, beat in state.beats.items()
        },
    }
