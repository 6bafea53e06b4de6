"""Names that both sides know."""

MODEL_FOLDER = "BENCHMARK_MODEL_FOLDER"
