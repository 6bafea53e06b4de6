from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from propensity.campaign import Campaign, Categorical, Numeric
from propensity.campaigns import all_campaigns, campaign
from propensity.errors import CampaignError, NotFound
from propensity.explain import describe
from propensity.months import recover_months
from propensity.schema import allowed, check_rows
from propensity.synthetic import generate

HERE = list(all_campaigns())
THIRD_PARTY = """
from decimal import Decimal

from propensity.campaign import Campaign, Categorical, Dates, Economics, Label, Numeric

CAMPAIGN = Campaign(
    name="{name}",
    title="Credit card",
    question="Will this customer accept a credit card?",
    label=Label("accepted", positive="yes", negative="no"),
    calendar=Dates("offered_on"),
    features=(Numeric("age", low=18, high=110, integer=True), Categorical("region", ("north", "south"))),
    economics=Economics(contact_cost=Decimal("3"), conversion_value=Decimal("60"), currency="EUR"),
)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Python would keep a compiled copy beside the file.
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.setenv("PROPENSITY_CAMPAIGNS_DIR", str(tmp_path))
    return tmp_path


def test_the_two_campaigns_of_the_package_are_found() -> None:
    assert {"term-deposit", "purchase-propensity"} <= set(HERE)
    assert sorted(HERE) == HERE


@pytest.mark.parametrize("name", HERE)
class TestContract:
    """What holds for every campaign, also one added tomorrow."""

    def test_its_name_is_its_key(self, name: str) -> None:
        assert campaign(name).name == name

    def test_it_says_what_it_is_in_words(self, name: str) -> None:
        declared = campaign(name)
        assert declared.title.strip()
        assert declared.question.strip().endswith("?")
        assert declared.label.meaning.strip()

    def test_its_digest_is_stable(self, name: str) -> None:
        assert campaign(name).digest() == dataclasses.replace(campaign(name)).digest()

    @pytest.mark.parametrize(
        "change",
        [{"title": "x"}, {"test_share": 0.5}, {"gates": ()}, {"features": None}, {"recipe": None}, {"excluded": ()}],
        ids=str,
    )
    def test_its_digest_changes_with_the_declaration(self, name: str, change: dict[str, object]) -> None:
        declared = campaign(name)
        if change == {"features": None}:
            change = {"features": declared.features[::-1]}
        if change == {"excluded": ()}:
            change = {"excluded": (), "recipe": None}
        changed: Campaign = dataclasses.replace(declared, **change)  # type: ignore[arg-type]
        assert changed.digest() != declared.digest()

    def test_every_feature_is_described(self, name: str) -> None:
        for feature in campaign(name).features:
            assert describe(feature).strip()
            assert allowed(feature).startswith("must be")
            assert feature.description or isinstance(feature, Categorical) or feature.unit or feature.integer

    def test_a_leak_is_guarded_where_a_column_leaks(self, name: str) -> None:
        declared = campaign(name)
        assert declared.leak_guard is not None or not declared.excluded

    def test_its_public_data_can_be_verified(self, name: str) -> None:
        source = campaign(name).source
        assert source is not None
        assert len(source.sha256) == 64
        assert source.licence
        assert source.citation

    def test_its_recipe_draws_every_column_and_every_row_fits(self, name: str) -> None:
        declared = campaign(name)
        raw = generate(declared, rows=400, seed=7)
        assert set(declared.feature_names) <= set(raw.columns)
        checked = check_rows(declared, raw.columns, None, raw.n, text=raw.text)
        assert checked.issues == ()
        assert len(checked.table) == 400
        assert set(map(str, raw.columns[declared.label.column])) <= {declared.label.positive, declared.label.negative}

    def test_the_recipe_s_rows_have_months_of_its_span(self, name: str) -> None:
        declared = campaign(name)
        assert declared.recipe is not None
        assert declared.calendar is not None
        raw = generate(declared, rows=400, seed=7)
        months = recover_months(declared.calendar, raw.columns[declared.calendar.column])
        assert months is not None
        assert months.issues == ()
        assert str(months.values.min()) == declared.recipe.first_month
        assert len(set(months.values.tolist())) == declared.recipe.months

    def test_the_ends_of_every_range_are_allowed(self, name: str) -> None:
        declared = campaign(name)
        ends = {f.name: [f.low, f.high] if isinstance(f, Numeric) else [f.values[0], f.values[-1]] for f in declared.features}
        assert check_rows(declared, ends, None, 2, text=False).issues == ()


def test_the_leaking_columns_are_excluded_with_reasons() -> None:
    assert "call" in campaign("term-deposit").excluded_reasons["duration"]
    assert campaign("purchase-propensity").excluded_reasons["PageValues"]


@pytest.mark.parametrize("name", ["", "term_deposit", "TERM-DEPOSIT", "../x", "nope"])
def test_an_unknown_campaign_is_not_found_and_the_known_ones_are_named(name: str) -> None:
    with pytest.raises(NotFound) as refusal:
        campaign(name)
    assert "term-deposit" in str(refusal.value)


def test_a_third_party_s_file_joins(folder: Path) -> None:
    (folder / "credit_card.py").write_text(THIRD_PARTY.format(name="credit-card"))
    assert set(all_campaigns()) == {*HERE, "credit-card"}
    assert campaign("credit-card").feature_names == ("age", "region")


def test_a_name_used_twice_is_refused_and_the_newcomer_is_named(folder: Path) -> None:
    (folder / "aaa.py").write_text(THIRD_PARTY.format(name="term-deposit"))
    with pytest.raises(CampaignError) as refusal:
        all_campaigns()
    assert "aaa.py" in str(refusal.value)
    assert "term-deposit" in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        "CAMPAIGN = 1",
        "x = 1",
        "",
        "CAMPAIGN = Campaign(",
        "CAMPAIGN = Campaign()",
        "import no_such_module_anywhere",
        "from propensity.campaign import Campaign\nCAMPAIGN = Campaign(name='x')",
        "from propensity.campaign import NoSuchThing",
        "1 / 0",
        THIRD_PARTY.format(name="Not A Name"),
    ],
)
def test_an_unsound_file_is_refused_and_named(folder: Path, text: str) -> None:
    (folder / "broken_one.py").write_text(text)
    with pytest.raises(CampaignError) as refusal:
        all_campaigns()
    assert "broken_one.py" in str(refusal.value) or "Not A Name" in str(refusal.value)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROPENSITY_CAMPAIGNS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(CampaignError, match="PROPENSITY_CAMPAIGNS_DIR"):
        all_campaigns()
