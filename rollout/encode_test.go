package rollout

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// eventful is a rollout in the middle of everything.
func eventful(t testing.TB) *Rollout {
	r, err := New(Policy{
		Waves: []Amount{Count(1), Percent(10), Percent(50)}, Success: 90, Soak: time.Minute, Bake: time.Minute, Spread: "zone",
		Limits: []Limit{{Per: "zone", MaxUnavailable: Percent(50)}}, Gates: []Gate{{Name: "slo"}}, Silence: 10 * time.Minute,
		Freeze: []Window{{Every: []time.Weekday{time.Sunday}, Start: time.Hour, End: 2 * time.Hour, Why: "backup"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	do(t, r, start, Command{Verb: MarkGood, Version: "v1", By: "ann"})
	do(t, r, start, Command{Verb: MarkBad, Version: "v0", By: "ann"})
	do(t, r, start, Command{Verb: SetVersion, Version: "v2"})
	var reports []Report
	for i := range 12 {
		reports = append(reports, Report{Target: Target{Group: "g", Name: string(rune('a' + i))}, Version: "v1", Priority: int32(i % 2),
			Labels: map[string]string{"zone": string(rune('x' + i%3)), "service": "web"}, Message: "it's ok"})
	}
	for i := range 12 {
		for j := range reports {
			if s, ok := r.Target(reports[j].Target); ok && s.Wanted != "" && j != 3 {
				reports[j].Version = s.Wanted
			}
		}
		in := Input{Now: start.Add(time.Duration(i) * time.Minute), Reports: reports[:11]}
		if i > 2 {
			in.Answers = []Answer{{Gate: "slo", Wave: r.Status().Wave, Result: Pass}}
		}
		r.Step(in)
	}
	do(t, r, start.Add(time.Hour), Command{Verb: Pause, By: "ann", Why: "looks odd"})
	return r
}

// What version 1 wrote is read for ever, and means the same.
func TestGolden(t *testing.T) {
	t.Parallel()
	r := eventful(t)
	data, err := r.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "eventful.v1")
	if *update {
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, data) {
		t.Errorf("the encoding changed: a later format needs a number of its own, and %s is still to be read", file)
	}
	var old Rollout
	if err := old.UnmarshalBinary(golden); err != nil {
		t.Fatal(err)
	}
	if got, want := old.Status(), r.Status(); !reflect.DeepEqual(got, want) {
		t.Errorf("Status of the golden one = %+v; want %+v", got, want)
	}
	if err := check(&old); err != nil {
		t.Error(err)
	}
	if again, _ := old.MarshalBinary(); !bytes.Equal(again, golden) {
		t.Error("what was read is written differently")
	}
}

// Changes, applied one after the other, are the whole.
func TestChangesAreTheWhole(t *testing.T) {
	t.Parallel()
	r := &Rollout{}
	stored := map[Target][]byte{}
	var head []byte
	save := func() int {
		c := r.Changes()
		head = c.Head
		for _, rec := range c.Targets {
			if rec.Data == nil {
				delete(stored, rec.Target)
			} else {
				stored[rec.Target] = rec.Data
			}
		}
		return len(c.Targets)
	}
	report := func(minute int, names, version string) {
		var reports []Report
		for _, name := range names {
			reports = append(reports, Report{Target: Target{Name: string(name)}, Version: version, Gone: version == "gone"})
		}
		r.Step(Input{Now: start.Add(time.Duration(minute) * time.Minute), Reports: reports})
	}
	report(0, "abcdef", "v1")
	for i, c := range []struct {
		names, version string
		want           int
	}{{"", "", 6}, {"abc", "v1", 0}, {"ab", "v2", 2}, {"c", "gone", 1}, {"cg", "v3", 2}, {"abcdefg", "v3", 5}, {"abcdefg", "v4", 7}} {
		report(i, c.names, c.version)
		if got := save(); got != c.want {
			t.Errorf("after %q on %s %d targets are to be stored; want %d", c.names, c.version, got, c.want)
		}
	}
	change := Change{Head: head}
	for target, data := range stored {
		change.Targets = append(change.Targets, Record{target, data})
	}
	loaded, err := Load(change)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := loaded.MarshalBinary()
	if want, _ := r.MarshalBinary(); !bytes.Equal(got, want) {
		t.Errorf("what was stored in pieces is\n%q\nwant\n%q", got, want)
	}
}

// FuzzUnmarshal: what is no stored rollout is refused, and what is one works.
func FuzzUnmarshal(f *testing.F) {
	data, _ := eventful(f).MarshalBinary()
	f.Add(data)
	empty, _ := new(Rollout).MarshalBinary()
	f.Add(empty)
	f.Add([]byte("rollout\x01\x02{}\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &Rollout{}
		if err := r.UnmarshalBinary(data); err != nil {
			if r.classIDs != nil {
				t.Error("an error changed the rollout")
			}
			return
		}
		if err := check(r); err != nil {
			t.Fatal(err)
		}
		now := at(r.head.Now)
		for i := range 4 {
			r.Step(Input{Now: now.Add(time.Duration(i) * time.Hour), Others: i%2 == 0, Reports: []Report{{Target: Target{Name: "a"}, Version: "v2"}}})
			if err := check(r); err != nil {
				t.Fatal(err)
			}
		}
		r.Status()
		if _, err := r.MarshalBinary(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzLedger: the same of a ledger.
func FuzzLedger(f *testing.F) {
	l, _ := NewLedger(Budget{Name: "b", Max: Count(1)})
	data, _ := l.MarshalBinary()
	f.Add(data)
	f.Add([]byte(`{"format":1,"budgets":[{"name":"b","max":"5%"}],"uses":{"1:b":{"e":{"total":3,"changing":1}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := &Ledger{}
		if l.UnmarshalBinary(data) == nil {
			l.Uses()
			l.Drop("e")
			if _, err := l.MarshalBinary(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzParseAmount(f *testing.F) {
	for _, s := range []string{"1", "10%", "0.5%", "", "-1", "101%", "NaN%", "1e9", "0x1p-2%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAmount(s)
		if err != nil {
			return
		}
		if again, err := ParseAmount(a.String()); err != nil || again != a {
			t.Errorf("ParseAmount(%q) = %v, which reads back as %v, %v", s, a, again, err)
		}
		for _, n := range []int{0, 1, 7, 1 << 30} {
			if of := a.Of(n); of < 0 || of > n || a.AtMost(n) > of || a.AtLeast(n) > n {
				t.Errorf("%v of %d: %d, at most %d, at least %d", a, n, of, a.AtMost(n), a.AtLeast(n))
			}
		}
	})
}
