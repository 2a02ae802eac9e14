#!/bin/sh
# Issue 2, "The engine complete, fast, and proven on one machine", shown from a clean checkout: every
# construct of the language, workflows played and crashed without a server, a server killed with -9 whose
# runs go on, and the check of what it kept.
# Run from the root of the repository with TUTTI set to the binary.
. specs/acceptance/common

echo '1. Every construct of the language: the tests beside the examples.'
"$TUTTI" workflow test examples/language >"$dir/tests.out" 2>&1 || { cat "$dir/tests.out"; fail 'an example does not do what its test says'; }
tail -n 1 "$dir/tests.out"

echo '2. Checked, simulated, and crashed at every decision, without a server.'
cat >"$dir/flow.yaml" <<'END'
kind: Workflow
name: flow
inputs: { type: object, required: [key], properties: { key: { type: string } } }
onFailure: undo
tasks:
  first: { use: noop, with: { key: "${{ inputs.key }}" }, retry: { max: 2, wait: 1s }, undo: { use: noop } }
  pause: { use: wait, needs: [first], with: { for: 2s } }
  items: { each: { in: "[1, 2, 3]", parallel: 2, tolerate: 1 }, needs: [first], use: noop, with: { n: "${{ item }}" } }
  last: { use: noop, needs: [pause, items], limit: { key: last }, with: { key: "${{ tasks.first.out.key }}" } }
outputs: { key: "${{ tasks.last.out.key }}" }
END
"$TUTTI" workflow validate "$dir/flow.yaml" || fail 'a sound workflow is refused'
printf 'kind: Workflow\nname: bad\ntasks: {a: {use: noop, needs: [b]}, b: {use: noop, needs: [a]}}\n' >"$dir/bad.yaml"
"$TUTTI" workflow validate "$dir/bad.yaml" >"$dir/bad.out" 2>&1 && fail 'a cycle is not refused'
grep -q 'a -> b -> a' "$dir/bad.out" || { cat "$dir/bad.out"; fail 'the cycle is not named'; }
"$TUTTI" workflow simulate "$dir/flow.yaml" -p key=k --crash everywhere >"$dir/crash.out" 2>&1 || { cat "$dir/crash.out"; fail 'a crash changes the outcome'; }
"$TUTTI" workflow simulate "$dir/flow.yaml" -p key=k --fail last=1 >"$dir/undo.out" 2>&1 && { cat "$dir/undo.out"; fail 'a failed run is called a success'; }
tail -n 3 "$dir/crash.out"

echo '3. A server killed with -9 while its runs go on, and started again: all of them end, each once.'
serve
login
"$TUTTI" apply -f "$dir/flow.yaml" >/dev/null 2>&1 || fail 'apply'
n=0
while [ $n -lt 10 ]; do
	n=$((n + 1))
	"$TUTTI" run start flow -p key=k$n --key key$n -o name >>"$dir/runs" 2>/dev/null || fail 'a run is not accepted'
done
kill -9 $pid
wait $pid 2>/dev/null
serve
n=0
while read -r run; do
	n=$((n + 1))
	"$TUTTI" wait "$run" --timeout 60s -o json >"$dir/run.json" 2>/dev/null || { cat "$dir/run.json"; fail "run $run does not succeed"; }
	[ "$("$TUTTI" run start flow -p key=k$n --key key$n -o name 2>/dev/null)" = "$run" ] || fail "key$n makes another run"
done <"$dir/runs"
[ "$("$TUTTI" run list -o name 2>/dev/null | grep -c '^run_')" = 10 ] || fail 'there are not ten runs'
echo '   ten runs, accepted before the kill, succeeded after it'

echo '4. A run is exported with everything, and read elsewhere without its server; it is explained, and as of any event.'
run=$(head -n 1 "$dir/runs")
"$TUTTI" run export "$run" >"$dir/run.export" || fail 'export'
TUTTI_SERVER=http://127.0.0.1:1 "$TUTTI" run tasks --file "$dir/run.export" -o name >"$dir/tasks" || fail 'the export cannot be read'
grep -q 'last' "$dir/tasks" || { cat "$dir/tasks"; fail 'the export has not all tasks'; }
"$TUTTI" run show "$run" --at 1 -o json --jq .state | grep -q succeeded && fail 'the run had succeeded at its first event'
cat >"$dir/held.yaml" <<'END'
kind: Workflow
name: held
tasks: { ok: { use: approval } }
END
held=$("$TUTTI" run start -f "$dir/held.yaml" -o name 2>/dev/null) || fail 'no run'
"$TUTTI" run why "$held" >"$dir/why" || fail 'why'
grep -q 'ok' "$dir/why" || { cat "$dir/why"; fail 'why does not name what the run waits for'; }

echo '5. A short measurement, beside its ceiling.'
timeout 120 "$TUTTI" bench --workload chain10 --workers inprocess --mode saturation --rounds 1 --window 1s --dir "$dir" -o json >"$dir/bench.json" 2>"$dir/bench.err" || { cat "$dir/bench.err"; fail 'bench'; }
grep -q '"ratio"' "$dir/bench.json" || { cat "$dir/bench.json"; fail 'the bench says no ratio'; }

echo '6. What the server kept is sound.'
"$TUTTI" fsck --data "$dir/data" >"$dir/fsck.out" 2>&1 && fail 'fsck looks at what a server uses'
kill -INT $pid
wait $pid || fail 'the server does not end well'
pid=
"$TUTTI" fsck --data "$dir/data" || fail 'what the server kept is not sound'

echo 'All of it holds.'
