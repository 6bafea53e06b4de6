"""``python -m faults``: the promises of the scoring service, each tried under real faults against the real service and a real Postgres.

A promise counts once its figure was reached here: `faults.promise` says what a result is, `faults.catalogue` lists them all. The full
run is ``make faults``; the tests run a short form of each through the same functions.
"""
