"""FastAPI, uvicorn, pydantic and a scikit-learn pipeline: what most teams write."""

from typing import Any, Literal

import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, Field, create_model

from benchmarks.peers.pipeline import encoding, load_pipeline

known = encoding()
# The class that a user would write out, with the same checks: declared values and ranges.
fields: dict[str, Any] = {"id": (str, ...)}
fields |= {name: (Literal[tuple(values)], ...) for name, values in known["categories"].items()}
fields |= {name: (int if whole else float, Field(ge=low, le=high)) for name, (low, high, whole) in known["ranges"].items()}
Customer = create_model("Customer", **fields)
Body = create_model("Body", customers=(list[Customer], ...))  # type: ignore[valid-type]


class Scores(BaseModel):
    """The reply."""

    scores: list[float]


app = FastAPI()
pipeline = load_pipeline()


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/predict")
def predict(body: Body) -> Scores:  # type: ignore[valid-type]
    """The probability of each customer, in the order sent."""
    frame = pd.DataFrame([customer.model_dump() for customer in body.customers])  # type: ignore[attr-defined]
    return Scores(scores=pipeline.predict_proba(frame)[:, 1].tolist())
