"""Flask, Waitress and pandas: the short way. Nothing is validated. ``python -m benchmarks.peers.flask_app PORT``."""

from __future__ import annotations

import sys
from typing import Any

import pandas as pd
from flask import Flask, jsonify, request
from waitress import serve

from benchmarks.peers.pipeline import load_pipeline

app = Flask(__name__)
pipeline = load_pipeline()


@app.get("/health")
def health() -> Any:
    return jsonify(status="ok")


@app.post("/predict")
def predict() -> Any:
    """The probability of each customer, in the order sent."""
    frame = pd.DataFrame(request.get_json()["customers"])
    return jsonify(scores=pipeline.predict_proba(frame)[:, 1].tolist())


if __name__ == "__main__":
    serve(app, host="127.0.0.1", port=int(sys.argv[1]))
