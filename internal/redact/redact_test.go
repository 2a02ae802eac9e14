package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tutti/internal/redact"
)

func TestString(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		secrets  []string
		in, want string
	}{
		{nil, "text", "text"},
		{[]string{""}, "text", "text"},
		{[]string{"hunter2"}, "", ""},
		{[]string{"hunter2"}, "hunter2", "***"},
		{[]string{"hunter2"}, "password=hunter2;", "password=***;"},
		{[]string{"hunter2"}, "hunter2hunter2", "******"},
		{[]string{"hunter2"}, "hunter hunter22 Hunter2", "hunter ***2 Hunter2"},
		{[]string{"abcd", "cdef"}, "xabcdefx", "x***x"},
		{[]string{"abcd", "abcdefgh"}, "abcdef abcdefgh", "***ef ***"},
		{[]string{"aaaa"}, "aaaaaaa", "***"},
		{[]string{"x"}, "axxb", "a******b"},
		{[]string{"ab"}, "cabab", "c******"},
		{[]string{"ab"}, base64.StdEncoding.EncodeToString([]byte("ab")) + hex.EncodeToString([]byte("ab")), "YWI=6162"},
		{[]string{"hunter2\n"}, "hunter2", "***"},
		{[]string{"-----BEGIN KEY-----\nMIIEvQIBADAN\nxyz\n-----END KEY-----\n"}, "-----BEGIN KEY-----\n| MIIEvQIBADAN\nxyz", "-----BEGIN KEY-----\n| ***\nxyz"},
		{[]string{"line one\nline two"}, "line one\r\nline two", "***"},
		{[]string{"p@ss/w\"rd"}, `p%40ss%2Fw%22rd p@ss/w\"rd p\u0040ss\/w\u0022rd p@ss/w&quot;rd {\"p\":\"p@ss/w\\\"rd\"}`, `*** *** *** *** {\"p\":\"***\"}`},
		{[]string{"päss😀1"}, `p%C3%A4ss%f0%9f%98%801 p\u00e4ss\ud83d\ude001 päss😀1`, "*** *** ***"},
		{[]string{"two words"}, "two+words two%20words two words twowords", "*** *** *** twowords"},
		{[]string{"%25%25"}, "%25%25 %2525%2525", "*** ***"},
	} {
		r := redact.New(tc.secrets)
		if got := r.String(tc.in); got != tc.want {
			t.Errorf("New(%q).String(%q) = %q; want %q", tc.secrets, tc.in, got, tc.want)
		}
		if got := string(r.Bytes([]byte(tc.in))); got != tc.want {
			t.Errorf("New(%q).Bytes(%q) = %q; want %q", tc.secrets, tc.in, got, tc.want)
		}
	}
}

func TestEncodedForms(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		secret := rapid.StringMatching(`[A-Za-z0-9 "/\\+%&<>é€😀\n=_-]{6,40}`).Draw(rt, "secret")
		before, after := rapid.SliceOfN(rapid.Byte(), 0, 7).Draw(rt, "before"), rapid.SliceOfN(rapid.Byte(), 0, 7).Draw(rt, "after")
		around := append(append(bytes.Clone(before), secret...), after...)
		js, err := json.Marshal(secret)
		if err != nil {
			rt.Fatal(err)
		}
		js2, _ := json.Marshal(string(js))
		r := redact.New([]string{secret})
		for name, text := range map[string]string{
			"plain": secret, "json": string(js), "json in json": string(js2), "query": url.QueryEscape(secret), "path": url.PathEscape(secret), "html": html.EscapeString(secret),
			"hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
			"std": base64.StdEncoding.EncodeToString([]byte(secret)), "raw": base64.RawURLEncoding.EncodeToString([]byte(secret)),
			"query of base64": url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(secret))),
		} {
			if got := r.String("<" + text + ">"); !strings.Contains(got, redact.Mask) || len(got) > len(redact.Mask)+8 {
				rt.Fatalf("%s: String(%q) = %q", name, text, got)
			}
		}
		for name, enc := range map[string]*base64.Encoding{"std": base64.StdEncoding, "url": base64.URLEncoding, "raw std": base64.RawStdEncoding, "raw url": base64.RawURLEncoding} {
			text := enc.EncodeToString(around)
			for extra, in := range []string{text, wrap(text, rapid.IntRange(4, 20).Draw(rt, "width"))} {
				got := r.String(in)
				// No byte of the secret may be left, so what remains encodes only its surroundings,
				// and perhaps a digit before a line break.
				if rest := len(strings.NewReplacer(redact.Mask, "", "\n", "", "=", "").Replace(got)); rest > (8*len(before)+5)/6+(8*len(after)+5)/6+extra {
					rt.Fatalf("%s: String(%q) = %q", name, in, got)
				}
			}
		}
	})
}

func wrap(s string, width int) string {
	var b strings.Builder
	for i, c := range s {
		if i > 0 && i%width == 0 {
			b.WriteByte('\n')
		}
		b.WriteRune(c)
	}
	return b.String()
}

func TestValue(t *testing.T) {
	t.Parallel()
	r := redact.New([]string{"hunter2", "123456789"})
	in := map[string]any{
		"hunter2": true, "a": []any{"x hunter2", 1.5, nil, json.Number("123456789"), 123456789.0, 123456789, int64(123456789), 12},
		"b": map[string]any{"c": "clean"}, "d": []string{"hunter2"}, "e": []byte("my hunter2"), "f": struct{ P string }{"hunter2"}, "g": make(chan int),
	}
	before := fmt.Sprint(in)
	want := map[string]any{
		"***": true, "a": []any{"x ***", 1.5, nil, "***", "***", "***", "***", 12},
		"b": map[string]any{"c": "clean"}, "d": []any{"***"}, "e": "bXkg***", "f": map[string]any{"P": "***"}, "g": "***",
	}
	if diff := cmp.Diff(want, r.Value(in)); diff != "" {
		t.Errorf("Value (-want +got):\n%s", diff)
	}
	if fmt.Sprint(in) != before {
		t.Error("Value changed its argument")
	}
}

func TestWriterHoldsBackLittle(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := redact.New([]string{"hunter2"}).Writer(&out)
	for _, step := range []struct{ in, want string }{
		{"plain\n", "plain\n"}, {"hun", "plain\n"}, {"gry\n", "plain\nhungry\n"}, {"hunter", "plain\nhungry\n"}, {"2\n", "plain\nhungry\n***\n"}, {"hunte", "plain\nhungry\n***\n"},
	} {
		if n, err := w.Write([]byte(step.in)); n != len(step.in) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
		if out.String() != step.want {
			t.Errorf("after Write(%q) = %q; want %q", step.in, out.String(), step.want)
		}
	}
	if err := w.Flush(); err != nil || out.String() != "plain\nhungry\n***\nhunte" {
		t.Errorf("after Flush = %q, %v", out.String(), err)
	}
	w.Write([]byte("r2 hunter2"))
	if w.Flush(); out.String() != "plain\nhungry\n***\nhunter2 ***" {
		t.Errorf("after a second stream = %q", out.String())
	}
}

func TestWriterReportsErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	w := redact.New([]string{"hunter2"}).Writer(writerFunc(func([]byte) (int, error) { return 0, broken }))
	if _, err := w.Write([]byte("text")); !errors.Is(err, broken) {
		t.Errorf("Write = %v; want the error", err)
	}
	if err := w.Flush(); !errors.Is(err, broken) {
		t.Errorf("Flush = %v; want the error", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Secrets and texts full of near misses must not take more than linear time.
func TestNoBlowUp(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat(`\`, 200) + "x"
	text := strings.Repeat(`\`, 20_000)
	if got := redact.New([]string{secret, strings.Repeat("ab", 500)}).String(text + strings.Repeat("ab", 400)); !strings.HasPrefix(got, text) {
		t.Error("something was redacted")
	}
}

// FuzzChunks: no way to cut the stream makes a difference, and none leaves a secret.
func FuzzChunks(f *testing.F) {
	f.Add("hunter2", "abcd", "say hunter2 and aHVudGVyMg== abcdabc\nabcd", []byte{3, 1, 9})
	f.Add("aab", "aaab", "aaaaaabaaaab", []byte{1})
	f.Add("%2f", "/", "%2f/%252f", []byte{2})
	f.Add("x", "xy", "xyx", []byte{0})
	f.Fuzz(func(t *testing.T, a, b, text string, cuts []byte) {
		if len(a)+len(b) > 200 {
			return
		}
		text += a + b + base64.StdEncoding.EncodeToString([]byte("x"+a))
		r := redact.New([]string{a, b})
		want := r.String(text)
		for _, s := range []string{a, b} {
			if s != "" && !strings.Contains(s, "*") && strings.Contains(want, s) {
				t.Errorf("New(%q, %q).String(%q) = %q, which has a secret", a, b, text, want)
			}
		}
		var out strings.Builder
		w := r.Writer(&out)
		rest := text
		for i := 0; rest != ""; i++ {
			n := len(rest)
			if len(cuts) > 0 {
				n = min(n, 1+int(cuts[i%len(cuts)]))
			}
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(want, out.String()) {
				t.Fatalf("after %q the writer had written %q; want a beginning of %q", text[:len(text)-len(rest)+n], out.String(), want)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil || out.String() != want {
			t.Errorf("in chunks: %q, %v; want %q", out.String(), err, want)
		}
	})
}

func BenchmarkString(b *testing.B) {
	var secrets []string
	for i := range 50 {
		secrets = append(secrets, fmt.Sprintf("s3cr3t-%d-%s", i, strings.Repeat("k", i)))
	}
	r := redact.New(secrets)
	text := strings.Repeat(`{"time":"2026-01-01T00:00:00Z","level":"info","msg":"created disk 3 of 17 in 4.5 s","id":"vm-7k2m4qzt"}`+"\n", 1000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		r.String(text)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		redact.New([]string{strings.Repeat("k3y+", 16)})
	}
}
