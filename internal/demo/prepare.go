package demo

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"tutti/api"
	"tutti/errs"
	vmexample "tutti/examples/vm"
	"tutti/internal/demo/vcenter"
	"tutti/sdk"
)

// person is somebody who uses the server.
type person struct {
	name     string
	role     string // in namespace default
	password string // for the browser
	token    string // for the command line
	api      *sdk.Client
}

// prepare makes what the main job needs, as far as it is not there: people, secrets, definitions.
func (d *demo) prepare(ctx context.Context) (err error) {
	if d.anna, err = d.person(ctx, "anna", api.Operator); err != nil {
		return fmt.Errorf("make the user anna: %w", err)
	}
	if d.olga, err = d.person(ctx, "olga", api.Admin); err != nil {
		return fmt.Errorf("make the user olga: %w", err)
	}
	if err := d.secrets(ctx); err != nil {
		return fmt.Errorf("store what the vCenter asks for: %w", err)
	}
	if err := d.apply(ctx); err != nil {
		return fmt.Errorf("apply examples/vm: %w", err)
	}
	return nil
}

// person makes a user with a password and a token of its own, which are kept in the folder.
func (d *demo) person(ctx context.Context, name, role string) (p person, err error) {
	p = person{name: name, role: role}
	password, made, err := d.folder.secret(name + ".password")
	if err != nil {
		return p, err
	}
	p.password = password
	_, err = sdk.Call(ctx, d.admin, api.CreateUser, api.CreateUserIn{Body: api.CreateUserBody{
		Name: name, Password: password, Mail: name + "@example.com", Grants: []api.GrantView{{Namespace: sdk.DefaultNamespace, Role: role}},
	}})
	if errs.Is(err, errs.Conflict) {
		err = nil
		if made {
			_, err = sdk.Call(ctx, d.admin, api.UpdateUser, api.UpdateUserIn{Name: name, Body: api.UpdateUserBody{Password: &password}})
		}
	}
	if err != nil {
		return p, err
	}
	return p, d.login(ctx, &p)
}

// login gives a person a token: the one kept in the folder, or a new one where that is of no use.
func (d *demo) login(ctx context.Context, p *person) error {
	file := p.name + ".token"
	if p.token = d.folder.read(file); p.token != "" {
		p.api = d.admin.With(p.token, "")
		_, err := sdk.Call(ctx, p.api, api.WhoAmI, api.Nothing{})
		if !errs.Is(err, errs.Unauthenticated) {
			return err
		}
	}
	t, err := sdk.Call(ctx, d.admin, api.CreateToken, api.CreateTokenIn{Body: api.CreateTokenBody{Name: "demo", User: p.name}})
	if err != nil {
		return err
	}
	p.token, p.api = t.Secret, d.admin.With(t.Secret, "")
	return d.folder.write(file, t.Secret)
}

// secrets stores how the vCenter is reached, where that changed.
func (d *demo) secrets(ctx context.Context) error {
	want := map[string]string{"vcenter_url": d.vcenter.URL, "vcenter_user": vcenter.User, "vcenter_password": d.vcenter.Password}
	have, err := sdk.Call(ctx, d.olga.api, api.ListSecrets, api.ListSecretsIn{})
	if err != nil {
		return err
	}
	for name, value := range want {
		known := slices.ContainsFunc(have.Items, func(s api.SecretInfo) bool { return s.Name == name })
		if known && d.vcenter.Found {
			continue
		}
		if _, err := sdk.Call(ctx, d.olga.api, api.SetSecret, api.SetSecretIn{Name: name, Body: api.SetSecretBody{Value: value}}); err != nil {
			return err
		}
	}
	return nil
}

// apply publishes the definitions of the VM service; those that are there stay as they are.
func (d *demo) apply(ctx context.Context) error {
	names, err := fs.Glob(vmexample.Files, "*.yaml")
	if err != nil {
		return err
	}
	var files []api.SourceFile
	for _, name := range names {
		text, err := fs.ReadFile(vmexample.Files, name)
		if err != nil {
			return err
		}
		files = append(files, api.SourceFile{Name: "examples/vm/" + name, Text: string(text)})
	}
	_, err = sdk.Call(ctx, d.olga.api, api.ApplyDefinitions, api.ApplyIn{Body: api.ApplyBody{Files: files, Note: "tutti demo"}})
	return err
}
