package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The streams are what go test -json of Go 1.26 prints, shortened.
func TestReport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ stream, want string }{
		"pass and skip": {
			stream: `{"Action":"start","Package":"tutti/a"}
{"Action":"run","Package":"tutti/a","Test":"TestX"}
{"Action":"output","Package":"tutti/a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"tutti/a","Test":"TestX","Output":"    a_test.go:3: SKIPPED: no cat\n"}
{"Action":"output","Package":"tutti/a","Test":"TestX","Output":"--- SKIP: TestX (0.00s)\n"}
{"Action":"skip","Package":"tutti/a","Test":"TestX","Elapsed":0}
{"Action":"output","Package":"tutti/a","Test":"TestY","Output":"    a_test.go:9: chatter\n"}
{"Action":"pass","Package":"tutti/a","Test":"TestY","Elapsed":0}
{"Action":"output","Package":"tutti/a","Output":"PASS\n"}
{"Action":"output","Package":"tutti/a","Output":"ok  \ttutti/a\t0.002s\n"}
{"Action":"pass","Package":"tutti/a","Elapsed":0.002}
{"Action":"output","Package":"tutti/b","Output":"?   \ttutti/b\t[no test files]\n"}
{"Action":"skip","Package":"tutti/b","Elapsed":0}
`,
			want: `
Skipped, so not checked here:
  no cat
      tutti/a TestX

go test took 1.5s
tests: 1 passed, 0 failed, 1 skipped
ok  	tutti/a	0.002s
`},
		"failure": {
			stream: `{"Action":"output","Package":"tutti/a","Test":"TestX","Output":"    a_test.go:3: X() = 1; want 2\n"}
{"Action":"output","Package":"tutti/a","Test":"TestX","Output":"--- FAIL: TestX (0.00s)\n"}
{"Action":"fail","Package":"tutti/a","Test":"TestX","Elapsed":0}
{"Action":"output","Package":"tutti/a","Output":"FAIL\n"}
{"Action":"output","Package":"tutti/a","Output":"FAIL\ttutti/a\t0.002s\n"}
{"Action":"fail","Package":"tutti/a","Elapsed":0.002}
`,
			want: `    a_test.go:3: X() = 1; want 2
--- FAIL: TestX (0.00s)
FAIL

go test took 1.5s
tests: 0 passed, 1 failed, 0 skipped
FAIL	tutti/a	0.002s
`},
		"panic": {
			stream: `{"Action":"run","Package":"tutti/a","Test":"TestX"}
{"Action":"output","Package":"tutti/a","Test":"TestX","Output":"panic: oh\n"}
{"Action":"output","Package":"tutti/a","Output":"FAIL\ttutti/a\t0.002s\n"}
{"Action":"fail","Package":"tutti/a","Elapsed":0.002}
`,
			want: `panic: oh

go test took 1.5s
tests: 0 passed, 0 failed, 0 skipped
FAIL	tutti/a	0.002s
`},
		"does not build": {
			stream: `{"ImportPath":"tutti/a","Action":"build-output","Output":"a.go:3: undefined: y\n"}
{"ImportPath":"tutti/a","Action":"build-fail"}
{"Action":"output","Package":"tutti/a","Output":"FAIL\ttutti/a [build failed]\n"}
{"Action":"fail","Package":"tutti/a","Elapsed":0}
`,
			want: `a.go:3: undefined: y

go test took 1.5s
tests: 0 passed, 0 failed, 0 skipped
FAIL	tutti/a [build failed]
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			r := newReport(&b, false)
			if err := r.read(strings.NewReader(c.stream)); err != nil {
				t.Fatal(err)
			}
			r.summary(1480 * time.Millisecond)
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Errorf("report differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadRefusesWhatIsNotJSON(t *testing.T) {
	t.Parallel()
	if err := newReport(&strings.Builder{}, false).read(strings.NewReader("flag provided but not defined\n")); err == nil {
		t.Error("read of a line that is no event = nil; want an error")
	}
}
