#!/usr/bin/env bash
# Runs one command of the platform in a task of its own on AWS, waits for it, and prints what it said.
#   images/run.sh ENV migration -m flows.keys list
#   images/run.sh ENV flow -m flows.run retrain-term-deposit
# ENV names the environment; `migration` may change the database, `flow` is what flows run in. The exit code is the command's.
set -euo pipefail
environment=${1:?run: name the environment, as in images/run.sh dev migration -m flows.keys list}
task=${2:?run: name the task, migration or flow}
shift 2
[ "$#" -gt 0 ] || { echo "run: say what python shall run, as in -m flows.keys list" >&2; exit 2; }
case $task in
    migration) stack=Compute definition=MigrationTaskDefinition lines=MigrationTaskLog ;;
    flow) stack=Jobs definition=FlowTaskDefinition lines=FlowTaskLog ;;
    *) echo "run: there is no task $task: migration or flow" >&2; exit 2 ;;
esac

# found STACK TYPE BEGINNING: physical names of the resources whose logical names begin so.
found() {
    local names
    names=$(aws cloudformation describe-stack-resources --stack-name "propensity-$environment-$1" --output text \
        --query "StackResources[?ResourceType=='$2' && starts_with(LogicalResourceId,'$3')].PhysicalResourceId") || names=
    [ -n "$names" ] || { echo "run: propensity-$environment-$1 has no $3: is it deployed, and is somebody signed in?" >&2; exit 1; }
    tr -s '\t\n ' ',' <<<"$names" | sed 's/,$//'
}
cluster=$(found Compute AWS::ECS::Cluster Cluster)
group=$(found Network AWS::EC2::SecurityGroup FirewallJobs)
subnets=$(found Network AWS::EC2::Subnet NetworkVpcprivate)
revision=$(found "$stack" AWS::ECS::TaskDefinition "$definition")
log=$(found "$stack" AWS::Logs::LogGroup "$lines")

overrides=$(python3 -c 'import json, sys; print(json.dumps({"containerOverrides": [{"name": sys.argv[1], "command": sys.argv[2:]}]}))' \
    "$task" python "$@")
arn=$(aws ecs run-task --cluster "$cluster" --task-definition "$revision" --launch-type FARGATE --overrides "$overrides" \
    --network-configuration "awsvpcConfiguration={subnets=[$subnets],securityGroups=[$group],assignPublicIp=DISABLED}" \
    --started-by "${USER:-operator}" --query 'tasks[0].taskArn' --output text)
[[ $arn == arn:* ]] || { echo "run: ECS started no task" >&2; exit 1; }
echo "run: started ${arn##*/}; waiting for it" >&2
until [ "$(aws ecs describe-tasks --cluster "$cluster" --tasks "$arn" --query 'tasks[0].lastStatus' --output text)" = STOPPED ]; do
    sleep "${PAUSE_S:-5}"
done
aws logs get-log-events --log-group-name "$log" --log-stream-name "$task/$task/${arn##*/}" --start-from-head \
    --query 'events[].[message]' --output text || echo "run: it said nothing" >&2
code=$(aws ecs describe-tasks --cluster "$cluster" --tasks "$arn" --query "tasks[0].containers[?name=='$task'].exitCode | [0]" --output text)
[[ $code =~ ^[0-9]+$ ]] || { echo "run: it never ran: aws ecs describe-tasks --cluster $cluster --tasks $arn says why" >&2; exit 1; }
exit "$code"
