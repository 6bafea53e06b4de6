"""Purchase propensity: will this visit end in a purchase? (UCI Online Shoppers Purchasing Intention.)"""

from decimal import Decimal

from propensity.campaign import Campaign, Categorical, Economics, Gate, Label, LeakGuard, MonthsOfYear, Numeric, Source
from propensity.recipe import Choice, Constant, Given, Lift, LogNormal, Mixture, MonthOf, Poisson, Recipe, Slope, Uniform
from propensity.watch import Watch

CAMPAIGN = Campaign(
    name="purchase-propensity",
    title="Purchase propensity",
    question="Will this visit end in a purchase if we make an offer?",
    label=Label("Revenue", positive="TRUE", negative="FALSE", window_days=1, meaning="the visit ended in a purchase"),
    # The file says the month but not the year; all rows belong to one year, taken to be 2017.
    calendar=MonthsOfYear("Month", year=2017),
    source=Source(
        file="online_shoppers_intention.csv",
        sha256="b3055ee355f59134d851d32641183cb4a8b45def7124d2f50442a042f358e0d9",
        url="https://archive.ics.uci.edu/static/public/468/online+shoppers+purchasing+intention+dataset.zip",
        members=("online_shoppers_intention.csv",),
        kaggle="imakash3011/online-shoppers-purchasing-intention-dataset/online_shoppers_intention.csv",
        licence="CC BY 4.0",
        citation="Sakar, Polat, Katircioglu, Kastro: Real-time prediction of online shoppers' purchasing intention using multilayer "
        "perceptron and LSTM recurrent neural networks. Neural Computing and Applications 31, 2019. DOI 10.24432/C5F88Q",
    ),
    features=(
        Numeric("Administrative", low=0, high=200, unit="pages", integer=True),
        Numeric("Administrative_Duration", low=0, high=100_000, unit="seconds"),
        Numeric("Informational", low=0, high=200, unit="pages", integer=True),
        Numeric("Informational_Duration", low=0, high=100_000, unit="seconds"),
        Numeric("ProductRelated", low=0, high=5_000, unit="pages", integer=True),
        Numeric("ProductRelated_Duration", low=0, high=200_000, unit="seconds"),
        Numeric("BounceRates", low=0, high=1, unit="share"),
        Numeric("ExitRates", low=0, high=1, unit="share"),
        Numeric("SpecialDay", low=0, high=1, description="closeness to a special day, 0 to 1"),
        Categorical("Month", ("Jan", "Feb", "Mar", "Apr", "May", "June", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")),
        Categorical("OperatingSystems", tuple(range(1, 9))),
        Categorical("Browser", tuple(range(1, 14))),
        Categorical("Region", tuple(range(1, 10))),
        Categorical("TrafficType", tuple(range(1, 21))),
        Categorical("VisitorType", ("New_Visitor", "Other", "Returning_Visitor")),
        Categorical("Weekend", ("FALSE", "TRUE")),
    ),
    excluded=(
        ("PageValues", "computed from the value of the pages seen before a purchase: known only once the visit is over, nearly the label"),
    ),
    economics=Economics(contact_cost=Decimal("2"), conversion_value=Decimal("10"), currency="EUR"),
    gates=(Gate("roc_auc", at_least=0.6), Gate("profit_per_1000", versus_champion=0.0)),
    leak_guard=LeakGuard(roc_auc_above=0.86),
    watch=Watch(context=("Month", "SpecialDay", "Weekend"), segments=("VisitorType", "TrafficType")),
    recipe=Recipe(
        first_month="2017-02",
        months=11,
        rows=12_000,
        intercept=-2.4,
        draws={
            "VisitorType": Choice({"Returning_Visitor": 85, "New_Visitor": 14, "Other": 1}),
            "Administrative": Poisson(2.3),
            "Administrative_Duration": Mixture(((0.48, Constant(0)), (0.52, LogNormal(90, 1.1)))),
            "Informational": Poisson(0.5),
            "Informational_Duration": Mixture(((0.8, Constant(0)), (0.2, LogNormal(80, 1.3)))),
            "ProductRelated": Given("VisitorType", {"New_Visitor": LogNormal(12, 0.8)}, otherwise=LogNormal(20, 1.0)),
            "ProductRelated_Duration": LogNormal(600, 1.2),
            "BounceRates": Mixture(((0.45, Constant(0)), (0.48, Uniform(0, 0.04)), (0.07, Constant(0.2)))),
            "ExitRates": Mixture(((0.94, LogNormal(0.026, 0.7)), (0.06, Constant(0.2)))),
            "SpecialDay": Mixture(((0.9, Constant(0)), (0.1, Uniform(0.2, 1)))),
            "Month": MonthOf(),
            "OperatingSystems": Choice({1: 21, 2: 54, 3: 21, 4: 4}),
            "Browser": Choice({1: 20, 2: 65, 4: 6, 5: 4, 6: 2, 10: 2, 13: 1}),
            "Region": Choice({1: 39, 2: 9, 3: 19, 4: 10, 5: 3, 6: 7, 7: 6, 8: 4, 9: 4}),
            "TrafficType": Choice({1: 20, 2: 32, 3: 17, 4: 9, 6: 4, 8: 3, 10: 4, 13: 6, 20: 2}),
            "Weekend": Choice({"FALSE": 77, "TRUE": 23}),
        },
        effects=(
            Slope("ExitRates", per_unit=-20.0, around=0.04),
            Slope("ProductRelated", per_unit=0.008, around=30.0),
            Lift("VisitorType", {"New_Visitor": 0.7}),
            Lift("Month", {"Nov": 0.8, "Feb": -1.5, "May": -0.3}),
            Lift("TrafficType", {2: 0.4, 13: -0.8}),
        ),
    ),
)
