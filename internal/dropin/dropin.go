// Package dropin owns the kind TaskType: task types that are declared in documents instead of built
// in. It says what is wrong with such documents, and applies those of a folder when they change. The
// documents themselves are kept by the definition service; the engine and the workers read them there.
//
// It owns no tables, answers check.TaskType and publishes no events. It calls definition.apply, for
// the folder.
package dropin

import (
	"context"
	"fmt"
	"slices"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/service"
	"tutti/internal/task"
)

// Config are the settings of the service.
type Config struct {
	// Drivers carry out what is declared. Here they only compile.
	Drivers task.Drivers
	// Taken are the names of the task types built in.
	Taken []string
	// Dir is a folder whose *.yaml files are applied when they change; "" is none.
	Dir string
}

// Service answers for the kind.
type Service struct {
	d service.Deps
	c Config
}

var _ service.Service = (*Service)(nil)

// New returns how to build the service.
func New(c Config) func(service.Deps) (service.Service, error) {
	return func(d service.Deps) (service.Service, error) { return &Service{d, c}, nil }
}

// Run serves until ctx ends, then returns nil.
func (s *Service) Run(ctx context.Context) error {
	if err := api.CheckKind(api.KindTaskType).Handle(ctx, s.d.Bus, s.check); err != nil {
		return err
	}
	if s.c.Dir != "" {
		s.watch(ctx)
	}
	<-ctx.Done()
	return nil
}

// check says what is wrong with the task types of some files, and what their publisher must hold.
func (s *Service) check(_ context.Context, in api.CheckIn) (out api.CheckOut, err error) {
	for _, f := range in.Files {
		docs, problems := document.Parse(f.Name, []byte(f.Text))
		out.Problems = append(out.Problems, problems...)
		for _, d := range docs {
			if d.Kind != api.KindTaskType {
				continue
			}
			out.Problems = append(out.Problems, s.misplaced(d, in.Namespace)...)
			_, perm, problems := s.c.Drivers.Compile(d)
			out.Problems = append(out.Problems, problems...)
			if perm != "" && !slices.Contains(out.Needs, perm) {
				out.Needs = append(out.Needs, perm)
			}
		}
	}
	return out, nil
}

// misplaced says what is wrong with the names of a document.
func (s *Service) misplaced(d *document.Document, namespace string) (problems []errs.Problem) {
	if slices.Contains(s.c.Taken, d.Name) {
		problems = append(problems, errs.Problem{Location: d.At("/name"), Message: fmt.Sprintf("there is a task type %q already, which is built in", d.Name),
			Hint: "choose another name, such as your." + d.Name})
	}
	if own := namespaceOf(d); own != "" && own != namespace {
		problems = append(problems, errs.Problem{Location: d.At("/namespace"), Message: fmt.Sprintf("the document belongs to namespace %q and is applied to %q", own, namespace),
			Hint: "apply it there, or leave namespace out"})
	}
	return problems
}

// namespaceOf returns the namespace a document names, or "".
func namespaceOf(d *document.Document) string {
	v, _ := d.Value().(map[string]any)
	ns, _ := v["namespace"].(string)
	return ns
}
