package browsertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every page is drawn in both themes, wide and narrow, without a complaint of the browser, a fault of
// accessibility, or anything wider than the window. TUTTI_SHOTS names a folder for the pictures.
func TestPages(t *testing.T) {
	t.Parallel()
	b := Open(t)
	s := Serve(t)
	x := s.Fill()
	s.look(t)
	names := strings.NewReplacer("{succeeded}", x.Succeeded.ID, "{failed}", x.Failed.ID, "{waiting}", x.Waiting.ID, "{running}", x.Running.ID, "{many}", string(x.Many.ID))
	dir := os.Getenv("TUTTI_SHOTS")
	for _, p := range shots {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			session := s.Session("olga")
			switch p.who {
			case "":
			case "-":
				session = ""
			default:
				session = s.Session(p.who)
			}
			tab := b.Tab(t, s.Server, session)
			tab.Resize(1440, 900, "light")
			tab.Go(names.Replace(p.path))
			tab.See(p.see)
			tab.Forgive("status of 404 (Not Found) " + s.Server + p.path) // of the page itself
			for _, width := range []int64{1440, 400} {
				for _, theme := range []string{"light", "dark"} {
					tab.Resize(width, 900, theme)
					tab.Until("the theme "+theme, "document.documentElement.dataset.theme === "+quoted(theme))
					tab.Settled()
					look(t, tab, p.name, dir, width, theme)
				}
			}
		})
	}
}

func look(t *testing.T, tab *Tab, name, dir string, width int64, theme string) {
	t.Helper()
	if dir != "" {
		file := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, theme))
		if err := os.WriteFile(file, tab.Shot(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A theme changes colours and nothing else, so all rules are asked in one of them.
	rules := "all"
	if theme == "dark" {
		rules = "colour"
	}
	for _, f := range tab.Faults(rules) {
		t.Errorf("%s at %d pixels, %s: %s", name, width, theme, f)
	}
	if w := Eval[int64](tab, "document.documentElement.scrollWidth"); w > width {
		t.Errorf("%s at %d pixels is %d pixels wide", name, width, w)
	}
}
