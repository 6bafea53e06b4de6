"""Speed against what a team would use instead: one machine, one run, one model. ``python -m benchmarks`` is ``make bench``."""
