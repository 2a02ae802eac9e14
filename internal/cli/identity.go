package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tutti/api"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/cli/output"
	"tutti/internal/document"
)

// grantsOf reads grants written as namespace=role; a role alone is held in the namespace in use.
func (l *line) grantsOf(words []string) ([]api.GrantView, error) {
	out := []api.GrantView{}
	for _, w := range words {
		ns, role, ok := strings.Cut(w, "=")
		if !ok {
			s, err := l.settled()
			if err != nil {
				return nil, err
			}
			ns, role = s.Namespace, w
		}
		if !slices.Contains(api.Roles, role) {
			u := usage("no role %q", role)
			if near := document.Nearest(role, api.Roles); near != "" {
				return nil, u.WithHint("did you mean %s=%s?", ns, near)
			}
			return nil, u.WithHint("write NAMESPACE=ROLE; roles are %s", strings.Join(api.Roles, ", "))
		}
		out = append(out, api.GrantView{Namespace: ns, Role: role})
	}
	return out, nil
}

// password asks for a new password, twice on a terminal.
func (l *line) password(ctx context.Context, who string) (string, error) {
	p, err := l.secret(ctx, "New password for "+who+": ")
	if err == nil && strings.ContainsAny(p, "\r\n") {
		err = usage("the password has more than one line").WithHint("give one line on stdin: head -n 1 FILE | tutti …")
	}
	if err != nil || !l.Terminal.In {
		return p, err
	}
	again, err := l.secret(ctx, "Again: ")
	if err == nil && again != p {
		err = usage("the two passwords differ")
	}
	return p, err
}

func userColumns() []output.Column[api.User] {
	return []output.Column[api.User]{
		col("NAME", func(u api.User) string { return u.Name }),
		col("ROLES", func(u api.User) string { return grants(u.Grants) }),
		col("MAIL", func(u api.User) string { return u.Mail }),
		col("OFF", func(u api.User) string {
			if u.Off {
				return "yes"
			}
			return ""
		}),
		when("CREATED", func(u api.User) time.Time { return u.Created }),
	}
}

func (l *line) printUser(u api.User) error {
	return output.One(l.printer(), u, userColumns(), u.Name)
}

func (l *line) userCommands() *cobra.Command {
	return l.group("user", "Manage local users", "  tutti user create anna --role default=operator\n  tutti user update anna --role default=approver",
		l.userList(), l.userCreate(), l.userUpdate(), l.userDelete())
}

func (l *line) userList() *cobra.Command {
	return l.command("list", "List users by name", func(ctx context.Context, _ []string) error {
		page, err := call(ctx, l, api.ListUsers, api.Nothing{})
		if err != nil {
			return err
		}
		return list(l, page, userColumns(), func(u api.User) string { return u.Name }, "No user.")
	})
}

func (l *line) userCreate() *cobra.Command {
	var mail string
	var roles []string
	cmd := l.command("create NAME", "Create a user; the password is read from the terminal or stdin", func(ctx context.Context, args []string) error {
		grants, err := l.grantsOf(roles)
		if err != nil {
			return err
		}
		pw, err := l.password(ctx, args[0])
		if err != nil {
			return err
		}
		u, err := call(ctx, l, api.CreateUser, api.CreateUserIn{Body: api.CreateUserBody{Name: args[0], Password: pw, Mail: mail, Grants: grants}})
		if err != nil {
			return err
		}
		return l.printUser(u)
	})
	cmd.Flags().StringVar(&mail, "mail", "", "address for notifications")
	roleFlag(cmd, &roles, "role", "a role to hold, as NAMESPACE=ROLE; namespace * is every one")
	return cmd
}

func roleFlag(cmd *cobra.Command, roles *[]string, name, text string) {
	cmd.Flags().StringArrayVar(roles, name, nil, text)
	must(cmd.RegisterFlagCompletionFunc(name, func(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ns, _, ok := strings.Cut(word, "=")
		if !ok {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []string
		for _, r := range api.Roles {
			out = append(out, ns+"="+r)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}))
}

func (l *line) userUpdate() *cobra.Command {
	var mail string
	var roles, drop []string
	var pw, off, on bool
	var cmd *cobra.Command
	cmd = l.command("update NAME", "Change a user: add or take roles, set the password, switch off", func(ctx context.Context, args []string) error {
		var body api.UpdateUserBody
		if cmd.Flags().Changed("mail") {
			body.Mail = &mail
		}
		if off && on {
			return usage("both --off and --on are given")
		}
		if off || on {
			body.Off = &off
		}
		if len(roles)+len(drop) > 0 {
			g, err := l.regrant(ctx, args[0], roles, drop)
			if err != nil {
				return err
			}
			body.Grants = &g
		}
		if pw {
			p, err := l.password(ctx, args[0])
			if err != nil {
				return err
			}
			body.Password = &p
		}
		if body == (api.UpdateUserBody{}) {
			return usage("nothing to change").WithHint("see: tutti user update --help")
		}
		u, err := call(ctx, l, api.UpdateUser, api.UpdateUserIn{Name: args[0], Body: body})
		if err != nil {
			return err
		}
		return l.printUser(u)
	})
	f := cmd.Flags()
	f.StringVar(&mail, "mail", "", "address for notifications")
	f.BoolVar(&pw, "password", false, "set the password, read from the terminal or stdin")
	f.BoolVar(&off, "off", false, "no longer let the user in")
	f.BoolVar(&on, "on", false, "let the user in again")
	roleFlag(cmd, &roles, "role", "a role to add, as NAMESPACE=ROLE")
	roleFlag(cmd, &drop, "drop-role", "a role to take away, as NAMESPACE=ROLE")
	return cmd
}

// regrant returns the roles of a user after some are added and some taken.
func (l *line) regrant(ctx context.Context, name string, add, drop []string) ([]api.GrantView, error) {
	plus, err := l.grantsOf(add)
	if err != nil {
		return nil, err
	}
	minus, err := l.grantsOf(drop)
	if err != nil {
		return nil, err
	}
	page, err := call(ctx, l, api.ListUsers, api.Nothing{})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(page.Items, func(u api.User) bool { return u.Name == name })
	if i < 0 {
		var names []string
		for _, u := range page.Items {
			names = append(names, u.Name)
		}
		return nil, near(errs.New(errs.NotFound, "no user %q", name), "no user %q", name, names, "tutti user list")
	}
	out := slices.DeleteFunc(slices.Clone(page.Items[i].Grants), func(g api.GrantView) bool { return slices.Contains(minus, g) })
	for _, g := range plus {
		if !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	return out, nil
}

func (l *line) userDelete() *cobra.Command {
	var yes bool
	cmd := l.command("delete NAME", "Delete a user, with its sessions and tokens", func(ctx context.Context, args []string) error {
		if err := l.confirm(ctx, yes, "delete user "+args[0]+" with its sessions and tokens"); err != nil {
			return err
		}
		if _, err := call(ctx, l, api.DeleteUser, api.UserIn{Name: args[0]}); err != nil {
			return err
		}
		l.note("Deleted user %s.", args[0])
		return nil
	})
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (l *line) tokenCommands() *cobra.Command {
	return l.group("token", "Manage API tokens", "  tutti token create ci --role default=operator --expires 30d\n  tutti token create rack7 --role default=worker",
		l.tokenList(), l.tokenCreate(), l.tokenRevoke())
}

func (l *line) tokenList() *cobra.Command {
	return l.command("list", "List your API tokens; an administrator sees all", func(ctx context.Context, _ []string) error {
		page, err := call(ctx, l, api.ListTokens, api.Nothing{})
		if err != nil {
			return err
		}
		cols := []output.Column[api.Token]{
			col("ID", func(t api.Token) string { return t.ID }),
			col("NAME", func(t api.Token) string { return t.Name }),
			col("USER", func(t api.Token) string { return t.User }),
			col("ROLES", func(t api.Token) string { return grants(t.Grants) }),
			when("EXPIRES", func(t api.Token) time.Time { return t.Expires }),
			when("USED", func(t api.Token) time.Time { return t.Used }),
			{Name: "CREATED", Wide: true, Get: func(t api.Token) output.Cell { return output.Time(t.Created) }},
		}
		return list(l, page, cols, func(t api.Token) string { return t.ID }, "No token. Make one: tutti token create NAME")
	})
}

func (l *line) tokenCreate() *cobra.Command {
	var user, expires string
	var roles []string
	cmd := l.command("create NAME", "Create an API token and print it, once", func(ctx context.Context, args []string) error {
		body := api.CreateTokenBody{Name: args[0], User: user}
		var err error
		if len(roles) > 0 {
			if body.Grants, err = l.grantsOf(roles); err != nil {
				return err
			}
		}
		if expires != "" {
			d, err := api.ParseDuration(expires)
			if err != nil {
				return exit{ExitUsage, err}
			}
			if d == 0 {
				return usage("a token that expires at once is of no use").WithHint("leave --expires out for 90d, or give up to 1000d")
			}
			body.Expires = api.Duration(d)
		}
		t, err := call(ctx, l, api.CreateToken, api.CreateTokenIn{Body: body})
		if err != nil {
			return err
		}
		if p := l.printer(); p.Structured() {
			return output.One(p, t, nil, t.ID)
		}
		l.note("Token %s of %s, until %s. It is shown this once:", t.ID, t.User, t.Expires.Format(time.DateTime))
		_, err = fmt.Fprintln(l.Stdout, output.Clean(t.Secret))
		return err
	})
	cmd.Flags().StringVar(&user, "user", "", "whose it is, instead of your own; for administrators")
	cmd.Flags().StringVar(&expires, "expires", "", "when it stops working, such as 30d (default 90d)")
	roleFlag(cmd, &roles, "role", "a role to hold, as NAMESPACE=ROLE; those of the user by default")
	return cmd
}

func (l *line) tokenRevoke() *cobra.Command {
	return l.command("revoke ID", "Revoke an API token; it stops working at once", func(ctx context.Context, args []string) error {
		id, err := l.tokenID(ctx, args[0])
		if err != nil {
			return err
		}
		if _, err := call(ctx, l, api.RevokeToken, api.TokenIn{ID: id}); err != nil {
			return err
		}
		l.note("Revoked token %s.", id)
		return nil
	})
}

// tokenID resolves the ID of a token, or a unique prefix of one.
func (l *line) tokenID(ctx context.Context, word string) (string, error) {
	if id.Valid("tok", word) {
		return word, nil
	}
	page, err := call(ctx, l, api.ListTokens, api.Nothing{})
	if err != nil {
		return "", err
	}
	var found []api.Found
	for _, t := range page.Items {
		if rest := strings.TrimPrefix(word, "tok_"); len(rest) >= leastPrefix && strings.HasPrefix(t.ID, "tok_"+rest) {
			found = append(found, api.Found{Kind: "token", ID: t.ID, Title: t.Name})
		}
	}
	f, err := one(word, []string{"token"}, found)
	return f.ID, err
}

func (l *line) secretCommands() *cobra.Command {
	return l.group("secret", "Manage secrets: they can be used but never read back", "  tutti secret set vcenter_password < password.txt",
		l.secretList(), l.secretSet(), l.secretDelete())
}

func secretColumns() []output.Column[api.SecretInfo] {
	return []output.Column[api.SecretInfo]{
		col("NAME", func(s api.SecretInfo) string { return s.Name }),
		right(col("VERSION", func(s api.SecretInfo) string { return fmt.Sprint(s.Version) })),
		col("BY", func(s api.SecretInfo) string { return s.By }),
		when("UPDATED", func(s api.SecretInfo) time.Time { return s.Updated }),
	}
}

func (l *line) secretList() *cobra.Command {
	return l.command("list", "List secrets by name, without values", func(ctx context.Context, _ []string) error {
		page, err := call(ctx, l, api.ListSecrets, api.ListSecretsIn{})
		if err != nil {
			return err
		}
		return list(l, page, secretColumns(), func(s api.SecretInfo) string { return s.Name }, "No secret. Set one: tutti secret set NAME")
	})
}

func (l *line) secretSet() *cobra.Command {
	return l.command("set NAME", "Store a secret, read from the terminal or stdin, never from an argument", func(ctx context.Context, args []string) error {
		value, err := l.secret(ctx, "Value of "+args[0]+": ")
		if err != nil {
			return err
		}
		if value == "" {
			return usage("the value is empty").WithHint("give it on stdin: tutti secret set %s < FILE", args[0])
		}
		s, err := call(ctx, l, api.SetSecret, api.SetSecretIn{Name: args[0], Body: api.SetSecretBody{Value: value}})
		if err != nil {
			return err
		}
		return output.One(l.printer(), s, secretColumns(), s.Name)
	})
}

func (l *line) secretDelete() *cobra.Command {
	var yes bool
	cmd := l.command("delete NAME", "Delete a secret", func(ctx context.Context, args []string) error {
		if err := l.confirm(ctx, yes, "delete secret "+args[0]); err != nil {
			return err
		}
		if _, err := call(ctx, l, api.DeleteSecret, api.SecretIn{Name: args[0]}); err != nil {
			return err
		}
		l.note("Deleted secret %s.", args[0])
		return nil
	})
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func namespaceColumns() []output.Column[api.Namespace] {
	return []output.Column[api.Namespace]{
		col("NAME", func(n api.Namespace) string { return n.Name }),
		col("TITLE", func(n api.Namespace) string { return n.Title }),
		when("CREATED", func(n api.Namespace) time.Time { return n.Created }),
	}
}

func (l *line) namespaceCommands() *cobra.Command {
	var title string
	create := l.command("create NAME", "Create a namespace", func(ctx context.Context, args []string) error {
		n, err := call(ctx, l, api.CreateNamespace, api.CreateNamespaceIn{Body: api.CreateNamespaceBody{Name: args[0], Title: title}})
		if err != nil {
			return err
		}
		return output.One(l.printer(), n, namespaceColumns(), n.Name)
	})
	create.Flags().StringVar(&title, "title", "", "what it is for")
	return l.group("namespace", "Manage namespaces", "",
		l.command("list", "List the namespaces you can see", func(ctx context.Context, _ []string) error {
			page, err := call(ctx, l, api.ListNamespaces, api.Nothing{})
			if err != nil {
				return err
			}
			return list(l, page, namespaceColumns(), func(n api.Namespace) string { return n.Name }, "No namespace.")
		}), create)
}
