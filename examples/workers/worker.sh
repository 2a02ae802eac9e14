#!/bin/sh
# A worker in shell with curl and jq: TUTTI_SERVER=http://… TUTTI_TOKEN=… ./worker.sh POOL
set -u
api=$TUTTI_SERVER/v1/namespaces/${TUTTI_NAMESPACE:-default}
pool=$api/pools/$1 me=shell-$$

call() { # call URL: posts the JSON of its standard input
	curl -fsS --max-time 90 -H "Authorization: Bearer $TUTTI_TOKEN" -H "Content-Type: application/json" --data-binary @- "$1"
}

work() { # what the worker is for: the task in, its output out, both JSON; a status other than 0 is a failure
	jq -c '{words: (.with.text | split(" ") | map(select(. != "")) | length)}'
}

beat() { # a worker that is silent for 20 s loses the task
	while sleep 5; do
		jq -nc --arg me "$me" --arg token "$1" '{worker: $me, tokens: [$token]}' | call "$pool/heartbeat" >/dev/null
	done
}

results='[]' # kept until the server answered for them
while :; do
	got=$(jq -nc --arg me "$me" --argjson results "$results" '{worker: $me, max: 1, wait: "30s", results: $results}' | call "$pool/poll") || { sleep 1; continue; }
	results='[]'
	task=$(printf '%s' "$got" | jq -c '.assignments[0] // empty')
	[ -n "$task" ] || continue
	token=$(printf '%s' "$task" | jq -r .token)
	beat "$token" & beating=$!
	if out=$(printf '%s' "$task" | work 2>&1); then
		results=$(jq -nc --arg token "$token" --argjson out "$out" '[{token: $token, outcome: "done", out: $out}]')
	else
		results=$(jq -nc --arg token "$token" --arg why "$out" '[{token: $token, outcome: "failed", failure: {type: "shell.error", message: $why}}]')
	fi
	kill "$beating"
done
