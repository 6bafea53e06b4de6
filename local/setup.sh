#!/bin/sh
# Makes .venv with everything in requirements/dev.txt, by hash, and puts this project on its path. Called by `make setup`.
set -eu

fail() {
    echo "setup: $*" >&2
    exit 1
}

# A name may exist and still not run (a version manager's shim), so that each is asked.
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

find_python() {
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if "$name" -c "$new_enough" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
}

if ! .venv/bin/python -c "$new_enough" >/dev/null 2>&1; then
    python=$(find_python)
    [ -n "$python" ] || fail "Python 3.11 or newer is needed and was not found (looked for ${PYTHON:-python3.13, python3.12, python3.11, python3}); set PYTHON=/path/to/python3"
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
        fail "$python cannot make environments: install its Debian package $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    echo "setup: making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null

echo "setup: installing the locked packages (about 1.6 GB unpacked; minutes the first time, seconds afterwards)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/bootstrap.txt ||
    fail "the installer uv could not be fetched: is the package index reachable?"
.venv/bin/uv pip install --python .venv/bin/python --require-hashes --compile-bytecode --requirement requirements/dev.txt ||
    fail "the packages could not be installed; what uv says above names the one at fault"
.venv/bin/python local/link.py
touch .venv/.installed
echo "setup: ready"
