"""Every operation: who may call it, what it takes, what it answers."""

from __future__ import annotations

from collections.abc import Mapping

from api.openapi import examples, gate
from api.openapi.lists import list_paths
from api.openapi.operating import operating_paths
from api.openapi.operation import operation
from api.openapi.pages import html, page_paths
from api.openapi.parts import CSV, JSON, NDJSON, SCHEMA, TEXT, TEXT_TYPE, Json, ref, said
from api.openapi.promotions import decision_body, page_parameters
from api.openapi.requests import REPLY_FORMATS, model_parameter, outcomes_body, prediction_parameters, predictions_body
from api.openapi.responses import done
from api.openapi.schemas import PREDICTION_ID
from propensity.campaign import Campaign

TAGS = {
    "Scoring": "Post customers, get back whom to contact; report later what happened.",
    "Campaigns": "What can be posted, what it is worth, which model answers.",
    "Promotions": "Who or what put which model live, and what an operator decides about it.",
    "Records": "What was asked and answered, and why.",
    "Contact": "Whom nobody may contact, whom to forget, and what contacting brought.",
    "Operation": "Health, metrics and this description.",
    "Pages": "For people in a browser, who sign in with their key; refusals are pages there.",
}
CONTRADICTIONS = {
    "first": "the first that came counts",
    "last": "the one that was observed last counts",
    "positive": "the positive one counts",
}
NDJSON_TOLD = (
    'One prediction a line, then `{"error": ...}` for each thing that was wrong, last `{"summary": ...}` with the rest of the reply.'
)
CSV_TOLD = "A header, one prediction a line, then a line for each refused row with its number under `row` and what was wrong under `error`."
TABLE_TOLD = "One prediction a row; the rest of the reply, refused rows included, is JSON in the metadata's entry `propensity`."
MODEL_TOLD = "Its manifest and the importance of its features: of the live one, or of the one that `model` names."


def paths(campaigns: Mapping[str, Campaign]) -> Json:
    """Every path of the service. What is posted has a path per campaign, since each has rows of its own."""
    found: Json = {}
    for name, campaign in campaigns.items():
        found[f"/v1/campaigns/{name}/predictions"] = {"post": _post_predictions(name, campaign)}
        found[f"/v1/campaigns/{name}/outcomes"] = {"post": _post_outcomes(name, campaign), "get": _get_outcomes(name, campaign)}
    names = list(campaigns)
    by_kind = (
        _campaign_paths(names),
        _promotion_paths(names),
        list_paths(names),
        _record_paths(),
        gate.paths(operation, names),
        operating_paths(),
    )
    rest = (gate.paths(operation, names), _operation_paths(), page_paths(campaigns))
    return {**found, **{path: told for part in (*by_kind, *rest) for path, told in part.items()}}


def _post_predictions(name: str, campaign: Campaign) -> Json:
    replies: Json = {
        JSON: {
            "schema": {"anyOf": [ref("ScoredList"), ref("ScoredColumns")]},
            "examples": {
                "list": {"summary": "To rows", "value": examples.scored_list(campaign)},
                "columns": {"summary": "To columns", "value": examples.scored_columns(campaign)},
            },
        },
        NDJSON: {"schema": said(NDJSON_TOLD, TEXT)},
        CSV: {"schema": said(CSV_TOLD, TEXT)},
        **{kind: {"schema": said(TABLE_TOLD, {"contentMediaType": kind})} for kind in REPLY_FORMATS[3:]},
    }
    return operation(
        ("POST", "/v1/campaigns/{campaign}/predictions"),
        f"predict-{name}",
        "Scoring",
        f"Score customers: {campaign.title}",
        f"{campaign.question} Rows that cannot be used are named under `errors`; the others are scored. Two rows of one customer get a "
        "prediction each. What was answered is in the log: a reply is committed before it is sent. The `Accept` header chooses the format.",
        {"200": done("Scored and logged", replies, "Idempotent-Replay")},
        (400, 404, 406, 409, 410, 413, 415, 422, 503),
        parameters=prediction_parameters(),
        requestBody=predictions_body(name, campaign),
    )


def _post_outcomes(name: str, campaign: Campaign) -> Json:
    label = campaign.label
    reply = {JSON: {"schema": ref("OutcomeCounts"), "example": examples.outcome_counts(campaign)}}
    return operation(
        ("POST", "/v1/campaigns/{campaign}/outcomes"),
        f"outcomes-{name}",
        "Scoring",
        f"Report outcomes: {campaign.title}",
        f"What happened later: {label.meaning or label.column}. An outcome counts within {label.window_days} days after its prediction; of "
        f"two that say otherwise {CONTRADICTIONS[label.contradictions]}. Both are kept.",
        {"200": done("Recorded, and counted by what became of them", reply)},
        (400, 404, 413, 415, 422, 503),
        parameters=[{"$ref": "#/components/parameters/ContentEncoding"}],
        requestBody=outcomes_body(campaign),
    )


def _get_outcomes(name: str, campaign: Campaign) -> Json:
    days = (
        ("since", "the first day, UTC; 90 days with the last one where none is named"),
        ("until", "the last day, UTC; today where none is named"),
    )
    return operation(
        ("GET", "/v1/campaigns/{campaign}/outcomes"),
        f"outcome-summary-{name}",
        "Scoring",
        f"What is known: {campaign.title}",
        "Outcomes by what became of them, per day of arrival and per cohort, the predictions of one day; and how much of what was "
        "predicted is known in mature cohorts, those whose label window is over.",
        {"200": done("Counts", {JSON: {"schema": ref("OutcomeSummary")}})},
        (400, 404, 503),
        parameters=[
            {"name": day, "in": "query", "required": False, "description": told, "schema": {"type": "string", "format": "date"}}
            for day, told in days
        ],
    )


def _promotion_paths(names: list[str]) -> Json:
    posts = (
        (
            "promotion",
            "Put a known model live",
            "One that was refused, rejected or taken back needs `override`. A damaged package is refused.",
        ),
        (
            "rollback",
            "Put the model before back",
            "Never to a damaged package. Send `live`, so that a repeated request takes nothing more back.",
        ),
        ("approval", "Approve or reject what waits", "A model that waits since before another went live is refused: judge it again."),
    )
    errors = (400, 404, 409, 413, 415, 422, 503)
    found: Json = {
        f"/v1/campaigns/{{campaign}}/{kind}s": {
            "post": operation(
                ("POST", f"/v1/campaigns/{{campaign}}/{kind}s"),
                f"post{kind.capitalize()}",
                "Promotions",
                summary,
                f"{told} Of several decisions at once exactly one is recorded, the others are told 409. Scoring follows within a second.",
                {"200": done("Recorded", {JSON: {"schema": ref("Decided")}})},
                errors,
                parameters=[_chosen(names)],
                requestBody=decision_body(kind),
            )
        }
        for kind, summary, told in posts
    }
    listed = operation(
        ("GET", "/v1/campaigns/{campaign}/promotions"),
        "listPromotions",
        "Promotions",
        "The history of decisions",
        "The newest first, each with its reasons and evidence; what waits for approval; what is live.",
        {"200": done("The history", {JSON: {"schema": ref("Promotions")}})},
        (400, 404, 503),
        parameters=[_chosen(names), *page_parameters()],
    )
    found["/v1/campaigns/{campaign}/promotions"]["get"] = listed
    return found


def _chosen(names: list[str]) -> Json:
    return {"name": "campaign", "in": "path", "required": True, "description": "a campaign's name", "schema": {"enum": names}}


def _campaign_paths(names: list[str]) -> Json:
    chosen = _chosen(names)
    # path, operationId, summary, description, format, schema, refusals
    rows: list[tuple[str, str, str, str, str, str, tuple[int, ...]]] = [
        ("", "listCampaigns", "Every campaign", "With its live model and links.", JSON, "Campaigns", ()),
        ("/{campaign}", "getCampaign", "One campaign in full", "Features, economics, policy, live model.", JSON, "CampaignInFull", (404,)),
        ("/{campaign}/schema", "getRowSchema", "What a row must look like", "As JSON Schema.", SCHEMA, "RowSchema", (404,)),
        ("/{campaign}/model", "getModel", "A model in full", MODEL_TOLD, JSON, "ModelInFull", (400, 404, 503)),
        ("/{campaign}/models", "listModels", "Models to choose from", "The one decided on last first.", JSON, "Models", (404, 503)),
    ]
    return {
        f"/v1/campaigns{path}": {
            "get": operation(
                ("GET", f"/v1/campaigns{path}"),
                operation_id,
                "Campaigns",
                summary,
                description,
                {"200": done(summary, {kind: {"schema": ref(schema)}})},
                errors,
                parameters=[*([chosen] if path else []), *([model_parameter()] if path.endswith("/model") else [])],
            )
        }
        for path, operation_id, summary, description, kind, schema, errors in rows
    }


def _record_paths() -> Json:
    wanted = {"name": "id", "in": "path", "required": True, "description": "a `prediction_id` of a reply", "schema": PREDICTION_ID}
    return {
        "/v1/predictions/{id}": {
            "get": operation(
                ("GET", "/v1/predictions/{id}"),
                "getPrediction",
                "Records",
                "One prediction in full",
                "What was asked and answered, scored again from the log as proof, with every feature's contribution and the data, model "
                "and code behind it. Another caller's prediction is not found.",
                {"200": done("The record", {JSON: {"schema": ref("PredictionRecord")}})},
                (404, 503),
                parameters=[wanted],
            )
        }
    }


def _operation_paths() -> Json:
    ready = {JSON: {"schema": ref("Readiness")}}
    starting = {JSON: {"schema": ref("Startup")}}
    found = {
        "/livez": ("livez", "The process answers", "Looks at nothing else.", {"200": done("It does", {JSON: {"schema": ref("Liveness")}})}),
        "/startupz": (
            "startupz",
            "The process has started",
            "503 until it has once read the keys and loaded what was promoted; 200 ever after, whatever happens to a store.",
            {"200": done("It has", starting), "503": done("Not yet", starting)},
        ),
        "/readyz": (
            "readyz",
            "Ready to score",
            "Whether a prediction can be answered now, with each check and its reason.",
            {"200": done("Ready", ready), "503": done("Not ready; says why", ready)},
        ),
        "/v1/caller": (
            "getCaller",
            "Whose key this is",
            "Its owner, which stays when the key is rotated, and its role.",
            {"200": done("The key's owner", {JSON: {"schema": ref("Caller")}})},
        ),
        "/metrics": (
            "metrics",
            "Metrics",
            "For Prometheus.",
            {"200": done("Metrics", {TEXT_TYPE: {"schema": said("the Prometheus text format", TEXT)}})},
        ),
        "/openapi.json": (
            "getOpenapi",
            "This description",
            "OpenAPI 3.1.",
            {"200": done("This description", {JSON: {"schema": ref("Document")}})},
        ),
        "/docs": ("docs", "This description as a page", "Requests can be tried there.", {"200": html("The page")}),
        "/": ("index", "Front page", "Campaigns and their live models, for people.", {"200": html("The page")}),
    }
    return {
        path: {"get": operation(("GET", path), operation_id, "Operation", summary, description, replies, ())}
        for path, (operation_id, summary, description, replies) in found.items()
    }
