"""A board of panels as Grafana's dashboard, in the classic JSON that file provisioning takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import barchart, common, dashboard, gauge, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from propensity.campaign import Campaign
from propensity.panels.definition import SERIES, VERDICTS, Board, Bounds, Kind, Panel, Unit
from propensity.panels.sql import INTERVALS

SOURCE_TYPE, SOURCE_UID = "grafana-postgresql-datasource", "propensity"
COLUMNS = 24
HEIGHTS: Mapping[Kind, int] = {Kind.STAT: 5, Kind.GAUGE: 5, Kind.TABLE: 9, Kind.RANKED: 9, Kind.LINES: 8, Kind.BARS: 8}
# Money has no currency of its own here: it stands with the campaign's name.
UNITS: Mapping[Unit, str] = {
    Unit.COUNT: "locale",
    Unit.NUMBER: "none",
    Unit.SHARE: "percentunit",
    Unit.SECONDS: "s",
    Unit.HOURS: "h",
    Unit.DAYS: "d",
    Unit.BYTES: "bytes",
    Unit.MONEY: "locale",
    Unit.TEXT: "string",
    Unit.VERDICT: "string",
    Unit.TIME: "dateTimeAsIso",
}
COLOURS: Mapping[str, str] = {"good": "green", "warn": "orange", "alert": "red", "idle": "text"}


@dataclass(frozen=True)
class Query(Dataquery):
    """A statement for Grafana's Postgres data source: the SDK has no class of its own for it."""

    sql: str
    form: str

    def to_json(self) -> dict[str, object]:
        """As the data source stores it."""
        source = {"type": SOURCE_TYPE, "uid": SOURCE_UID}
        return {
            "refId": "A",
            "datasource": source,
            "format": self.form,
            "rawQuery": True,
            "editorMode": "code",
            "rawSql": self.sql.strip(),
        }


@dataclass(frozen=True)
class _Target(Builder[Dataquery]):
    query: Query

    def build(self) -> Dataquery:
        return self.query


def dashboard_of(board: Board, campaigns: Mapping[str, Campaign]) -> models.Dashboard:
    """The dashboard: its panels side by side as their widths allow, the variables and links that every board has."""
    made = (
        dashboard.Dashboard(f"Propensity: {board.title}")
        .uid(f"propensity-{board.key}")
        .description(board.says)
        .tags(["propensity"])
        .timezone("utc")
        .readonly()
        .refresh("1m")
        .version(1)
        # Whole days: outcomes belong to the day of their prediction.
        .time("now-30d/d", "now")
        .with_variable(_campaign_variable(campaigns))
        .with_variable(_interval_variable())
        .link(
            dashboard.DashboardLink("Boards")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["propensity"])
            .keep_time(True)
            .include_vars(True)
        )
    )
    for number, (panel, place) in enumerate(zip(board.panels, places(board.panels), strict=True), 1):
        made.with_panel(_panel(panel).id(number).grid_pos(place))
    return made.build()


def places(panels: Sequence[Panel]) -> list[models.GridPos]:
    """Where each panel lies: from left to right, in rows as high as their highest panel."""
    found: list[models.GridPos] = []
    x = y = height = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, height = 0, y + height, 0
        found.append(models.GridPos(h=HEIGHTS[panel.kind], w=panel.width, x=x, y=y))
        x, height = x + panel.width, max(height, HEIGHTS[panel.kind])
    return found


def _campaign_variable(campaigns: Mapping[str, Campaign]) -> dashboard.CustomVariable:
    everything = models.VariableOption(selected=True, text=["All"], value=["$__all"])
    chosen = dashboard.CustomVariable("campaign").label("Campaign").values(",".join(campaigns))
    return chosen.multi(True).include_all(True).current(everything).allow_custom_value(False)


def _interval_variable() -> dashboard.CustomVariable:
    default = models.VariableOption(selected=True, text="1d", value="1d")
    return dashboard.CustomVariable("interval").label("Interval").values(",".join(INTERVALS)).current(default).allow_custom_value(False)


def _panel(panel: Panel) -> Any:
    drawn: Any = _DRAW[panel.kind](panel)
    query = Query(panel.sql, "time_series" if panel.kind in SERIES else "table")
    source = common_models.DataSourceRef(SOURCE_TYPE, SOURCE_UID)
    return (
        drawn.title(panel.title)
        .description(panel.says)
        .datasource(source)
        .with_target(_Target(query))
        .unit(UNITS[panel.unit])
        .no_value("no data")
    )


def _lines(panel: Panel) -> timeseries.Panel:
    drawn = timeseries.Panel().line_width(2).fill_opacity(0).show_points(common_models.VisibilityMode.AUTO)
    if panel.unit in (Unit.COUNT, Unit.SHARE, Unit.SECONDS, Unit.BYTES):
        drawn.axis_soft_min(0)
    if panel.bounds is not None:
        dashed = common.GraphThresholdsStyleConfig().mode(common_models.GraphThresholdsStyleMode.DASHED)
        drawn.thresholds(_thresholds(panel.bounds)).thresholds_style(dashed)
    return drawn


def _bars(_panel: Panel) -> timeseries.Panel:
    stacked = common.StackingConfig().mode(common_models.StackingMode.NORMAL)
    return (
        timeseries.Panel().draw_style(common_models.GraphDrawStyle.BARS).fill_opacity(80).line_width(0).stacking(stacked).axis_soft_min(0)
    )


def _every_row() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().values(True).calcs(["lastNotNull"]).fields("/^value$/")


def _stat(panel: Panel) -> stat.Panel:
    drawn = stat.Panel().reduce_options(_every_row()).display_name("${__data.fields.metric}")
    drawn.graph_mode(common_models.BigValueGraphMode.NONE).text_mode(common_models.BigValueTextMode.VALUE_AND_NAME)
    if panel.bounds is None:
        return drawn.color_mode(common_models.BigValueColorMode.NONE)
    return drawn.thresholds(_thresholds(panel.bounds)).color_mode(common_models.BigValueColorMode.VALUE)


def _gauge(panel: Panel) -> gauge.Panel:
    drawn = gauge.Panel().reduce_options(_every_row()).display_name("${__data.fields.metric}").min(0).max(1)
    return drawn if panel.bounds is None else drawn.thresholds(_thresholds(panel.bounds))


def _ranked(_panel: Panel) -> barchart.Panel:
    flat = common.VizLegendOptions().show_legend(False).display_mode(common_models.LegendDisplayMode.HIDDEN)
    flat = flat.placement(common_models.LegendPlacement.BOTTOM).calcs([])
    return barchart.Panel().orientation(common_models.VizOrientation.HORIZONTAL).x_field("metric").legend(flat).fill_opacity(80)


def _table(panel: Panel) -> table.Panel:
    drawn = table.Panel()
    for column in panel.columns:
        properties = [models.DynamicConfigValue("displayName", column.title), models.DynamicConfigValue("unit", UNITS[column.unit])]
        if column.unit is Unit.VERDICT:
            properties += [models.DynamicConfigValue("mappings", [_verdicts()])]
            properties += [models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"})]
        drawn.override_by_name(column.name, properties)
    return drawn


def _verdicts() -> models.ValueMap:
    named = enumerate(VERDICTS.items())
    return models.ValueMap(
        {name: models.ValueMappingResult(text=text, color=COLOURS[level], index=at) for at, (name, (text, level)) in named}
    )


def _thresholds(bounds: Bounds) -> dashboard.ThresholdsConfig:
    """Grafana colours from a value upwards, so that bounds below what is good are told the other way round."""
    base, *steps = (
        (("red", None), ("orange", bounds.alert), ("green", bounds.warn))
        if bounds.low_is_bad
        else (("green", None), ("orange", bounds.warn), ("red", bounds.alert))
    )
    told = [models.Threshold(value=None, color=base[0]), *(models.Threshold(value=value, color=color) for color, value in steps)]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(told)


_DRAW: Mapping[Kind, Any] = {
    Kind.LINES: _lines,
    Kind.BARS: _bars,
    Kind.STAT: _stat,
    Kind.GAUGE: _gauge,
    Kind.RANKED: _ranked,
    Kind.TABLE: _table,
}
