#!/bin/sh
# Issue 6, "Rollouts", shown from a clean checkout: a controller's whole life over HTTP, with a server killed with
# -9 in the middle; the way back; controllers of another orchestrator; a workflow whose items go out in waves.
# Run from the root of the repository with TUTTI set to the binary.
. specs/acceptance/common

echo '1. Items of a workflow in waves, crashed at every decision: examples/language/rollout.'
"$TUTTI" workflow test examples/language --run rollout >"$dir/tests.out" 2>&1 || "$TUTTI" workflow test examples/language >"$dir/tests.out" 2>&1 || { cat "$dir/tests.out"; fail 'a rollout does not do what its test says'; }
tail -n 1 "$dir/tests.out"

echo '2. A version goes out: one target, then half, then all.'
serve
login
ns=/v1/namespaces/default/rollouts/app
# report VERSION-OF-1 … VERSION-OF-4: what the targets run, and what they are to run.
report() {
	n=0
	list=
	for v in "$@"; do
		n=$((n + 1))
		list="$list${list:+, }{\"name\": \"t$n\", \"version\": \"$v\"}"
	done
	"$TUTTI" api POST "$ns/orchestrate" -d "{\"all\": true, \"reports\": [$list]}" >"$dir/plan" || { cat "$dir/plan"; fail 'orchestrate'; }
}
"$TUTTI" api PUT "$ns/policy" -d '{"waves": ["1", "50%"], "freeze": [{"every": ["sat"], "start": "00:00", "end": "00:01", "offset": "+13:59"}]}' >/dev/null || fail 'policy'
"$TUTTI" rollout mark-good app v1 >/dev/null 2>&1 || fail 'mark-good'
"$TUTTI" rollout start app v2 >/dev/null 2>&1 || fail 'start'
report v1 v1 v1 v1
[ "$(grep -o '"version": *"v2"' "$dir/plan" | wc -l)" -eq 1 ] || { cat "$dir/plan"; fail 'not one target is asked'; }

echo '3. The server is killed with -9, and knows all of it afterwards.'
kill -9 $pid
wait $pid 2>/dev/null
serve
report v2 v1 v1 v1
[ "$(grep -o '"version": *"v2"' "$dir/plan" | wc -l)" -eq 2 ] || { cat "$dir/plan"; fail 'the second wave is not half of all'; }
report v2 v2 v1 v1
report v2 v2 v2 v2
"$TUTTI" rollout show app -o json --jq .state | grep -q good || fail 'v2 is not good'

echo '4. The next breaks on the first target: it alone goes back, and the version is known to be bad.'
"$TUTTI" rollout start app v3 >/dev/null 2>&1 || fail 'start v3'
report v2 v2 v2 v2
broken=$("$TUTTI" rollout targets app --outcome pending -o name)
"$TUTTI" api POST "$ns/orchestrate" -d "{\"others\": true, \"reports\": [{\"name\": \"$broken\", \"version\": \"v3\", \"health\": \"failed\"}]}" >/dev/null || fail 'report a failure'
report v2 v2 v2 v2
"$TUTTI" rollout show app -o json --jq '.state + " " + .good + " " + .bad[0]' | grep -q 'reverted v2 v3' || { "$TUTTI" rollout show app; fail 'v3 is not back'; }
"$TUTTI" rollout start app v3 >"$dir/refused" 2>&1 && fail 'a bad version is set again'
grep -q 'known to be bad' "$dir/refused" || { cat "$dir/refused"; fail 'the refusal does not say why'; }

echo '5. A controller of another orchestrator, by its paths and its JSON.'
"$TUTTI" api POST /v1/orchestrate/default/old/version -d '{"version": "v1"}' | grep -q success || fail 'version'
"$TUTTI" api POST /v1/orchestrate/default/old -d '[{"name": "a", "version": "v0"}]' | grep -q '"v1"' || fail 'orchestrate'
"$TUTTI" api GET /v1/orchestrate/default/entities | grep -q old || fail 'entities'
echo 'All of it holds.'
