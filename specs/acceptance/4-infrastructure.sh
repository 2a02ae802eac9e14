#!/bin/sh
# Issue 4, "Requests that become infrastructure", shown from a clean checkout: a file that asks for twenty-one
# resources and becomes one commit, their change, a stale change that is refused, the way back, their end; an
# alert that becomes a request, once; task types for what data centres run. What needs a Terraform, an Ansible
# or a vCenter is shown by examples/vm-terraform-ansible (make example) and the demo.
# Run from the root of the repository with TUTTI set to the binary.
. specs/acceptance/common

cat >"$dir/lab.yaml" <<'END'
kind: ResourceType
name: lab
title: Machine of the laboratory
schema:
  type: object
  required: [name]
  properties:
    name: { type: string, pattern: "^[a-z][a-z0-9-]{2,30}$" }
    cpu: { type: integer, minimum: 1, maximum: 4, default: 1 }
handler: |
  def handle(spec, context):
      if spec["cpu"] == 3:
          problem("cpu", "three is odd", "ask for 2 or 4")
      return {"name": spec["name"], "cpu": spec["cpu"], "os": {"name": "debian-12"}}
repository: lab
os: ${{ spec.os.name }}
workflow: lab.make
inputs: { name: "${{ spec.name }}", cpu: "${{ spec.cpu }}", commit: "${{ source.commit }}" }
actions:
  modify: { workflow: lab.make, inputs: { name: "${{ spec.name }}", cpu: "${{ spec.cpu }}", commit: "${{ source.commit }}" } }
  delete: { workflow: lab.remove, inputs: { name: "${{ spec.name }}" } }
---
kind: Workflow
name: lab.make
inputs: { type: object, required: [name, cpu, commit], properties: { name: { type: string }, cpu: { type: integer }, commit: { type: string } } }
tasks: { make: { use: noop, with: { name: "${{ inputs.name }}", cpu: "${{ inputs.cpu }}", commit: "${{ inputs.commit }}" } } }
outputs: { cpu: "${{ tasks.make.out.cpu }}", commit: "${{ tasks.make.out.commit }}" }
---
kind: Workflow
name: lab.remove
inputs: { type: object, required: [name], properties: { name: { type: string } } }
tasks: { remove: { use: noop, with: { name: "${{ inputs.name }}" } } }
---
kind: Trigger
name: more
match: { alertname: HighLoad }
request: { entry: lab, params: { name: "more-${{ n }}" } }
ceiling: 1
cooldown: 1s
END
cat >"$dir/many.yaml" <<'END'
kind: Request
name: exercise
resources:
  - { entry: lab, count: 20, params: { name: pupil } }
  - { entry: lab, params: { name: teacher, cpu: 2 } }
END
sed 's/cpu: 2/cpu: 3/; s/count: 20/count: 0/' "$dir/many.yaml" >"$dir/wrong.yaml"

echo '1. A request for many resources: checked as a whole, one commit, all of them built.'
serve
login
"$TUTTI" apply -f "$dir/lab.yaml" >/dev/null 2>&1 || fail 'apply'
"$TUTTI" request create -f "$dir/wrong.yaml" >"$dir/wrong.out" 2>&1 && fail 'a request with mistakes is accepted'
grep -q 'wrong.yaml:[0-9]*:[0-9]*' "$dir/wrong.out" || { cat "$dir/wrong.out"; fail 'the mistakes have no place'; }
"$TUTTI" request create -f "$dir/many.yaml" --wait -o json >"$dir/many.json" 2>"$dir/many.err" || { cat "$dir/many.err"; fail 'the request does not succeed'; }
[ "$("$TUTTI" resource list lab --limit 100 -o name 2>/dev/null | grep -c '^lab/')" = 21 ] || fail 'there are not 21 resources'
echo '   21 resources of one request'

echo '2. Its file, by git: one commit, which names request and trace.'
if command -v git >/dev/null; then
	git -c "http.extraHeader=Authorization: Basic $(printf 'x:%s' "$TUTTI_TOKEN" | base64 | tr -d '\n')" clone -q "$TUTTI_SERVER/v1/namespaces/default/repositories/lab/git" "$dir/clone" || fail 'git clone'
	[ "$(git -C "$dir/clone" log --oneline | wc -l)" = 2 ] || { git -C "$dir/clone" log --oneline; fail "it is not one commit on top of the first"; }
	git -C "$dir/clone" log -1 --format=%B | grep -q 'Trace: [0-9a-f]' || fail 'the commit does not name the trace'
	[ -s "$dir/clone/resources/teacher.json" ] && [ -s "$dir/clone/metadata.json" ] || { ls -R "$dir/clone"; fail 'the files are not there'; }
	first=$(git -C "$dir/clone" rev-parse HEAD)
else
	echo '   skipped: git is not installed'
	first=
fi

echo '3. Changed, refused where somebody else was faster, put back, deleted.'
"$TUTTI" resource modify lab teacher -p cpu=4 --wait >/dev/null 2>"$dir/err" || { cat "$dir/err"; fail 'modify'; }
if [ -n "$first" ]; then
	"$TUTTI" resource modify lab teacher -p cpu=1 --base "$first" >"$dir/stale" 2>&1 && fail 'a change of what has moved on is accepted'
	"$TUTTI" resource rollback lab teacher "$first" --wait >/dev/null 2>"$dir/err" || { cat "$dir/err"; fail 'rollback'; }
	"$TUTTI" resource show lab teacher -o json --jq .spec.cpu | grep -q '^2$' || { "$TUTTI" resource show lab teacher; fail 'it is not as it was'; }
fi
"$TUTTI" resource delete lab pupil-01 --wait >/dev/null 2>"$dir/err" || { cat "$dir/err"; fail 'delete'; }
[ "$("$TUTTI" resource list lab --limit 100 -o name 2>/dev/null | grep -c '^lab/')" = 20 ] || fail 'the deleted one is still there'

echo '4. An alert becomes a request, once, and no more than the ceiling.'
for n in 1 1 2; do
	"$TUTTI" api POST /v1/namespaces/default/triggers/more/alerts -d "{\"version\":\"4\",\"status\":\"firing\",\"alerts\":[{\"status\":\"firing\",\"labels\":{\"alertname\":\"HighLoad\"},\"startsAt\":\"2026-01-01T00:00:00Z\",\"fingerprint\":\"f$n\"}]}" >"$dir/alert" || { cat "$dir/alert"; fail 'the alert is not taken'; }
done
tries=0
until [ "$("$TUTTI" resource list lab --limit 100 -o name 2>/dev/null | grep -c '^lab/more-')" = 1 ]; do
	tries=$((tries + 1))
	[ $tries -lt 300 ] || { "$TUTTI" trigger show more; fail 'the alert made nothing'; }
	sleep 0.1
done
[ "$("$TUTTI" request list --limit 100 -o json --jq '[.items[] | select(.name | startswith("more"))] | length' 2>/dev/null)" = 1 ] || { "$TUTTI" request list; fail 'it made more than one request'; }

echo '5. Task types for NetBox, phpIPAM, Infoblox, ServiceNow, Zabbix, Foreman: applied.'
"$TUTTI" apply -f examples/task-types >/dev/null 2>"$dir/err" || { cat "$dir/err"; fail 'apply of the task types'; }
[ "$("$TUTTI" task list -o name 2>/dev/null | grep -c '^\(netbox\|phpipam\|infoblox\|servicenow\|zabbix\|foreman\)\.')" = 13 ] || fail 'not all of them are listed'

kill -INT $pid
wait $pid || fail 'the server does not end well'
pid=
"$TUTTI" fsck --data "$dir/data" >/dev/null || fail 'what the server kept is not sound'
echo 'All of it holds.'
