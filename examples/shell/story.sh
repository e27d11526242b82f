#!/bin/sh
# Asks what bob may do on a site as he is invited, promoted and removed: each question once with curl,
# over HTTP (AuthZEN), and once with buf, over gRPC. Fails at the first wrong answer.
set -eu

AUTHZEN=${AUTHZEN:-http://127.0.0.1:8182}
HUMBABA=${HUMBABA:-http://127.0.0.1:8180}
case $HUMBABA in
    unix:*) url=http://localhost socket=${HUMBABA#unix:} ;;
    *) url=$HUMBABA socket= ;;
esac
buf=$(dirname "$0")/node_modules/.bin/buf

site='{"type": "Site", "id": "42"}'
nobody=
viewer="{\"role\": \"viewer\", \"scope\": $site}"
editor="{\"role\": \"editor\", \"scope\": $site}"

# Both ask whether bob may do an action while he holds the given role, and wait for five seconds
# at most. Without an answer they fail.
ask_http() {
    curl --silent --show-error --fail-with-body --max-time 5 --noproxy '*' \
        --header 'Content-Type: application/json' --data @- \
        "$AUTHZEN/stores/hitkeep/access/v1/evaluation" <<EOM
{
    "subject": {"type": "User", "id": "bob", "properties": {"roles": [$1]}},
    "action": {"name": "$2"},
    "resource": $site,
    "options": {"explain": true}
}
EOM
}

# buf learns the messages from Humbaba itself, by reflection.
ask_grpc() {
    timeout 5 "$buf" curl --protocol grpc ${socket:+--unix-socket "$socket"} --data @- \
        "$url/humbaba.v1.AuthorizationService/IsAuthorized" <<EOM
{
    "policyStore": "hitkeep",
    "principal": {"type": "User", "id": "bob"},
    "action": {"id": "$2"},
    "resource": $site,
    "roleAssignments": [$1],
    "explain": true
}
EOM
}

fail() {
    printf 'wrong: %s\n' "$*" >&2
    exit 1
}

# read_json JSON FILTER
read_json() {
    printf %s "$1" | jq --raw-output "$2"
}

# step TEXT ANSWER ROLE ACTION
step() {
    over_http=$(ask_http "$3" "$4")
    over_grpc=$(ask_grpc "$3" "$4")
    [ "$(read_json "$over_http" 'if .decision then "allow" else "deny" end')" = "$2" ] ||
        fail "$1: $4 must be $2 over HTTP: $over_http"
    [ "$(read_json "$over_grpc" '.decision | ascii_downcase')" = "decision_$2" ] ||
        fail "$1: $4 must be $2 over gRPC: $over_grpc"
    printf 'ok  %-5s  %s\n           why: %s\n' "$2" "$1" "$(read_json "$over_grpc" .explanation.summary)"
}

step 'bob, who is no member, may not read the goals' deny "$nobody" site.goals.view
step 'invited as viewer he reads them' allow "$viewer" site.goals.view
step 'but does not edit them' deny "$viewer" site.goals.edit
step 'promoted to editor he does' allow "$editor" site.goals.edit
step 'but removes nobody' deny "$editor" site.members.remove
step 'removed, he may no longer edit' deny "$nobody" site.goals.edit

answer=$(ask_http "$editor" site.goals.edti)
error=$(read_json "$answer" .context.error.message)
case $error in
    *site.goals.edti*) printf 'ok  error  an action that does not exist\n           %s\n' "$error" ;;
    *) fail "the action that does not exist must be named: $answer" ;;
esac
