package dropin

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/document"
)

// lookEvery is how often the folder is looked at, and how long a file must be left alone to count as
// written.
const lookEvery = 2 * time.Second

// stamp tells a version of a file from another.
type stamp struct {
	mod  time.Time
	size int64
}

// folder remembers which files were dealt with.
type folder struct {
	s    *Service
	done map[string]stamp
	seen map[string]stamp // at the last look
	told string           // the last error of the folder itself
}

// watch applies the files of the folder, now and whenever they change, until ctx ends. A file that
// goes leaves its task types as they are: runs and workflows may use them.
func (s *Service) watch(ctx context.Context) {
	f := folder{s: s, done: map[string]stamp{}, seen: map[string]stamp{}}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for first := true; ctx.Err() == nil; first = false {
		f.look(ctx, first)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}

// look applies what changed. Unless it is the first look, a file counts once it stayed as it was since
// the look before, so that none is read half-written.
func (f *folder) look(ctx context.Context, first bool) {
	entries, err := os.ReadDir(f.s.c.Dir)
	if err != nil {
		if f.told != err.Error() {
			f.told = err.Error()
			f.s.d.Log.Error("the folder of task types cannot be read", "err", err)
		}
		return
	}
	f.told = ""
	now := map[string]stamp{}
	for _, e := range entries {
		name := e.Name()
		if ext := filepath.Ext(name); strings.HasPrefix(name, ".") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		info, err := os.Stat(filepath.Join(f.s.c.Dir, name)) // follows links, as mounted files are
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		at := stamp{info.ModTime(), info.Size()}
		now[name] = at
		if f.done[name] == at || !first && f.seen[name] != at {
			continue
		}
		if f.apply(ctx, name) {
			f.done[name] = at
		}
	}
	f.seen = now
	for name := range f.done {
		if _, there := now[name]; !there {
			delete(f.done, name)
		}
	}
}

// apply applies a file and reports whether it is dealt with: a broken one is, until it changes; one
// that could not be applied for another reason is tried again.
func (f *folder) apply(ctx context.Context, name string) bool {
	log := f.s.d.Log.With("file", name)
	text, err := os.ReadFile(filepath.Join(f.s.c.Dir, name))
	if err != nil {
		log.Error("the task types of a file cannot be read", "err", err)
		return true
	}
	if !utf8.Valid(text) {
		log.Error("the task types of a file are not applied: it is not UTF-8 text")
		return true
	}
	namespace := "default"
	docs, _ := document.Parse(name, text)
	for _, d := range docs {
		switch own := namespaceOf(d); {
		case d.Kind != api.KindTaskType:
			log.Error("the file is not applied: the folder is for task types", "kind", d.Kind, "name", d.Name)
			return true
		case own != "":
			namespace = own
		}
	}
	out, err := api.ApplyDefinitions.Call(bus.AsService(ctx, f.s.d.Name), f.s.d.Bus, api.ApplyIn{NS: api.NS{Namespace: namespace},
		Body: api.ApplyBody{Files: []api.SourceFile{{Name: name, Text: string(text)}}, Note: "from the folder of task types"}})
	if k := errs.KindOf(err); err != nil && (k == errs.Unavailable || k == errs.Limited || k == errs.Internal || ctx.Err() != nil) {
		log.Debug("the task types of a file are not applied yet", "err", err)
		return false
	}
	if err != nil {
		log.Error("the task types of a file are not applied; what was applied before stays", "err", err)
		for _, p := range errs.Public(err).Problems {
			log.Error("in the file", "at", p.Location, "problem", p.Message, "hint", p.Hint)
		}
		return true
	}
	for _, c := range out.Changes {
		if c.Action != "unchanged" {
			log.Info("task type applied", "name", c.Name, "version", c.Version, "namespace", namespace)
		}
	}
	return true
}
