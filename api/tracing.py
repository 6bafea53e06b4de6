"""Spans for OpenTelemetry, where ``PROPENSITY_OTLP_ENDPOINT`` names a collector; nothing of it is imported otherwise.

A request has one span and one below it for each stage that asks for it (`stage`). A caller's ``traceparent`` is honoured (W3C Trace
Context, level 1): the spans join the caller's trace, and one that it chose not to sample is not sampled here. ``tracestate`` and
``baggage`` are not taken: they are free text. Attributes are the route's template, the declared campaign, status, rows, model version
and ids of ours. An exception is told by its type. The collector is spoken to by a thread with a bounded queue: where it is down, spans
are dropped and requests are not touched. Everything else is set by the standard variables, such as OTEL_EXPORTER_OTLP_HEADERS or
OTEL_TRACES_SAMPLER.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any

from propensity.errors import SettingsInvalid

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

SERVICE = "propensity-api"
STOP_S = 3.0
# Where the fields of the access log are found in a span. What is not named here is not exported.
ATTRIBUTES = {
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
    "request_id": "propensity.request_id",
    "campaign": "propensity.campaign",
    "rows": "propensity.rows",
    "model": "propensity.model_version",
    "code": "propensity.problem_code",
}


class _Off:
    """A stage of a request that is not traced."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class _Stage:
    """A span below the request's."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if kind is not None:
            # Not record_exception: it would export the message, which may quote what a caller sent.
            self._span.set_attribute("error.type", kind.__name__)
        self._span.end()


class _Traced:
    """The request that this thread works on."""

    __slots__ = ("context", "span", "tracer")

    def __init__(self, tracer: Tracer, span: Span, context: Any) -> None:
        self.tracer, self.span, self.context = tracer, span, context


_OFF = _Off()
_current: ContextVar[_Traced | None] = ContextVar("traced", default=None)


def stage(name: str) -> _Off | _Stage:
    """``with stage("score"):`` times a part of the request; does nothing where the request is not traced."""
    traced = _current.get()
    if traced is None:
        return _OFF
    return _Stage(traced.tracer.start_span(name, context=traced.context))


class Tracing:
    """Where the spans of one application go. Made by `start_tracing`."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer(SERVICE)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, environ: Mapping[str, Any]) -> None:
        """Begin the span of a request, in the trace that its ``traceparent`` names or in one of its own."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, set_span_in_context

        parent = Context()
        if "HTTP_TRACEPARENT" in environ:
            parent = self._propagator.extract({"traceparent": environ["HTTP_TRACEPARENT"]}, context=parent)
        span = self._tracer.start_span("request", context=parent, kind=SpanKind.SERVER)
        if span.is_recording():
            _current.set(_Traced(self._tracer, span, set_span_in_context(span, parent)))

    def end(self, fields: Mapping[str, Any]) -> None:
        """Say how the request ended. ``fields`` is its line in the access log."""
        from opentelemetry.trace import StatusCode

        traced = _current.get()
        if traced is None:
            return
        traced.span.update_name(f"{fields['method']} {fields['route']}" if fields["route"] else fields["method"])
        traced.span.set_attributes({name: fields[field] for field, name in ATTRIBUTES.items() if fields.get(field) is not None})
        if fields["status"] >= 500:
            traced.span.set_status(StatusCode.ERROR)

    def close(self, _error: BaseException | None = None) -> None:
        """End the span of the request, whatever became of it."""
        traced = _current.get()
        if traced is not None:
            _current.set(None)
            traced.span.end()

    def stop(self) -> None:
        """Send what is left; a few seconds at most."""
        # The library itself waits half a minute for a collector that does not answer.
        ending = threading.Thread(target=self._provider.shutdown, name="tracing-stop", daemon=True)
        ending.start()
        ending.join(STOP_S)


def start_tracing(endpoint: str) -> Tracing | None:
    """Spans to a collector that speaks OTLP over HTTP at ``endpoint``, as ``http://127.0.0.1:4318``; None where it is empty.

    Raises SettingsInvalid where the address cannot be one or the packages are not installed. Does not contact the collector.
    """
    if not endpoint:
        return None
    if not endpoint.startswith(("http://", "https://")):
        raise SettingsInvalid("PROPENSITY_OTLP_ENDPOINT must be the base address of a collector, as in http://127.0.0.1:4318")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as exc:
        raise SettingsInvalid(
            f"PROPENSITY_OTLP_ENDPOINT is set, but {exc.name} is not installed: it comes with propensity[tracing]"
        ) from exc
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: SERVICE}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces")))
    return Tracing(provider)
