package task

import (
	"context"
	"sync"

	"tutti/api"
	"tutti/bus"
)

// Published finds the task types that were declared in a namespace, and keeps what Read made of each
// version, which never changes. It is safe for concurrent use.
type Published[T any] struct {
	// Bus reaches the definitions; As is the service that asks.
	Bus *bus.Bus
	As  string
	// Read makes of a definition what is kept.
	Read func(api.Definition) (T, error)

	mu   sync.Mutex
	kept map[published]Version[T]
}

type published struct {
	namespace, name string
	version         int
}

// Version is a version of a declared task type.
type Version[T any] struct {
	Type    T
	Version int
	Digest  string
}

// maxPublished bounds what is kept; beyond it, all is forgotten and asked for again.
const maxPublished = 2000

// Get returns a version of a task type; version 0 is the newest. It returns errs.NotFound.
func (p *Published[T]) Get(ctx context.Context, namespace, name string, version int) (Version[T], error) {
	if version != 0 {
		if v, ok := p.known(published{namespace, name, version}); ok {
			return v, nil
		}
	}
	def, err := api.GetDefinition.Call(bus.AsService(ctx, p.As), p.Bus,
		api.GetDefinitionIn{NS: api.NS{Namespace: namespace}, Kind: api.KindTaskType, Name: name, Version: version})
	if err != nil {
		return Version[T]{}, err
	}
	key := published{namespace, name, def.Version}
	if v, ok := p.known(key); ok {
		return v, nil
	}
	v := Version[T]{Version: def.Version, Digest: def.Digest}
	if v.Type, err = p.Read(def); err != nil {
		return v, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil || len(p.kept) >= maxPublished {
		p.kept = map[published]Version[T]{}
	}
	p.kept[key] = v
	return v, nil
}

func (p *Published[T]) known(key published) (Version[T], bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.kept[key]
	return v, ok
}

// Names returns the names of the task types declared in a namespace, sorted.
func (p *Published[T]) Names(ctx context.Context, namespace string) (names []string, err error) {
	in := api.ListDefinitionsIn{NS: api.NS{Namespace: namespace}, Paging: api.Paging{Limit: 1000}, Kind: api.KindTaskType}
	for {
		page, err := api.ListDefinitions.Call(bus.AsService(ctx, p.As), p.Bus, in)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Items {
			names = append(names, d.Name)
		}
		if in.Cursor = page.Cursor; in.Cursor == "" {
			return names, nil
		}
	}
}
