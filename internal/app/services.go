package app

import (
	"context"

	"tutti/internal/converge"
	"tutti/internal/definition"
	"tutti/internal/dropin"
	"tutti/internal/file"
	"tutti/internal/gateway"
	"tutti/internal/identity"
	"tutti/internal/logs"
	"tutti/internal/notify"
	"tutti/internal/overview"
	"tutti/internal/presence"
	"tutti/internal/request"
	"tutti/internal/resource"
	"tutti/internal/rollouts"
	"tutti/internal/secret"
	"tutti/internal/service"
	"tutti/internal/store"
	"tutti/internal/view"
	"tutti/internal/worker"
	"tutti/internal/workflow"
)

// list is the whole of Tutti. The order does not matter: they meet on the bus.
func (p *platform) list() []part {
	c := p.c
	return []part{
		back("converge", converge.Migrations, func() build { return converge.New }),
		back("definition", definition.Migrations, func() build { return definition.New }),
		back("dropin", nil, func() build { return dropin.New(p.dropin()) }).withoutDatabase(),
		back("file", file.Migrations, func() build { return file.New(p.blobs) }).
			verified(func(ctx context.Context, db *store.DB) ([]string, error) { return file.Verify(ctx, db, p.blobs) }),
		back("identity", identity.Migrations, func() build { return identity.New(p.identity()) }),
		back("logs", logs.Migrations, func() build { return logs.New(c.Logs, p.logBlobs) }).
			verified(func(ctx context.Context, db *store.DB) ([]string, error) { return logs.Verify(ctx, db, p.logBlobs) }),
		back("notify", notify.Migrations, func() build { return notify.New(c.Notify) }),
		back("overview", nil, func() build { return overview.New }).withoutDatabase(),
		back("presence", nil, func() build { return presence.New }).withoutDatabase(),
		back("request", request.Migrations, func() build { return request.New(p.blobs, c.Request) }),
		back("resource", resource.Migrations, func() build { return resource.New(resource.Config{Dir: p.path("repositories")}) }).
			verified(func(ctx context.Context, db *store.DB) ([]string, error) {
				return resource.Verify(ctx, db, p.path("repositories"))
			}),
		back("rollouts", rollouts.Migrations, func() build { return rollouts.New(p.guard) }),
		back("secret", secret.Migrations, func() build { return secret.New(p.box) }),
		back("view", view.Migrations, func() build { return view.New(view.Config{Guard: p.guard}) }),
		back("workflow", workflow.Migrations, func() build { return workflow.New(p.workflow()) }).verified(workflow.Verify),
		front("worker", func() build { return worker.New(p.tasks.Types(), p.drivers, c.Worker) }),
		front("gateway", func() build { return p.gateway }).startedOnce(),
	}
}

// build makes a service.
type build = func(service.Deps) (service.Service, error)

// part is a service and how it is run.
type part struct {
	service.Def
	// keeps says that it has a database, with events and an audit trail.
	keeps bool
	// front parts call the others, and end first.
	front bool
	// once is for a part that cannot be started a second time.
	once bool
	// verify returns what is wrong with what it keeps beside what all keep; nil is nothing.
	verify func(context.Context, *store.DB) ([]string, error)
}

// back is a service with a database. how is called when the platform stands.
func back(name string, migrations service.Files, how func() build) part {
	return part{Def: service.Def{Name: name, Migrations: migrations, New: later(how)}, keeps: true}
}

// front is a part without a database that calls the others.
func front(name string, how func() build) part {
	return part{Def: service.Def{Name: name, New: later(how)}, front: true}
}

func (x part) withoutDatabase() part { x.keeps = false; return x }

func (x part) verified(by func(context.Context, *store.DB) ([]string, error)) part {
	x.verify = by
	return x
}

func (x part) startedOnce() part { x.once = true; return x }

func later(how func() build) build {
	return func(d service.Deps) (service.Service, error) { return how()(d) }
}

func (p *platform) gateway(d service.Deps) (service.Service, error) {
	var names []string
	for _, x := range p.list() {
		if x.keeps {
			names = append(names, x.Name)
		}
	}
	return gateway.New(gateway.Config{
		Listener: p.listener, Secure: p.c.Secure, Blobs: p.blobs, Repositories: p.path("repositories"), MaxFile: p.c.MaxFile, Services: names, Durability: p.c.durability(),
	}, d)
}

func (p *platform) identity() identity.Config {
	c := p.c.Identity
	c.TokenFile = p.tokenFile()
	return c
}

func (p *platform) workflow() workflow.Config {
	c := p.c.Workflow
	c.Types, c.Drivers = p.tasks.Specs(), p.drivers
	return c
}

func (p *platform) dropin() dropin.Config {
	c := dropin.Config{Drivers: p.drivers, Dir: p.c.TaskTypes}
	for _, t := range append(p.tasks.Specs(), workflow.Native()...) {
		c.Taken = append(c.Taken, t.Name)
	}
	return c
}
