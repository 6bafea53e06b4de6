"""``python -m flows serve``: register the schedules and run what falls due, until stopped."""

from __future__ import annotations

import sys

from flows.deployments import serve

if __name__ == "__main__":
    if sys.argv[1:] != ["serve"]:
        sys.exit("usage: python -m flows serve")
    serve()
