package api

import (
	"slices"
	"time"

	"tutti/bus"
	"tutti/errs"
)

// The roles, held per namespace.
const (
	Viewer   = "viewer"   // reads
	Operator = "operator" // requests, starts, cancels, retries
	Approver = "approver" // decides approvals
	Author   = "author"   // publishes definitions, and what an operator may
	Admin    = "admin"    // everything in the namespace
	Worker   = "worker"   // takes work from pools: for tokens of remote workers
	Monitor  = "monitor"  // delivers alerts to triggers: for tokens of monitoring systems
)

var viewer = []string{"run.read", "request.read", "definition.read", "file.read", "rollout.read"}
var operator = append(slices.Clone(viewer), "run.start", "run.cancel", "run.retry", "run.undo", "view.refresh", "request.create", "request.cancel",
	"file.write", "mail.send", "repository.write", "rollout.report", "rollout.control")
var author = append(slices.Clone(operator), "definition.apply", "run.edit", "secret.list", "rollout.hooks")

// rolePermissions says what each role may do. Admin and the system role may do everything their
// namespace has; only admin may publish or start what runs programs on the server (task.exec).
var rolePermissions = map[string][]string{
	Viewer:   viewer,
	Operator: operator,
	Approver: append(slices.Clone(viewer), "approval.decide"),
	Author:   author,
	Worker:   {"task.work"},
	Monitor:  {"trigger.fire"},
	Admin: append(slices.Clone(author), "approval.decide", "secret.set", "view.permit", "trigger.fire", "audit.read", "task.work", "task.exec", "task.terraform", "task.ansible",
		"user.read", "user.write", "token.write", "namespace.write"),
}

// Roles lists the roles that can be granted, weakest first.
var Roles = []string{Viewer, Worker, Monitor, Approver, Operator, Author, Admin}

// Allow is the policy of the bus: it returns nil where c holds permission in namespace. Namespace ""
// asks for a permission that has no namespace, which needs a grant in "*". A caller without any grant
// in a namespace learns nothing about it: errs.NotFound.
func Allow(c bus.Caller, permission, namespace string) error {
	if permission == bus.Anyone {
		return nil
	}
	member := false
	for _, g := range c.Grants {
		if g.Namespace != "*" && (namespace == "" || g.Namespace != namespace) {
			continue
		}
		if g.Role == bus.SystemRole || slices.Contains(rolePermissions[g.Role], permission) {
			return nil
		}
		member = true
	}
	switch {
	case permission == bus.System:
		return errs.New(errs.Denied, "this call is not for users")
	case namespace != "" && !member:
		return errs.New(errs.NotFound, "no namespace %q", namespace).WithHint("`tutti whoami` lists the namespaces you can see")
	case namespace == "":
		return errs.New(errs.Denied, "%s needs %s in every namespace", permission, roleWith(permission)).WithHint("ask an administrator of the whole installation")
	default:
		return errs.New(errs.Denied, "%s needs the role %s in namespace %s", permission, roleWith(permission), namespace).
			WithHint("an admin of %s can grant it: tutti user update NAME --role %s=%s", namespace, namespace, roleWith(permission))
	}
}

// roleWith returns the weakest role that holds a permission.
func roleWith(permission string) string {
	for _, r := range Roles {
		if slices.Contains(rolePermissions[r], permission) {
			return r
		}
	}
	return Admin
}

// StrongestRole returns the strongest role c holds in namespace, or "".
func StrongestRole(c bus.Caller, namespace string) string {
	best := -1
	for _, g := range c.Grants {
		if g.Namespace != "*" && g.Namespace != namespace {
			continue
		}
		if g.Role == bus.SystemRole {
			return Admin
		}
		best = max(best, slices.Index(Roles, g.Role))
	}
	if best < 0 {
		return ""
	}
	return Roles[best]
}

// User is a local user.
type User struct {
	Name    string      `json:"name"`
	Mail    string      `json:"mail,omitempty"`
	Grants  []GrantView `json:"grants"`
	Off     bool        `json:"off,omitempty"`
	Created time.Time   `json:"created"`
}

// GrantView is a role in a namespace; namespace "*" is every one.
type GrantView struct {
	Namespace string `json:"namespace" pattern:"^([a-z][a-z0-9-]{0,62}|\\*)$"`
	Role      string `json:"role" enum:"viewer,worker,monitor,approver,operator,author,admin"`
}

// Token is an API token without its secret.
type Token struct {
	ID      string      `json:"id"` // tok_…
	Name    string      `json:"name"`
	User    string      `json:"user"`
	Grants  []GrantView `json:"grants"`
	Expires time.Time   `json:"expires,omitzero"`
	Used    time.Time   `json:"used,omitzero"`
	Created time.Time   `json:"created"`
	// Secret is the token itself, shown once, in the answer that made it: "tutti_" and 43 characters.
	Secret string `json:"secret,omitempty"`
}

// Me is who the caller is.
type Me struct {
	Subject string      `json:"subject"`
	Grants  []GrantView `json:"grants"`
	// Permissions are what the grants allow, by namespace.
	Permissions map[string][]string `json:"permissions,omitempty"`
}

// PermissionsOf returns what a role may do.
func PermissionsOf(role string) []string { return slices.Clone(rolePermissions[role]) }

// Namespace is an isolation boundary.
type Namespace struct {
	Name    string    `json:"name"`
	Title   string    `json:"title,omitempty"`
	Created time.Time `json:"created"`
}

// BootstrapIn makes the first administrator with the one-time token of the data folder.
type BootstrapIn struct{ Body BootstrapBody }

// BootstrapBody names the first administrator.
type BootstrapBody struct {
	Token    string `json:"token" minLength:"1"`
	User     string `json:"user" pattern:"^[a-z][a-z0-9._-]{0,62}$"`
	Password string `json:"password" minLength:"12" maxLength:"200"`
	Mail     string `json:"mail,omitempty" maxLength:"200"`
}

// LoginIn opens a session.
type LoginIn struct{ Body LoginBody }

// LoginBody are credentials.
type LoginBody struct {
	User     string `json:"user" minLength:"1" maxLength:"64"`
	Password string `json:"password" minLength:"1" maxLength:"200"`
}

// FirstUse says whether somebody can log in yet.
type FirstUse struct {
	// Open says that the first administrator is still to be made, with the bootstrap token.
	Open bool `json:"open"`
}

// MakeLinkIn makes a link that logs a browser in once.
type MakeLinkIn struct{ Body MakeLinkBody }

// MakeLinkBody says who is logged in by it.
type MakeLinkBody struct {
	User string `json:"user" minLength:"1" maxLength:"64"`
}

// Link logs a browser in once.
type Link struct {
	// Secret is what the page /login takes behind #link=.
	Secret  string    `json:"secret"`
	Expires time.Time `json:"expires"`
}

// FollowLinkIn opens the session of a link.
type FollowLinkIn struct{ Body FollowLinkBody }

// FollowLinkBody is the secret of a link.
type FollowLinkBody struct {
	Secret string `json:"secret" minLength:"1" maxLength:"200"`
}

// Session is an opened session. Secret goes into the Authorization header, or the cookie, of calls.
type Session struct {
	Subject string    `json:"subject"`
	Secret  string    `json:"secret"`
	Expires time.Time `json:"expires"`
}

// LogoutIn ends the session whose secret it carries.
type LogoutIn struct{ Secret string }

// AuthenticateIn turns a secret from a header or cookie into a caller.
type AuthenticateIn struct{ Secret string }

// Authenticated is who a secret belongs to.
type Authenticated struct {
	Caller  bus.Caller
	Session bool // it came from logging in, so a browser may send it by itself
	// Namespaces are those there are, where the caller has a role in all of them: a role in * is none
	// in what does not exist.
	Namespaces []string
}

// UserIn names a user.
type UserIn struct {
	Name string `path:"name"`
}

// CreateUserIn makes a user.
type CreateUserIn struct{ Body CreateUserBody }

// CreateUserBody describes a new user.
type CreateUserBody struct {
	Name     string      `json:"name" pattern:"^[a-z][a-z0-9._-]{0,62}$"`
	Password string      `json:"password" minLength:"12" maxLength:"200"`
	Mail     string      `json:"mail,omitempty" maxLength:"200"`
	Grants   []GrantView `json:"grants,omitempty"`
}

// UpdateUserIn changes a user.
type UpdateUserIn struct {
	Name string `path:"name"`
	Body UpdateUserBody
}

// UpdateUserBody says what to change; absent fields stay.
type UpdateUserBody struct {
	Password *string      `json:"password,omitempty" minLength:"12" maxLength:"200"`
	Mail     *string      `json:"mail,omitempty" maxLength:"200"`
	Grants   *[]GrantView `json:"grants,omitempty"`
	Off      *bool        `json:"off,omitempty"`
}

// TokenIn names a token.
type TokenIn struct {
	ID string `path:"id"`
}

// CreateTokenIn makes an API token for the caller, or, by an administrator, for another user.
type CreateTokenIn struct{ Body CreateTokenBody }

// CreateTokenBody describes a token. Its grants may not exceed those of its user.
type CreateTokenBody struct {
	Name    string      `json:"name" minLength:"1" maxLength:"100"`
	User    string      `json:"user,omitempty"`
	Grants  []GrantView `json:"grants,omitempty" doc:"Default: those of the user, always as they are"`
	Expires Duration    `json:"expires,omitempty" doc:"From now; default 90d, at most 1000d"`
}

// CreateNamespaceIn makes a namespace.
type CreateNamespaceIn struct{ Body CreateNamespaceBody }

// CreateNamespaceBody names it.
type CreateNamespaceBody struct {
	Name  string `json:"name" pattern:"^[a-z][a-z0-9-]{0,62}$"`
	Title string `json:"title,omitempty" maxLength:"200"`
}

// The identity methods.
var (
	Bootstrap       = bus.Method[BootstrapIn, Session]{Name: "identity.bootstrap", HTTP: "POST /v1/bootstrap", Perm: bus.Open, Doc: "Make the first administrator, with the one-time bootstrap token."}
	Login           = bus.Method[LoginIn, Session]{Name: "identity.login", HTTP: "POST /v1/login", Perm: bus.Open, Doc: "Open a session."}
	AskFirstUse     = bus.Method[Nothing, FirstUse]{Name: "identity.firstuse", HTTP: "GET /v1/bootstrap", Perm: bus.Open, Doc: "Tell whether the first administrator is still to be made."}
	MakeLink        = bus.Method[MakeLinkIn, Link]{Name: "identity.makelink", HTTP: "POST /v1/login-links", Perm: "user.write", Status: 201, Doc: "Make a link that logs a browser on the server's machine in once; only in a demo."}
	FollowLink      = bus.Method[FollowLinkIn, Session]{Name: "identity.followlink", HTTP: "POST /v1/login-links/follow", Perm: bus.Open, Doc: "Open the session of a link."}
	Logout          = bus.Method[LogoutIn, Nothing]{Name: "identity.logout", HTTP: "POST /v1/logout", Perm: bus.Anyone, Doc: "End the session of this call."}
	Authenticate    = bus.Method[AuthenticateIn, Authenticated]{Name: "identity.authenticate", Perm: bus.System, Doc: "Tell whose a secret is."}
	WhoAmI          = bus.Method[Nothing, Me]{Name: "identity.whoami", HTTP: "GET /v1/whoami", Perm: bus.Anyone, Doc: "Tell who the caller is and what it may do."}
	ListUsers       = bus.Method[Nothing, Page[User]]{Name: "user.list", HTTP: "GET /v1/users", Perm: "user.read", Doc: "List users by name."}
	CreateUser      = bus.Method[CreateUserIn, User]{Name: "user.create", HTTP: "POST /v1/users", Perm: "user.write", Status: 201, Doc: "Create a user."}
	UpdateUser      = bus.Method[UpdateUserIn, User]{Name: "user.update", HTTP: "PATCH /v1/users/{name}", Perm: "user.write", Doc: "Change a user."}
	DeleteUser      = bus.Method[UserIn, Nothing]{Name: "user.delete", HTTP: "DELETE /v1/users/{name}", Perm: "user.write", Doc: "Delete a user, with its sessions and tokens."}
	ListTokens      = bus.Method[Nothing, Page[Token]]{Name: "token.list", HTTP: "GET /v1/tokens", Perm: bus.Anyone, Doc: "List the caller's API tokens; an administrator sees all."}
	CreateToken     = bus.Method[CreateTokenIn, Token]{Name: "token.create", HTTP: "POST /v1/tokens", Perm: bus.Anyone, Status: 201, Doc: "Create an API token. Its secret is shown once."}
	RevokeToken     = bus.Method[TokenIn, Nothing]{Name: "token.revoke", HTTP: "DELETE /v1/tokens/{id}", Perm: bus.Anyone, Doc: "Revoke an API token; it stops working at once."}
	ListNamespaces  = bus.Method[Nothing, Page[Namespace]]{Name: "namespace.list", HTTP: "GET /v1/namespaces", Perm: bus.Anyone, Doc: "List the namespaces the caller can see."}
	CreateNamespace = bus.Method[CreateNamespaceIn, Namespace]{Name: "namespace.create", HTTP: "POST /v1/namespaces", Perm: "namespace.write", Status: 201, Doc: "Create a namespace."}
)
