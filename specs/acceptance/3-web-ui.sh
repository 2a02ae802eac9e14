#!/bin/sh
# Issue 3, "The web UI", shown from a clean checkout: the binary alone serves it, under a strict policy, and it
# is what the sources make; logging in by the API; searching what happened; and, where there is a browser, the way of
# a newcomer from ordering a machine to the line of the log that explains a failure.
# Run from the root of the repository with TUTTI set to the binary.
. specs/acceptance/common

command -v curl >/dev/null || { echo 'SKIPPED: curl is not installed'; exit 77; }

# header NAME prints a header of the last answer.
header() { tr -d '\r' <"$dir/head" | sed -n "s/^$1: //Ip" | head -n 1; }

# get PATH [FLAG...]: asks the server; head and body are then in files of these names.
get() {
	path=$1
	shift
	curl -sS -D "$dir/head" -o "$dir/body" "$@" "$TUTTI_SERVER$path" || fail "GET $path"
}

echo '1. The page and what it loads, with a policy that allows nothing from elsewhere.'
serve
get /requests -H 'Accept: text/html'
case $(header Content-Security-Policy) in
*"default-src 'self'"*) ;;
*) fail 'the page has no strict policy' ;;
esac
header Content-Security-Policy | grep -q 'unsafe' && fail 'the policy allows what is unsafe'
sed 's/"/\n/g' "$dir/body" | grep '^/assets/.*\.\(js\|css\)$' | sort -u >"$dir/assets"
[ -s "$dir/assets" ] || { cat "$dir/body"; fail 'the page loads nothing'; }
first=0
while read -r asset; do
	get "$asset" -H 'Accept-Encoding: gzip'
	head -n 1 "$dir/head" | grep -q ' 200' || fail "$asset is not served"
	case $(header Cache-Control) in *immutable*) ;; *) fail "$asset is not kept for good" ;; esac
	size=$(wc -c <"$dir/body")
	case $(header Content-Encoding) in gzip) ;; *) [ "$size" -lt 1500 ] || fail "$asset is not compressed" ;; esac
	first=$((first + size))
done <"$dir/assets"
get /assets/never-there.js
head -n 1 "$dir/head" | grep -q ' 404' || fail 'an asset that is not there is answered with something else'
echo "   the first look loads $first bytes"
[ $first -lt 200000 ] || fail 'the first look loads 200 kB or more'

echo '2. It is what the sources make.'
if command -v go >/dev/null; then
	go test -count=1 -run 'TestBuiltFromTheseSources|TestPageIsWhole' ./web >"$dir/web.out" 2>&1 || { cat "$dir/web.out"; fail 'web/dist does not belong to web/src'; }
	tail -n 1 "$dir/web.out"
else
	echo '   NOT SHOWN: go is not installed'
fi

echo '3. Logging in by the API, as the page does, and searching what happened.'
login
"$TUTTI" user create anna --role default=operator >/dev/null 2>&1 <<END || fail 'no user'
correct horse battery
END
curl -sS -c "$dir/jar" -H 'Content-Type: application/json' -H "Origin: $TUTTI_SERVER" -d '{"user":"anna","password":"correct horse battery"}' "$TUTTI_SERVER/v1/login" >/dev/null || fail 'no session'
grep -q tutti_session "$dir/jar" || fail 'logging in sets no cookie'
grep -q '#HttpOnly_' "$dir/jar" || fail 'scripts can read the cookie of the session'
printf 'kind: Workflow\nname: hello\ntasks: {greet: {use: noop}}\n' >"$dir/hello.yaml"
"$TUTTI" apply -f "$dir/hello.yaml" >/dev/null 2>&1 || fail 'apply'
"$TUTTI" run start hello --wait >/dev/null 2>&1 || fail 'a run does not end well'
get '/v1/namespaces/default/events?q=type:workflow.run%20state:succeeded&buckets=10' -b "$dir/jar"
grep -q '"type":"tutti.workflow.run.finished"' "$dir/body" || { cat "$dir/body"; fail 'the search does not find the run'; }
"$TUTTI" event search state:succeeded hello -o name | grep -q '^workflow/' || fail 'tutti event search does not find the run'
"$TUTTI" audit export --format csv type:definition.apply >"$dir/audit.csv" || fail 'the audit trail is not exported'
grep -q 'definition.apply' "$dir/audit.csv" || { cat "$dir/audit.csv"; fail 'the export holds no act'; }
get /v1/namespaces/default/audit -b "$dir/jar"
head -n 1 "$dir/head" | grep -q ' 403' || fail 'an operator reads the audit trail'

echo '4. A newcomer with a browser alone.'
if command -v go >/dev/null && { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then
	go test -count=1 -run 'TestNewcomer$' ./web/browsertest >"$dir/newcomer.out" 2>&1 || { cat "$dir/newcomer.out"; fail 'the newcomer does not get through'; }
	tail -n 1 "$dir/newcomer.out"
else
	echo '   NOT SHOWN: go or chromium is not installed'
fi
