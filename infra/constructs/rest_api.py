"""The REST API: who may call, how often, and which function answers what."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.acknowledged import acknowledge
from infra.config import Caller, Environment
from infra.constructs.log_groups import log_retention

# Whatever a function is not asked about: bytes stay as they are. Without it Arrow, Parquet and gzip would arrive as broken text.
BINARY = "*/*"
# What is written down about a request. The address itself may hold ids, so that it is told by its template.
LOGGED = {
    "requestId": "$context.requestId",
    "ip": "$context.identity.sourceIp",
    "apiKeyId": "$context.identity.apiKeyId",
    "requestTime": "$context.requestTime",
    "httpMethod": "$context.httpMethod",
    "resourcePath": "$context.resourcePath",
    "status": "$context.status",
    "responseLength": "$context.responseLength",
    "responseLatency": "$context.responseLatency",
    "integrationLatency": "$context.integrationLatency",
    "wafStatus": "$context.waf.status",
    "error": "$context.error.responseType",
}
PROBLEM = "application/problem+json"


class RestApi(Construct):
    """A REST API whose every refusal is a problem (RFC 9457).

    Attributes
    ----------
    api : apigateway.RestApi
    stage : apigateway.Stage
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, environment: Environment, front_door: lambda_.IFunction, lists: lambda_.IFunction
    ) -> None:
        super().__init__(scope, construct_id)
        self._access_log = logs.LogGroup(
            self,
            "AccessLog",
            retention=log_retention(environment.retention.access_log_days),
            removal_policy=RemovalPolicy.RETAIN if environment.keep_data else RemovalPolicy.DESTROY,
        )
        self.api = self._api(environment)
        self.stage = self.api.deployment_stage
        self._route(front_door, lists)
        self._refuse_with_problems()
        for caller in environment.callers:
            self._admit(caller)
        _acknowledge(self)

    def _api(self, environment: Environment) -> apigateway.RestApi:
        rate = sum(caller.rate_per_s for caller in environment.callers)
        burst = sum(caller.burst for caller in environment.callers)
        return apigateway.RestApi(
            self,
            "Api",
            description=f"Propensity platform, {environment.name}: whom to contact",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            binary_media_types=[BINARY],
            api_key_source_type=apigateway.ApiKeySourceType.HEADER,
            cloud_watch_role=True,
            cloud_watch_role_removal_policy=RemovalPolicy.DESTROY,
            deploy_options=apigateway.StageOptions(
                stage_name=environment.name,
                throttling_rate_limit=rate,
                throttling_burst_limit=burst,
                metrics_enabled=True,
                tracing_enabled=True,
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                # Bodies and headers are customers' data and keys.
                data_trace_enabled=False,
                access_log_destination=apigateway.LogGroupLogDestination(self._access_log),
                access_log_format=apigateway.AccessLogFormat.custom(json.dumps(LOGGED)),
            ),
            default_method_options=apigateway.MethodOptions(api_key_required=True, authorization_type=apigateway.AuthorizationType.NONE),
        )

    def _route(self, front_door: lambda_.IFunction, lists: lambda_.IFunction) -> None:
        """Lists have a function of their own; everything else below /v1 goes to the scoring service.

        A greedy path stands on every level: where API Gateway has found a part of an address it does not go back up to look further.
        """
        scoring = apigateway.LambdaIntegration(front_door, allow_test_invoke=False, scope_permission_to_method=False)
        listing = apigateway.LambdaIntegration(lists, allow_test_invoke=False, scope_permission_to_method=False)
        v1 = self.api.root.add_resource("v1")
        campaigns = v1.add_resource("campaigns")
        campaign = campaigns.add_resource("{campaign}")
        for level in (v1, campaign):
            level.add_resource("{proxy+}").add_method("ANY", scoring)
        for level in (campaigns, campaign):
            level.add_method("ANY", scoring)
        campaign.add_resource("lists").add_method("ANY", listing)
        one = v1.add_resource("lists").add_resource("{list}")
        one.add_method("ANY", listing)
        for part in ("result", "errors"):
            one.add_resource(part).add_method("ANY", listing)

    def _refuse_with_problems(self) -> None:
        for name, (kind, status, code, detail) in _REFUSALS.items():
            again = {"Retry-After": f"'{_RETRY_AFTER_S[status]}'"} if status in _RETRY_AFTER_S else {}
            self.api.add_gateway_response(
                f"Refused{name}",
                type=kind,
                status_code=status,
                response_headers={"Content-Type": f"'{PROBLEM}'", "X-Request-Id": "context.requestId", **again},
                templates={"application/json": _problem(status, code, detail)},
            )

    def _admit(self, caller: Caller) -> None:
        key = self.api.add_api_key(f"Key-{caller.name}", description=f"Propensity platform: {caller.name}")
        plan = self.api.add_usage_plan(
            f"Plan-{caller.name}",
            description=f"Propensity platform: {caller.name}",
            throttle=apigateway.ThrottleSettings(rate_limit=caller.rate_per_s, burst_limit=caller.burst),
            quota=apigateway.QuotaSettings(limit=caller.per_day, period=apigateway.Period.DAY),
            api_stages=[apigateway.UsagePlanPerApiStage(api=self.api, stage=self.stage)],
        )
        plan.add_api_key(key)


def _problem(status: str, code: str, detail: str) -> str:
    body: Mapping[str, object] = {
        "type": f"urn:propensity:problem:{code}",
        "title": _TITLES[status],
        "status": int(status),
        "code": code,
        "detail": detail,
        "request_id": "$context.requestId",
    }
    return json.dumps(body)


_TITLES = {
    "403": "Forbidden",
    "404": "Not Found",
    "413": "Request Entity Too Large",
    "429": "Too Many Requests",
    "500": "Internal Server Error",
    "503": "Service Unavailable",
    "504": "Gateway Timeout",
    "400": "Bad Request",
}
_LIST_INSTEAD = "post it as a list instead: POST /v1/campaigns/{campaign}/lists takes any size"
# The codes are those of the scoring service (docs/errors.md).
_REFUSALS: Mapping[str, tuple[apigateway.ResponseType, str, str, str]] = {
    "Key": (
        apigateway.ResponseType.INVALID_API_KEY,
        "403",
        "access_refused",
        "the header x-api-key is missing or holds no key of this API",
    ),
    "Route": (apigateway.ResponseType.MISSING_AUTHENTICATION_TOKEN, "404", "not_found", "there is no such address; all begin with /v1/"),
    "Filtered": (apigateway.ResponseType.WAF_FILTERED, "403", "access_refused", "the request looks like an attack and was not taken"),
    "Denied": (apigateway.ResponseType.ACCESS_DENIED, "403", "access_refused", "the request is not allowed"),
    "Large": (apigateway.ResponseType.REQUEST_TOO_LARGE, "413", "too_large", f"the body is over what one request takes; {_LIST_INSTEAD}"),
    "Rate": (apigateway.ResponseType.THROTTLED, "429", "rate_limited", "too many requests a second: wait a moment and send it again"),
    "Quota": (apigateway.ResponseType.QUOTA_EXCEEDED, "429", "rate_limited", "the key's requests of today are used up"),
    "Late": (
        apigateway.ResponseType.INTEGRATION_TIMEOUT,
        "504",
        "gateway_timeout",
        "no answer within 29 s; it may have been carried out: send it again with its Idempotency-Key",
    ),
    "Broken": (
        apigateway.ResponseType.INTEGRATION_FAILURE,
        "503",
        "service_unavailable",
        "the request could not be passed on: send it again",
    ),
    "Other4xx": (apigateway.ResponseType.DEFAULT_4_XX, "400", "bad_request", "the request was refused before it was read"),
    "Other5xx": (
        apigateway.ResponseType.DEFAULT_5_XX,
        "500",
        "internal_error",
        "something went wrong on our side; tell the operators the request id",
    ),
}
_RETRY_AFTER_S = {"429": 1, "503": 2}


def _acknowledge(rest: RestApi) -> None:
    acknowledge(
        rest,
        {
            "APIG2": "Bodies are checked by the scoring service and by the function lists, which name row and column; "
            "API Gateway cannot look into the binary ones.",
            "APIG4": "Every method asks for an API key, and the scoring service verifies the caller's own key with its role behind it.",
            "COG4": "Callers are programs of other departments with keys; there are no people with accounts to be put into a user pool.",
            "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]": (
                "AWS' own policy for API Gateway to write its logs, which it needs once an account."
            ),
        },
    )
