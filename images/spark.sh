#!/usr/bin/env bash
# Builds what jobs on EMR Serverless run, a Python of its own with the locked packages and this checkout's code, and uploads it:
#   images/spark.sh ENV TAG
# Below spark/TAG/ of the data lake lie then environment.tar.gz and spark_list.py. What is there already is not built again.
# BUCKET saves the look into the DataLake stack, ARCHITECTURE (aarch64, x86_64) is that of the environment, PYTHON_TREE names a relocatable
# Python instead of the one that uv fetches (its checksum is uv's own), ONLY_BUILD=1 uploads nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
environment=${1:?spark: name the environment, as in images/spark.sh dev TAG}
tag=${2:?spark: name the tag, mostly the commit, as in images/spark.sh dev TAG}
architecture=${ARCHITECTURE:-aarch64}
python=3.11
uv=${UV:-.venv/bin/uv}
work=build/spark

fail() {
    echo "spark: $1" >&2
    exit 1
}
[[ $tag =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || fail "$tag is no tag: letters, digits, points, dashes"
[[ $architecture =~ ^(aarch64|x86_64)$ ]] || fail "there is no architecture $architecture: aarch64 or x86_64"
[ -x "$uv" ] || fail "$uv is not there: make setup"

bucket=${BUCKET:-}
if [ -z "${ONLY_BUILD:-}" ]; then
    command -v aws >/dev/null || fail "aws, the command line of AWS, is not installed"
    if [ -z "$bucket" ]; then
        bucket=$(aws cloudformation describe-stacks --stack-name "propensity-$environment-DataLake" --output text \
            --query "Stacks[0].Outputs[?OutputKey=='StoreUrl'].OutputValue") \
            || fail "there is no stack propensity-$environment-DataLake, or nobody is signed in: make deploy ENV=$environment"
        bucket=${bucket#s3://}
    fi
    place="s3://${bucket%/}/spark/$tag"
    # The script goes last: where it lies, everything does.
    if aws s3 ls "$place/spark_list.py" >/dev/null 2>&1; then
        echo "$place"
        exit
    fi
fi

rm -rf "$work"
mkdir -p "$work/environment"
tree=${PYTHON_TREE:-}
if [ -z "$tree" ]; then
    "$uv" python install --quiet --install-dir "$work/python" "cpython-$python-linux-$architecture-gnu" >&2 \
        || fail "uv could not fetch Python $python for $architecture: is the way out open? PYTHON_TREE names one that is there"
    tree=$(find "$work/python" -mindepth 1 -maxdepth 1 -type d -name 'cpython-*' -print -quit)
fi
[ -x "$tree/bin/python$python" ] || fail "$tree is no Python $python: it has no bin/python$python"
cp -a "$tree/." "$work/environment/"
site="$work/environment/lib/python$python/site-packages"
"$uv" pip install --quiet --target "$site" --python-version "$python" --python-platform "$architecture-manylinux_2_28" \
    --require-hashes --no-deps --only-binary :all: --requirement requirements/spark.txt >&2 || fail "the locked packages could not be installed"
# As the images do: the large libraries' own tests are never run, and of AWS two services are asked.
find "$site"/{numpy,scipy,pandas,pyarrow} -type d -name tests -prune -exec rm -rf {} +
find "$site/botocore/data" -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name secretsmanager -exec rm -rf {} +
cp -RL propensity flows "$site/"
find "$work/environment" -name __pycache__ -type d -prune -exec rm -rf {} +
tar --create --gzip --file "$work/environment.tar.gz" --directory "$work/environment" .
cp flows/spark_list.py "$work/spark_list.py"
if [ -n "${ONLY_BUILD:-}" ]; then
    echo "$work"
    exit
fi
aws s3 cp --only-show-errors "$work/environment.tar.gz" "$place/environment.tar.gz" >&2
aws s3 cp --only-show-errors "$work/spark_list.py" "$place/spark_list.py" >&2
echo "$place"
