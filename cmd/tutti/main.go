// Command tutti is the whole orchestrator in one binary: the server, the workers and the command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"tutti/api"
	"tutti/internal/app"
	"tutti/internal/cli"
	"tutti/internal/notify"
	"tutti/internal/request"
	"tutti/internal/resource"
	"tutti/internal/shim"
	"tutti/internal/task/all"
	"tutti/internal/view"
	"tutti/internal/workflow"
)

func main() { os.Exit(run()) }

// run carries out the command and returns its exit code. The first interrupt ends ctx; the second
// one ends the process.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	c := cli.System()
	c.Serve = serve
	c.Verify = verify
	c.Shim = shim.Main
	c.Types = workerTypes
	c.Schemas = resource.Schemas()
	c.Schemas[api.KindView], c.Schemas[api.KindTrigger] = view.Schema(), request.TriggerSchema()
	c.Schemas[api.KindTaskType] = all.Drivers(all.Deps{}).Schema()
	offline(&c)
	c.More = append(append(demoCommands(c), benchCommands(c)...), runnerCommands()...)
	return cli.Main(ctx, c)
}

// serve runs the server as the flags say.
func serve(ctx context.Context, f cli.ServeFlags) error {
	c := app.Config{
		Data: f.Data, Listen: f.Listen, DB: f.DB, NATS: f.NATS, Services: f.Services, AllowDial: f.AllowDial, TaskTypes: f.TaskTypes,
		Cert: f.TLSCert, Key: f.TLSKey, Secure: f.Secure, MaxFile: f.MaxFile, Programs: f.Programs, Log: f.Log,
		Notify:   notify.Config{SMTP: f.SMTP, From: f.From},
		Request:  request.Config{Notify: f.Notify},
		Workflow: workflow.Config{TrustedPools: f.TrustedPools},
		Ready:    func(s app.Started) { f.Ready(s.Address, s.BootstrapToken) },
	}
	c.Terraform.Program, c.Terraform.CLIConfig = f.Terraform, f.TerraformConfig
	c.Ansible.Program = f.Ansible
	return app.Run(ctx, c)
}

// verify checks what a stopped server keeps.
func verify(ctx context.Context, data, db string) (flaws []cli.Flaw, err error) {
	found, err := app.Verify(ctx, app.Config{Data: data, DB: db})
	for _, f := range found {
		flaws = append(flaws, cli.Flaw(f))
	}
	return flaws, err
}
