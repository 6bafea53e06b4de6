"""Synthetic customers of a campaign, drawn by its recipe: the real file's columns, a known signal, the same rows for the same seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Categorical, Dates, Feature, Numeric
from propensity.errors import CampaignError, DataError
from propensity.months import MONTH_NAMES, month_number
from propensity.raw import RawData
from propensity.recipe import Choice, Constant, Draw, Given, LogNormal, Mixture, MonthOf, Normal, Path, Poisson, Recipe, Slope, Uniform

Column = npt.NDArray[np.float64] | npt.NDArray[np.object_]
Probabilities = npt.NDArray[np.float64]
DECIMALS = 6


def generate(campaign: Campaign, rows: int | None = None, seed: int = 0) -> RawData:
    """Draw a data set with typed values, its rows in order of month.

    Parameters
    ----------
    rows : int or None
        How many; None takes the recipe's number.
    seed : int
        Same seed, same rows. Each column has a stream of its own, so that a column added to the recipe leaves the others as they are.

    Raises
    ------
    DataError
        The campaign has no recipe, or fewer than one row is asked for.
    """
    recipe = campaign.recipe
    if recipe is None:
        raise DataError(f"campaign {campaign.name!r} declares no recipe for synthetic customers: name another source")
    n = recipe.rows if rows is None else rows
    if n < 1 or seed < 0:
        raise DataError("synthetic customers need at least one row and a seed that is not negative")
    drawn = _draw_all(campaign, recipe, n, seed)
    columns: dict[str, Sequence[object]] = {**_id_column(campaign, n, seed), **_calendar_column(campaign, recipe, n)}
    columns |= {name: _plain(drawn[name], _feature(campaign, name)) for name in (*campaign.feature_names, *recipe.excluded_draws)}
    hit = _stream(seed, "label").random(n) < true_probability(campaign, columns)
    columns[campaign.label.column] = np.where(hit, campaign.label.positive, campaign.label.negative).tolist()
    name = f"{campaign.name}, {n} rows, seed {seed}"
    return RawData(
        columns, False, n, {"kind": "synthetic", "name": name, "recipe_sha256": hashlib.sha256(repr(recipe).encode()).hexdigest()}
    )


def true_probability(campaign: Campaign, columns: Mapping[str, Sequence[object]]) -> Probabilities:
    """The probability with which each row's label was drawn, shape (n,): no model can rank better.

    Raises DataError where the campaign has no recipe.
    """
    recipe = campaign.recipe
    if recipe is None:
        raise DataError(f"campaign {campaign.name!r} declares no recipe for synthetic customers")
    n = len(next(iter(columns.values())))
    log_odds = np.full(n, recipe.intercept)
    for effect in recipe.effects:
        cells = columns[effect.column]
        if isinstance(effect, Slope):
            log_odds += effect.per_unit * (np.array(cells, dtype=np.float64) - effect.around)
        else:
            log_odds += np.array([effect.by_value.get(cell, 0.0) for cell in cells])  # type: ignore[call-overload]
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), dtype=np.float64)


def _stream(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")])


def _steps(recipe: Recipe, n: int) -> npt.NDArray[np.int64]:
    """The month of each row, 0 to ``recipe.months`` - 1: in order and evenly spread."""
    return np.arange(n, dtype=np.int64) * recipe.months // n


def _month_numbers(recipe: Recipe, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.asarray((steps + int(recipe.first_month[5:]) - 1) % 12 + 1, dtype=np.int64)


def _feature(campaign: Campaign, name: str) -> Feature | None:
    return campaign.feature(name) if name in campaign.feature_names else None


@dataclass(frozen=True)
class _Context:
    """What a draw may depend on: the column it fills (None: an excluded one), the month of each row, the columns drawn before."""

    column: str
    feature: Feature | None
    recipe: Recipe
    steps: npt.NDArray[np.int64]
    before: Mapping[str, Column]


def _draw_all(campaign: Campaign, recipe: Recipe, n: int, seed: int) -> dict[str, Column]:
    done: dict[str, Column] = {}
    for name, draw in (*recipe.draws.items(), *recipe.excluded_draws.items()):
        feature = _feature(campaign, name)
        column = _draw(draw, _stream(seed, name), _Context(name, feature, recipe, _steps(recipe, n), done))
        done[name] = _fit(column, feature) if isinstance(feature, Numeric) else column
    return done


def _draw(draw: Draw, rng: np.random.Generator, context: _Context) -> Column:
    """One column, shape (n,): float64, or objects where a value may be a text."""
    n = len(context.steps)
    match draw:
        case Choice(weights):
            return np.array(list(weights), dtype=object)[_pick(list(weights.values()), rng, n)]
        case Mixture(parts):
            picked = _pick([weight for weight, _ in parts], rng, n)
            return _select([(picked == at, _draw(part, rng, context)) for at, (_, part) in enumerate(parts)], n)
        case Given():
            return _given(draw, rng, context)
        case Path(points, sd):
            return _path(points, context) + rng.normal(0.0, 1.0, n) * sd
        case MonthOf():
            return _month_of(context)
        case _:
            return _alone(draw, rng, context)


def _alone(draw: Normal | LogNormal | Uniform | Poisson | Constant, rng: np.random.Generator, context: _Context) -> Column:
    """A draw that looks neither at other columns nor at the month."""
    n = len(context.steps)
    match draw:
        case Normal(mean, sd):
            return rng.normal(mean, sd, n)
        case LogNormal(median, sigma):
            return median * np.exp(rng.normal(0.0, sigma, n))
        case Uniform(low, high):
            return _uniform(low, high, rng, context)
        case Poisson(mean, offset):
            return (rng.poisson(mean, n) + offset).astype(np.float64)
        case Constant(value):
            return np.full(n, value, dtype=object)


def _uniform(low: float, high: float, rng: np.random.Generator, context: _Context) -> Column:
    n = len(context.steps)
    if isinstance(context.feature, Numeric) and context.feature.integer:
        # Rounding a continuous draw would give the two ends half their share.
        return rng.integers(math.ceil(low), math.floor(high), n, endpoint=True).astype(np.float64)
    return rng.uniform(low, high, n)


def _pick(weights: Sequence[float], rng: np.random.Generator, n: int) -> npt.NDArray[np.int64]:
    shares = np.array(weights, dtype=np.float64)
    return rng.choice(len(shares), size=n, p=shares / shares.sum())


def _select(cases: Sequence[tuple[npt.NDArray[np.bool_], Column]], n: int) -> Column:
    out = np.empty(n, dtype=object)
    for where, values in cases:
        out[where] = values[where]
    return out


def _given(draw: Given, rng: np.random.Generator, context: _Context) -> Column:
    if draw.column not in context.before:
        raise CampaignError(f"the recipe draws column {context.column!r} given {draw.column!r}, which is not drawn before it")
    n, deciding = len(context.steps), context.before[draw.column]
    # The first case stands for all rows; those named by a value then replace it.
    cases = [(np.ones(n, dtype=bool), _draw(draw.otherwise, rng, context))]
    cases += [(np.asarray(deciding == value, dtype=bool), _draw(case, rng, context)) for value, case in draw.cases.items()]
    return _select(cases, n)


def _path(points: Sequence[float], context: _Context) -> npt.NDArray[np.float64]:
    share = context.steps / max(context.recipe.months - 1, 1)
    return np.asarray(np.interp(share * (len(points) - 1), np.arange(len(points)), points), dtype=np.float64)


def _month_of(context: _Context) -> Column:
    numbers = _month_numbers(context.recipe, context.steps)
    if isinstance(context.feature, Numeric):
        return numbers.astype(np.float64)
    values = context.feature.values if isinstance(context.feature, Categorical) else tuple(name[:3] for name in MONTH_NAMES)
    named = {number: value for value in values if (number := month_number(value)) is not None}
    if missing := sorted(set(numbers.tolist()) - set(named)):
        raise CampaignError(
            f"column {context.column!r} declares no value for {MONTH_NAMES[missing[0] - 1].capitalize()}, which the recipe draws"
        )
    return np.array([named[number] for number in numbers.tolist()], dtype=object)


def _fit(column: Column, feature: Numeric) -> Column:
    numbers = np.asarray(column, dtype=np.float64)
    fitted: Column = np.clip(np.rint(numbers) if feature.integer else np.round(numbers, DECIMALS), feature.low, feature.high)
    return fitted


def _plain(column: Column, feature: Feature | None) -> list[object]:
    """The column as Python values: whole numbers as int, other numbers as float, categories as declared."""
    if isinstance(feature, Numeric) and feature.integer:
        return [int(number) for number in column.tolist()]
    if feature is None:
        return [round(value, DECIMALS) if isinstance(value, float) else value for value in column.tolist()]
    return list(column.tolist())


def _id_column(campaign: Campaign, n: int, seed: int) -> dict[str, Sequence[object]]:
    return {campaign.id_column: [f"synthetic-{seed}-{row}" for row in range(1, n + 1)]} if campaign.id_column else {}


def _calendar_column(campaign: Campaign, recipe: Recipe, n: int) -> dict[str, Sequence[object]]:
    """The calendar's column where it is not a feature, which the recipe would draw."""
    calendar = campaign.calendar
    if calendar is None or calendar.column in campaign.feature_names:
        return {}
    steps = _steps(recipe, n)
    if not isinstance(calendar, Dates):
        return {calendar.column: [MONTH_NAMES[number - 1][:3] for number in _month_numbers(recipe, steps).tolist()]}
    first, size = np.searchsorted(steps, steps), np.bincount(steps)[steps]
    # Twenty-eight days, so that every month has them.
    days = (np.arange(n) - first) * 28 // size
    dates = (np.datetime64(recipe.first_month, "M") + steps).astype("datetime64[D]") + days
    return {calendar.column: [str(day) for day in dates]}
