"""What a report says: one sentence for each curve, and what stands in the place of what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from propensity.report.left_alone import Holdout, LeftOut
from propensity.report.page.told import NO_DATA, count, day, joined, money, share, span, times, whole_share
from propensity.report.tree import Driver, Drivers, Effect, Report, Segment

EFFECTS_SHOWN, DRIVERS_SHOWN = 6, 6
# What moves the odds by less than a twentieth is not worth a sentence.
ALIKE_TOLD = 0.05
RARE = 0.005
_POLICIES = {
    "profit": "everyone whose expected profit is above zero",
    "top_share": "the best {share} of each list",
    "budget": "as many of the best as {money} pays for",
    "calls": "at most {count} of the best of each list",
    "recall": "as few of the best as hold {share} of the expected conversions",
    "capacity": "the best of each group, as many as its capacity allows",
    "threshold": "everyone with a score of at least {value}",
}
_ABSENT = {
    "unknown": "A prediction without an outcome is left out.",
    "negative": "A mature prediction without an outcome counts as a no, as the campaign declares.",
    "negative_if_contacted": "A mature contact without an outcome counts as a no, as the campaign declares; others are left out.",
}


def customers(n: int) -> str:
    """So many customers."""
    return "1 customer" if n == 1 else f"{count(n)} customers"


def opening(report: Report) -> str:
    """The whole report in a sentence or two."""
    d, scope = report.decided, report.scope
    if not d.predictions:
        return "Nobody was scored in this time, so there is nothing to report yet."
    text = (
        f"{customers(d.predictions)} scored, {count(d.contacts)} of them ({share(d.contacts / d.predictions)}) to be contacted, "
        f"expected to bring {money(d.expected_profit, scope.currency)}."
    )
    return f"{text} {_came(report)}"


def _came(report: Report) -> str:
    known, scope = report.known, report.scope
    if known.profit is None:
        return "What they brought is not known yet." if not known.known else "Of those to be contacted no outcome is known."
    whose = (
        "They brought" if known.known_contacts == report.decided.contacts else f"The {count(known.known_contacts)} of known outcome brought"
    )
    rest = "" if known.known_contacts == report.decided.contacts else f", where {money(known.expected_profit, scope.currency)} was expected"
    return f"{whose} {money(known.profit, scope.currency)}{rest}."


def why_no_outcomes(report: Report) -> str:
    """Why nothing is known of what happened."""
    known, scope = report.known, report.scope
    if not report.decided.predictions:
        return "nobody was scored"
    if not known.mature:
        days = "day" if scope.window_days == 1 else f"{scope.window_days} days"
        return f"no prediction is older than the {days} within which an outcome counts"
    return f"of {count(known.mature)} predictions old enough, no outcome was told"


def maturity(report: Report) -> str:
    """Which outcomes count, and how many are known."""
    known, scope = report.known, report.scope
    days = "day after its prediction is" if scope.window_days == 1 else f"{scope.window_days} days after its prediction are"
    text = f"An outcome counts once the {days} over: "
    text += (
        f"{count(known.mature)} predictions are that old, and the outcome of {count(known.known)} of them is known "
        f"({whole_share(known.coverage)})."
        if known.mature
        else "no prediction is that old."
    )
    if known.young:
        text += f" Of the {count(known.young)} younger ones {count(known.young_told)} outcomes are known already; they count nowhere yet."
    text += f" {_ABSENT[scope.absent_means]}"
    if known.contacts_only:
        text += " Outcomes are known of contacted customers alone, and those were chosen: what happened describes them, not everybody."
    return text


def profit(report: Report) -> str:
    """What the profit curve shows."""
    curves, scope, chosen = report.curves, report.scope, report.decided
    assert curves is not None, "something was predicted"
    assert curves.best is not None, "something was predicted"
    best, everybody = curves.best, curves.expected[-1]
    if not best.customers:
        head = "No customer is expected to be worth a contact"
    else:
        head = (
            f"Each customer further down the list is worth less: profit is expected to be highest at {count(best.customers)} contacts "
            f"({money(best.profit, scope.currency)})"
        )
    below = ". It counts everybody scored, those too who had to be left alone" if report.left_out and report.left_out.customers else ""
    if chosen.own_money:
        below += ". Customers stand here by score, while policies go by what each is worth: what they chose may lie above the curve"
    where = f"the policy chose {count(chosen.contacts)} ({money(chosen.expected_profit, scope.currency)})"
    return f"{head}, {where}; contacting everybody would bring {money(everybody.profit, scope.currency)}{_beyond(everybody.profit)}{below}."


def _beyond(everybody: Decimal) -> str:
    return ", far below this chart" if everybody < 0 else ""


def known_profit(report: Report) -> str:
    """What the second profit curve shows."""
    return (
        f"The same for the {count(report.known.known)} customers whose outcome is known: where the lines part, customers behaved otherwise "
        "than expected."
    )


def gains(report: Report) -> str:
    """What the gains curve shows."""
    curves = report.curves
    assert curves is not None, "something was predicted"
    points = curves.real or curves.expected
    at = min(points, key=lambda p: abs(p.share - 0.3))
    held = "held" if curves.real else "are expected to hold"
    best = share(at.share, 0)
    return f"The best {best} of customers {held} {share(at.captured, 0)} of all conversions; chosen by chance it would be {best}."


def lift(report: Report) -> str:
    """What the lift curve shows."""
    curves = report.curves
    assert curves is not None, "something was predicted"
    points = curves.real or curves.expected
    at = min(points, key=lambda p: abs(p.share - 0.1))
    held = "converted" if curves.real else "are expected to convert"
    return f"The best {share(at.share, 0)} {held} {times(at.lift)} times as often as all customers; the line ends at 1, which is everybody."


def reliability(report: Report) -> str:
    """What the reliability diagram shows."""
    found = report.reliability
    assert found is not None, "something is known"
    outside = sum(not group.low <= group.mean_score <= group.high for group in found.groups)
    verdict = (
        "all ten groups lie where they should, as far as chance lets us tell"
        if not outside and len(found.groups) == 10
        else f"{outside} of {len(found.groups)} groups lie off the line by more than chance"
    )
    return (
        f"On the line, a score of 20 % means that 20 of 100 say yes: here the two differ by {share(found.gap)} on average, and {verdict}."
    )


def policy(name: str, currency: str) -> str:
    """A logged policy in words."""
    kind, _, value = name.partition(" ")
    words = _POLICIES.get(kind)
    if words is None:
        return name
    if not value:
        return words
    number = float(value)
    return words.format(share=share(number, 0), money=money(number, currency), count=count(number), value=f"{number:g}")


def fairness(segment: Segment) -> str:
    """How the groups of a protected feature compare."""
    if segment.contact_ratio is None:
        return "There are not two groups that are large enough to be compared."
    text = f"“{segment.least}” is chosen {share(segment.contact_ratio, 0)} as often as “{segment.most}”"
    text += "" if segment.contact_ratio >= 0.8 else ", below the four fifths that are commonly taken as the least"
    if segment.found_ratio is not None:
        text += (
            f"; of those who said yes, the group found least often was found {share(segment.found_ratio, 0)} as often as the one found most"
        )
    return f"{text}. A difference may have reasons; somebody should know them."


def holdout(found: Holdout, currency: str) -> str:
    """The measured lift in a sentence."""
    if found.problem or found.lift is None or found.profit is None or found.conversions is None or found.low is None or found.high is None:
        return found.problem or NO_DATA
    sure = (
        "more than chance" if found.low > 0 else "less than chance: contacting did harm" if found.high < 0 else "no more than chance may do"
    )
    interval = f"{share(found.level, 0)} interval {times(100 * found.low, 1)} to {times(100 * found.high, 1)}"
    brought = f"{count(found.conversions[0])} conversions and {_range(found.profit, currency)}"
    return (
        f"Contacting raised the share of conversions by {times(100 * found.lift, 1)} percentage points ({interval}), {sure}. "
        f"That is {brought} that would not have come by themselves."
    )


def _range(amounts: tuple[Decimal, Decimal, Decimal], currency: str) -> str:
    value, low, high = amounts
    return f"{money(value, currency)} ({money(low)} to {money(high)})"


def what_is_counted(report: Report) -> str:
    """Where the figures come from."""
    d, scope = report.decided, report.scope
    return (
        f"Every figure is counted from the prediction log of {span(scope.since, scope.until)} and agrees with it to the unit: "
        f"{count(d.requests)} requests, {count(d.lists)} lists among their sources, {count(d.received)} rows received, "
        f"{count(d.refused)} refused, {count(d.predictions)} scored. A customer who was scored twice counts twice. "
        f"Outcomes count for predictions before {day(scope.mature_until)}."
    )


def models(report: Report) -> str:
    """Which models scored."""
    return joined([f"{used.name[:12]} ({count(used.predictions)})" for used in report.models])


def mean_score(report: Report) -> float:
    """The mean score of all predictions."""
    return sum(d.mean_score * d.predictions for d in report.deciles) / report.decided.predictions


def largest_effect(drivers: Sequence[Driver]) -> float:
    """The longest bar that the effects of some drivers need."""
    return max((abs(effect.effect) for driver in drivers for effect in effects_shown(driver)), default=1.0)


def effects_shown(driver: Driver) -> tuple[Effect, ...]:
    """The effects of a driver that find room; the outermost of many."""
    whole = sum(effect.rows for effect in driver.effects)
    found = tuple(effect for effect in driver.effects if effect.rows >= RARE * whole)
    half = EFFECTS_SHOWN // 2
    return found if len(found) <= EFFECTS_SHOWN else (*found[:half], *found[-half:])


def apart(drivers: Sequence[Driver]) -> tuple[Driver, ...]:
    """The drivers that set customers apart, most first."""
    found = [driver for driver in drivers if not driver.alike and len(driver.effects) > 1]
    return tuple(sorted(found, key=lambda driver: -driver.spread)[:DRIVERS_SHOWN])


def alike(drivers: Sequence[Driver]) -> str:
    """What moves all customers alike, in a sentence; empty where nothing does."""
    found = [driver.title for driver in drivers if driver.alike and driver.strength >= ALIKE_TOLD][:DRIVERS_SHOWN]
    if not found:
        return ""
    # In the middle of a sentence a capital is right where it is a name's, which a second capital word or a figure tells from afar.
    rest = [title if title.isupper() else title[:1].lower() + title[1:] for title in found[1:]]
    verb = "moves" if len(found) == 1 else "move"
    return f"{joined([found[0], *rest])} {verb} the scores of all customers alike: that decides how high scores are, not who comes first."


def not_chosen(report: Report) -> int:
    """How many were scored, could have been contacted, and were not chosen."""
    left = report.left_out.customers if report.left_out is not None else 0
    return report.decided.predictions - report.decided.contacts - left


def at_export(left: LeftOut) -> str:
    """Why call sheets held fewer than were to be contacted."""
    return joined([f"{one.says} ({count(one.customers)})" for one in left.at_export])


def longest(segment: Segment, report: Report) -> float:
    """The share that the longest bar of a segment's groups stands for."""
    whole = report.decided.contacts / report.decided.predictions
    return max([whole, *(group.contact_rate for group in segment.groups)]) or 1.0


def looked_at(found: Drivers) -> str:
    """Which customers the drivers were found with."""
    if found.sample == found.predictions:
        return f"What model {found.model} looks at, over all {count(found.predictions)} customers that it scored."
    return (
        f"What model {found.model} looks at, over a sample of {count(found.sample)} of the {count(found.predictions)} customers that it "
        "scored, drawn by lot."
    )


def economics(report: Report) -> str:
    """What a contact costs and brings."""
    scope, own = report.scope, report.decided.own_money
    text = (
        f"A contact costs {money(scope.contact_cost, scope.currency)}, a conversion is worth "
        f"{money(scope.conversion_value, scope.currency)}: a contact pays from a score of {share(scope.break_even)}."
    )
    return text if not own else f"{text} {customers(own)} came with a value or a cost of their own, which counts instead."
