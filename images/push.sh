#!/usr/bin/env bash
# Builds the four images of this checkout, pushes them, and prints what to deploy: api=sha256:...,flows=sha256:...
#   images/push.sh ENV TAG
# An image whose tag is there already is not built again: tags never move. CDK_DOCKER names another container program than docker,
# PLATFORM another processor than ARM's, REPOSITORIES (api=ADDRESS,flows=ADDRESS,...) saves the look into the Registry stack.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
environment=${1:?push: name the environment, as in images/push.sh dev TAG}
tag=${2:?push: name the tag, mostly the commit, as in images/push.sh dev TAG}
docker=${CDK_DOCKER:-docker}
platform=${PLATFORM:-linux/arm64}

fail() {
    echo "push: $1" >&2
    exit 1
}
command -v "$docker" >/dev/null || fail "$docker is not installed: install Docker or podman, or set CDK_DOCKER to the one that is"
command -v aws >/dev/null || fail "aws, the command line of AWS, is not installed"
[[ $tag =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || fail "$tag is no tag: letters, digits, points, dashes"

repositories=${REPOSITORIES:-}
if [ -z "$repositories" ]; then
    repositories=$(aws cloudformation describe-stacks --stack-name "propensity-$environment-Registry" --output text \
        --query "Stacks[0].Outputs[?starts_with(OutputKey,'Repository')].join('=',[OutputKey,OutputValue])" | tr -s '\t\n' ',') \
        || fail "there is no stack propensity-$environment-Registry, or nobody is signed in: make deploy ENV=$environment STACKS=Registry"
fi
repository_of() { tr ',' '\n' <<<"$repositories" | sed -n "s/^\(Repository\)\{0,1\}$1=//Ip"; }
digest_of() {
    aws ecr describe-images --repository-name "${1#*/}" --image-ids "imageTag=$tag" --query 'imageDetails[0].imageDigest' --output text 2>/dev/null
}

registry=$(repository_of api)
[ -n "$registry" ] || fail "no repository for the image api among: $repositories"
aws ecr get-login-password | "$docker" login --username AWS --password-stdin "${registry%%/*}" >&2

deployed=()
for image in api flows mlflow grafana; do
    repository=$(repository_of "$image")
    [ -n "$repository" ] || fail "no repository for the image $image among: $repositories"
    if ! digest_of "$repository" >/dev/null; then
        "$docker" build --platform "$platform" --file "images/$image/Dockerfile" --tag "$repository:$tag" . >&2
        "$docker" push "$repository:$tag" >&2
    fi
    digest=$(digest_of "$repository")
    [[ $digest == sha256:* ]] || fail "the registry does not know $repository:$tag after it was pushed"
    deployed+=("$image=$digest")
done
(
    IFS=,
    echo "${deployed[*]}"
)
