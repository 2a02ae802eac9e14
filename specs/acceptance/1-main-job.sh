#!/bin/sh
# Issue 1, "The house, and the main job end to end", shown from a clean checkout: a machine that is asked
# for and built; the same request completed after kill -9, with one machine; the sizes that were promised.
# Run from the root of the repository with TUTTI set to the binary.
. specs/acceptance/common

# ms prints the time in milliseconds.
ms() { date +%s%3N; }

echo '1. The main job: the demo asks for a machine, builds it, and reads it back.'
began=$(ms)
"$TUTTI" demo --once --data "$dir/once" --listen 127.0.0.1:0 >"$dir/once.out" 2>&1 || { cat "$dir/once.out"; fail 'the demo did not end well'; }
took=$(($(ms) - began))
cat "$dir/once.out"
grep -q 'web-dev-01 (vm-[0-9]*)   2 CPU   8 GB memory   disk 100 GB   network INTRANET_DEV' "$dir/once.out" || fail 'the machine is not in the vCenter'
grep -q '^  [0-9a-f]\{40\}   Build web-dev-01   Trace: [0-9a-f]\{32\}$' "$dir/once.out" || fail 'the commit is not in git'
grep -q 'Received: virtual-machine web-dev-01' "$dir/once.out" || fail 'no mail tells that the request was received'
grep -q 'Succeeded: virtual-machine web-dev-01' "$dir/once.out" || fail 'no mail tells that the request succeeded'
echo "   took $took ms, promised are 5000 ms on a machine that does nothing else"
[ $took -lt 30000 ] || fail 'the demo took too long on any machine'

echo '2. Killed with -9 while the vCenter builds, and started again: the same request, one machine.'
"$TUTTI" demo --data "$dir/kill" --listen 127.0.0.1:0 --pause 4s >"$dir/kill.out" 2>&1 &
pid=$!
await "$dir/kill.out" 'running    create'
sleep 1 # so that the vCenter has begun
kill -9 $pid
wait $pid 2>/dev/null
pid=
request=$(sed -n 's/^\(req_[a-z0-9]*\) accepted.*/\1/p' "$dir/kill.out")
[ -n "$request" ] || fail 'no request was accepted'
"$TUTTI" demo --once --data "$dir/kill" --listen 127.0.0.1:0 >"$dir/again.out" 2>&1 || { cat "$dir/again.out"; fail 'the request did not end well'; }
cat "$dir/again.out"
grep -q "Request $request .* was not finished" "$dir/again.out" || fail "it was not $request that went on"
grep -q 'create .*attempt 2' "$dir/again.out" || fail 'the machine was not being built when the demo was killed'
[ "$(grep -c '(vm-[0-9]*)   2 CPU' "$dir/again.out")" = 1 ] || fail 'the vCenter does not hold one machine'
grep -q 'It holds 1 machine in all' "$dir/again.out" || fail 'the vCenter holds more than the one machine'

echo '3. Sizes.'
size=$(wc -c <"$TUTTI")
echo "   binary: $((size / 1000000)) MB, limit 70 MB"
[ "$size" -lt 70000000 ] || fail 'the binary is too large'
best=
mkfifo "$dir/said" || exit 1
for n in 1 2 3 4 5 6 7 8 9 10; do
	began=$(ms)
	"$TUTTI" serve --data "$dir/serve" --listen 127.0.0.1:0 >"$dir/said" 2>&1 &
	pid=$!
	exec 3<"$dir/said"
	ready=
	while [ -z "$ready" ] && read -r line <&3; do
		case $line in *'is ready at'*) ready=1 ;; esac
	done
	took=$(($(ms) - began))
	[ -n "$ready" ] || fail "the server does not start: $line"
	kill -INT $pid
	cat <&3 >/dev/null
	wait $pid || fail 'the server does not end well'
	exec 3<&-
	pid=
	[ -n "$best" ] && [ "$best" -le $took ] || best=$took
	[ $n -lt 3 ] || [ "$best" -ge 300 ] || break # on a busy machine it is tried more often
done
echo "   ready $best ms after the start of the process (best of $n), promised are 300 ms on a machine that does nothing else"
[ "$best" -lt 2000 ] || fail 'the server takes too long to be ready on any machine'

echo 'All of it holds.'
