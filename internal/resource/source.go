package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/store"
	"tutti/internal/workflow/expr"
)

// metadataFile says, in each commit, of what type its files are and which workflows act on them.
const metadataFile = "metadata.json"

// noCommit stands for a commit that is not made yet.
var noCommit = strings.Repeat("0", 40)

// pathOf is where the file of a resource is in its repository.
func pathOf(name string) string { return "resources/" + name + ".json" }

// source is the file of a resource at a commit.
func (t *resourceType) source(namespace, name, commit string) api.SourceRef {
	return api.SourceRef{Repository: t.repository, URL: "/v1/namespaces/" + namespace + "/repositories/" + t.repository + "/git", Commit: commit, Path: pathOf(name)}
}

func sourceValue(r api.SourceRef) map[string]any {
	return map[string]any{"repository": r.Repository, "url": r.URL, "commit": r.Commit, "path": r.Path}
}

// metadata is the content of metadataFile.
type metadata struct {
	Format    int            `json:"format"`
	Request   string         `json:"request"`
	Trace     string         `json:"trace"`
	Resources []metaResource `json:"resources"`
}

type metaResource struct {
	Type     string `json:"type"`
	Name     string `json:"name"`
	Action   string `json:"action"`
	File     string `json:"file"`
	OS       string `json:"os,omitempty"`
	Workflow string `json:"workflow"`
}

// fileRequest holds the resources of a request, looks whether they still stand where it believes, and
// commits their files: one commit for each repository. It may be called again at any time.
func (s *Service) fileRequest(ctx context.Context, in api.FileRequestIn) (api.Filed, error) {
	types := make([]*resourceType, len(in.Items))
	for i, it := range in.Items {
		def, err := api.GetDefinition.Call(s.asService(ctx), s.d.Bus, api.GetDefinitionIn{NS: in.NS, Kind: api.KindResourceType, Name: it.Type, Version: it.Version})
		if err == nil {
			types[i], err = s.typeOf(def)
		}
		if err != nil {
			return api.Filed{}, fmt.Errorf("resource type %s: %w", it.Type, err)
		}
	}
	err := s.d.DB.Tx(ctx, func(tx *store.Tx) error {
		for i, it := range in.Items {
			if !types[i].exclusive() {
				continue
			}
			if err := s.hold(ctx, tx, in, it); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return api.Filed{}, err
	}
	commits, err := s.commitFiles(ctx, in, types)
	if err != nil {
		return api.Filed{}, err
	}
	out := api.Filed{Items: make([]api.FiledItem, len(in.Items))}
	for i, it := range in.Items {
		if out.Items[i], err = s.filed(ctx, in, it, types[i], commits[types[i].repository]); err != nil {
			return api.Filed{}, err
		}
	}
	return out, nil
}

// hold takes a resource for a request. It returns errs.Conflict where another has it, or where it has
// moved on.
func (s *Service) hold(ctx context.Context, tx *store.Tx, in api.FileRequestIn, it api.FileItem) error {
	at := api.ResourceIn{NS: in.NS, Type: it.Type, Name: it.Name}
	holder, err := take(tx, at, in.Request)
	if err != nil {
		return err
	}
	if holder != in.Request {
		return busy(at, holder)
	}
	now, err := standing(tx, at)
	switch {
	case err != nil:
		return err
	case now == it.Base:
		return nil
	case it.Base == "":
		return exists(at)
	case now == "":
		return errs.New(errs.Conflict, "%s %s is gone", it.Type, it.Name).WithHint("see what happened: tutti resource history %s %s", it.Type, it.Name)
	}
	return stands(api.Ask{Type: it.Type, Name: it.Name, Base: it.Base}, api.Resource{Request: now})
}

// commitFiles makes the commits of a request and returns their hashes by repository.
func (s *Service) commitFiles(ctx context.Context, in api.FileRequestIn, types []*resourceType) (map[string]string, error) {
	commits := map[string]*api.CommitIn{}
	about := map[string]*metadata{}
	for i, it := range in.Items {
		t := types[i]
		if t.repository == "" {
			continue
		}
		c := commits[t.repository]
		if c == nil {
			c = &api.CommitIn{NS: in.NS, Repository: t.repository, Key: "request/" + in.Request + "/" + t.repository, Author: in.Requester, Message: in.Title,
				Trailers: map[string]string{"Request": in.Request, "Trace": in.Trace}, Files: map[string]string{}}
			commits[t.repository], about[t.repository] = c, &metadata{Format: 1, Request: in.Request, Trace: in.Trace}
		}
		os, err := t.system(it.Spec)
		if err != nil {
			return nil, err
		}
		m := about[t.repository]
		m.Resources = append(m.Resources, metaResource{Type: it.Type, Name: it.Name, Action: it.Action, File: pathOf(it.Name), OS: os, Workflow: it.Workflow})
		if it.Action == api.ActionDelete {
			c.Remove = append(c.Remove, pathOf(it.Name))
			continue
		}
		c.Files[pathOf(it.Name)] = indented(valueOf(it.Spec))
	}
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(commits)) {
		commits[name].Files[metadataFile] = indented(about[name])
		made, err := s.commit(bus.WithTrace(s.asService(ctx), in.Trace), *commits[name])
		if err != nil {
			return nil, err
		}
		out[name] = made.Hash
	}
	return out, nil
}

// system is the type of operating system of a resource; "" where its type says nothing.
func (t *resourceType) system(spec json.RawMessage) (string, error) {
	if t.os == nil {
		return "", nil
	}
	v, _, err := t.os.Eval(expr.Env{"spec": valueOf(spec)})
	if err != nil {
		return "", t.evalError("os", err)
	}
	return text(v), nil
}

// filed makes the inputs of the workflow of a resource whose file is committed.
func (s *Service) filed(ctx context.Context, in api.FileRequestIn, it api.FileItem, t *resourceType, commit string) (out api.FiledItem, err error) {
	a := asked{entry: entry{typ: t}, action: it.Action}
	if it.Base != "" {
		now, err := at(ctx, s.d.DB, api.ResourceIn{NS: in.NS, Type: it.Type, Name: it.Name}, it.Base)
		if err != nil {
			return out, err
		}
		a.now = &now
	}
	env := expr.Env{"spec": valueOf(it.Spec), "params": valueOf(it.Params), "requester": in.Requester, "action": it.Action, "current": a.current(),
		"resource": map[string]any{"type": it.Type, "name": it.Name}}
	if commit != "" {
		out.Source = t.source(in.Namespace, it.Name, commit)
		env["source"] = sourceValue(out.Source)
	}
	v, _, err := t.courses[it.Action].inputs.Eval(env)
	if err != nil {
		return out, t.evalError("inputs", err)
	}
	out.Inputs = document.Canonical(v)
	return out, nil
}

// indented is a value as JSON that reads and compares well.
func indented(v any) string {
	b, _ := json.MarshalIndent(v, "", "  ") // made of values that marshal
	return string(b) + "\n"
}
