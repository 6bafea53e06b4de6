"""Makes a campaign report from the prediction log, the outcomes and the model packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from propensity.campaign import Campaign
from propensity.errors import DataError, ModelDamaged, NoLiveModel, NotFound
from propensity.model import Manifest, categories_of, load_package, package_key
from propensity.ports import LabelledRequest, ObjectStore, OutcomeStore, PredictionLog
from propensity.report import sums as s
from propensity.report.cells import segment
from propensity.report.collect import Collected, side_by_side
from propensity.report.curves import curves, deciles, reliability
from propensity.report.drivers import drivers
from propensity.report.left_alone import Holdout, LeftOut
from propensity.report.money import cents
from propensity.report.tree import Decided, Drivers, Known, Report, Scope

EVER = datetime(2000, 1, 1, tzinfo=UTC)
# What is younger may still be committing, and would be missing.
SETTLE = timedelta(seconds=5)
SHORT = 12


@dataclass(frozen=True, kw_only=True)
class Found:
    """What others measured, for a report to tell: see `propensity.report.tree.Report`."""

    left_out: LeftOut | None = None
    holdout: Holdout | None = None


# Asked with the window of the report.
Finder = Callable[[datetime, datetime], Found]


def build(
    campaign: Campaign,
    *,
    log: PredictionLog,
    outcomes: OutcomeStore,
    store: ObjectStore,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
    find: Finder | None = None,
) -> Report:
    """The report of the predictions received in [since, until); by default of all until a few seconds ago. One pass, in bounded memory.

    ``find``: what others measured of the same window; without it the report says that nothing is declared.

    Raises
    ------
    DataError
        The window is empty, or its times have no zone.
    StoreError
        A store did not answer.
    """
    since, until = since or EVER, until or now - SETTLE
    if since.tzinfo is None or until.tzinfo is None:
        raise DataError("a window needs times with a zone, as in 2026-01-31T22:00:00+00:00")
    if since >= until:
        raise DataError("a window must begin before it ends")
    edge = min(max(campaign.label.rules.mature_until(now), since), until)
    collected = Collected(campaign, edge, _readable(campaign, store))
    collected.add(side_by_side(log.window(campaign.name, since, until), _labelled(campaign, outcomes, since, edge, until)))
    began = since if since != EVER else collected.first_at or until
    return _report(campaign, collected, store, _scope(campaign, began, until, now, edge), Found() if find is None else find(since, until))


def _labelled(campaign: Campaign, outcomes: OutcomeStore, since: datetime, edge: datetime, until: datetime) -> Iterator[LabelledRequest]:
    """What is known of outcomes: of mature predictions with absence read as declared, of the others what was told."""
    if since < edge:
        yield from outcomes.requests(campaign.name, since, edge, rules=campaign.label.rules)
    if edge < until:
        yield from outcomes.requests(campaign.name, edge, until)


def _readable(campaign: Campaign, store: ObjectStore) -> Callable[[str], bool]:
    """Says of a model whether what it scored has the features that the campaign declares today."""

    def readable(digest: str) -> bool:
        try:
            manifest = Manifest.from_bytes(store.get(package_key(campaign.name, digest, "manifest.json")))
        except (NotFound, ModelDamaged):
            return False
        return manifest.features == campaign.feature_names and manifest.categories == categories_of(campaign)

    return readable


def _report(campaign: Campaign, held: Collected, store: ObjectStore, scope: Scope, found: Found) -> Report:
    predicted, known = held.scores.count(s.ROWS), held.scores.count(s.KNOWN)
    return Report(
        scope=scope,
        decided=_decided(held),
        known=_known(held),
        deciles=deciles(held.scores),
        curves=curves(held.scores) if predicted else None,
        reliability=reliability(held.scores) if known else None,
        policies=held.policies.told(),
        models=held.models.told(),
        segments=tuple(segment(campaign, cells) for cells in held.cells) if predicted else (),
        drivers=_drivers(campaign, held, store),
        left_out=found.left_out,
        holdout=found.holdout,
    )


def _scope(campaign: Campaign, since: datetime, until: datetime, now: datetime, edge: datetime) -> Scope:
    label, economics = campaign.label, campaign.economics
    return Scope(
        campaign=campaign.name,
        title=campaign.title,
        question=campaign.question,
        meaning=label.meaning or f"{label.column} = {label.positive}",
        since=since,
        until=until,
        made_at=now,
        mature_until=edge,
        window_days=label.window_days,
        absent_means=label.absent_means,
        contact_cost=economics.contact_cost,
        conversion_value=economics.conversion_value,
        currency=economics.currency,
    )


def _decided(held: Collected) -> Decided:
    return Decided(
        requests=held.requests,
        lists=held.lists,
        received=held.received,
        refused=held.refused,
        predictions=held.scores.count(s.ROWS),
        contacts=held.scores.count(s.CONTACTS),
        expected_conversions=held.scores.total(s.CONTACT_SCORES),
        expected_profit=cents(held.scores.total(s.CONTACT_PROFIT)),
        own_money=held.own_money,
    )


def _known(held: Collected) -> Known:
    count, total = held.scores.count, held.scores.total
    predicted, known, contacts, yes = count(s.ROWS), count(s.KNOWN), count(s.KNOWN_CONTACTS), count(s.CONTACT_YES)
    return Known(
        mature=held.mature,
        mature_contacts=held.mature_contacts,
        known=known,
        told=held.told,
        known_contacts=contacts,
        young=predicted - held.mature,
        young_told=held.young_told,
        conversions=count(s.YES),
        contact_conversions=yes,
        expected_conversions=total(s.KNOWN_CONTACT_SCORES),
        expected_profit=cents(total(s.KNOWN_CONTACT_PROFIT)) if contacts else None,
        profit=cents(total(s.CONTACT_REAL)) if contacts else None,
        contacts_only=0 < known == contacts and held.mature_contacts < held.mature,
    )


def _drivers(campaign: Campaign, held: Collected, store: ObjectStore) -> Drivers:
    """By the model that scored most; where its package cannot be used, the sentence that says why."""
    told = held.models.told()
    if not told or not told[0].predictions:
        return Drivers(model="", sample=0, predictions=0, drivers=(), problem="Nothing was predicted.")
    digest, rows = told[0].name, held.samples.get(told[0].name)
    by_model = Drivers(model=digest[:SHORT], sample=0, predictions=told[0].predictions, drivers=())
    if rows is None:
        return replace(by_model, problem="The model that scored most knows other features than the campaign declares today.")
    try:
        model = load_package(store, campaign, digest)
    except (NoLiveModel, ModelDamaged) as exc:
        return replace(by_model, problem=f"{str(exc)[0].upper()}{str(exc)[1:]}.")
    return replace(by_model, sample=len(rows.rows), drivers=drivers(model, rows.rows))
