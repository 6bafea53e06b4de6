"""BentoML: a service class over the same pipeline."""

import bentoml
import pandas as pd

from benchmarks.peers.pipeline import load_pipeline


@bentoml.service(name="speed", traffic={"timeout": 300})
class Speed:
    """One worker, as is the default."""

    def __init__(self) -> None:
        self.pipeline = load_pipeline()

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, customers: pd.DataFrame) -> list[float]:
        """The probability of each customer, in the order sent."""
        scores: list[float] = self.pipeline.predict_proba(customers)[:, 1].tolist()
        return scores
