// Package vspheretask has the task types vsphere.vm.create, vsphere.vm.read and vsphere.vm.destroy:
// virtual machines in a vCenter, through the guarded dialer.
//
// A machine is built once for a task, whatever dies when. It carries the task's key: as extraConfig
// tutti.key, which says whose it is; and as an instance UUID made of the key, by which a later attempt
// finds it. The vCenter's own task is stored as a variable before it is waited for, and found again. In
// the gap before that, the vCenter refuses a second machine of the name in the folder, and the attempt
// looks whether the first is its own.
package vspheretask

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"tutti/errs"
	"tutti/internal/netguard"
	"tutti/sdk"
)

// The failure types.
const (
	failConnect = "vsphere.connect"
	failDenied  = "vsphere.denied"
	failLogin   = "vsphere.login"
	failUnknown = "vsphere.unknown"
	failExists  = "vsphere.exists"
	failMissing = "vsphere.missing"
	failForeign = "vsphere.foreign"
	failFault   = "vsphere.fault"
)

// failures explains those all three types share, with more.
func failures(more map[string]string) map[string]string {
	out := map[string]string{
		failConnect: "the vCenter could not be reached; worth another attempt",
		failDenied:  "the vCenter's address must not be called from here",
		failLogin:   "the vCenter does not know this user and password",
		failUnknown: "something named in the input is not in the vCenter; details.available lists what is",
		failFault:   "the vCenter refused, or could not; details.fault names its fault",
	}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// Connection says which vCenter, and where in it.
type Connection struct {
	URL                string `json:"url" doc:"Address of the vCenter, as https://host or https://host/sdk" minLength:"1" maxLength:"2048"`
	User               string `json:"user" doc:"User to log in as" minLength:"1" maxLength:"200"`
	Password           string `json:"password" doc:"Password; give a secret" minLength:"1" maxLength:"1000"`
	InsecureSkipVerify bool   `json:"insecureSkipVerify,omitempty" doc:"Accept any certificate, and http without one: whoever is in between can read the password"`
	Datacenter         string `json:"datacenter,omitempty" doc:"Datacenter; may be left out where there is one" maxLength:"200"`
	Folder             string `json:"folder,omitempty" doc:"Folder of virtual machines in the datacenter, as a/b; by default the topmost" maxLength:"1000"`
}

const (
	// maxAnswer bounds one answer of a vCenter, in bytes.
	maxAnswer = 64 << 20
	// parting is how long it may take to log out or to cancel, once the attempt has ended.
	parting = 5 * time.Second
)

// vcenter is a session.
type vcenter struct {
	*vim25.Client
	host string // for messages
	log  func(format string, args ...any)
}

// connect logs in. bye logs out.
func connect(ctx context.Context, t *sdk.Task, g *netguard.Guard, c Connection) (v *vcenter, bye func(), err error) {
	u, err := address(c)
	if err != nil {
		return nil, nil, err
	}
	if c.InsecureSkipVerify {
		t.Logf("insecureSkipVerify is set: the identity of %s is not verified", u.Host)
	}
	v = &vcenter{host: u.Host, log: t.Logf}
	if v.Client, err = vim25.NewClient(ctx, transport(g, u, c.InsecureSkipVerify)); err != nil {
		return nil, nil, v.failure(ctx, "connect", err)
	}
	m := session.NewManager(v.Client)
	if err := m.Login(ctx, url.UserPassword(c.User, c.Password)); err != nil {
		v.CloseIdleConnections()
		return nil, nil, v.failure(ctx, "log in as "+c.User, err)
	}
	return v, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
		defer cancel()
		_ = m.Logout(last) // the session ends by itself, too
		v.CloseIdleConnections()
	}, nil
}

// address returns the URL of the API. Its errors do not show the URL, which may hold a password.
func address(c Connection) (*url.URL, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errs.New(errs.Invalid, "with.url is not of the form https://host or https://host/sdk")
	case u.User != nil:
		return nil, errs.New(errs.Invalid, "with.url contains a user").WithHint("give it in with.user and with.password")
	case u.Scheme == "http" && !c.InsecureSkipVerify:
		return nil, errs.New(errs.Invalid, "with.url is http, over which everybody can read the password").
			WithHint("use https, or, for a simulator, set with.insecureSkipVerify")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = vim25.Path
	}
	return u, nil
}

// transport returns a SOAP client that dials through g, follows no redirects and uses no proxy.
func transport(g *netguard.Guard, u *url.URL, insecure bool) *soap.Client {
	c := soap.NewClient(u, insecure)
	t := c.DefaultTransport()
	t.Proxy = nil
	t.DialContext = g.DialContext
	t.DialTLSContext = nil // the library's own dials past the guard
	c.Client.Transport = bounded{t}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.UserAgent = "tutti"
	return c
}

// bounded limits what is read of an answer.
type bounded struct{ base http.RoundTripper }

// RoundTrip makes one call.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.base.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{http.MaxBytesReader(nil, resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// failure says what went wrong while doing what.
func (v *vcenter) failure(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*sdk.TaskError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*errs.Error](err); ok {
		if e.Kind == errs.Denied {
			return sdk.Fail(failDenied, "vCenter %s: %s", v.host, e.Msg).WithHint("%s", e.Hint)
		}
		return e
	}
	f := faultOf(err)
	if f == nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return sdk.Fail(failConnect, "%s: vCenter %s: %v", what, v.host, err).Again().WithHint("check the address, and that the vCenter is up and trusted")
	}
	name := strings.TrimPrefix(fmt.Sprintf("%T", f), "*types.")
	words := cmp.Or(strings.TrimPrefix(err.Error(), "ServerFaultCode: "), name)
	if _, ok := f.(*types.InvalidLogin); ok {
		return sdk.Fail(failLogin, "%s: vCenter %s refuses the user or the password", what, v.host).WithHint("check with.user, and the secret in with.password")
	}
	e := sdk.Fail(failFault, "%s: vCenter %s: %s", what, v.host, words).WithDetails(map[string]any{"fault": name})
	switch f.(type) {
	case *types.TaskInProgress, *types.ResourceInUse, *types.HostCommunication, *types.HostNotConnected, *types.HostNotReachable, *types.Timedout, *types.NotAuthenticated,
		*types.SystemError, *types.ConcurrentAccess:
		return e.Again()
	case *types.NoPermission:
		return e.WithHint("the vCenter user lacks a privilege for this")
	}
	return e
}

// faulty is every error of the library that carries a fault of the vCenter.
type faulty interface {
	error
	Fault() types.BaseMethodFault
}

// faultOf returns the vCenter's fault in err; nil where it is another error.
func faultOf(err error) types.BaseMethodFault {
	if e, ok := errors.AsType[faulty](err); ok {
		return e.Fault()
	}
	return nil
}

func isFault[F types.BaseMethodFault](err error) bool {
	_, ok := faultOf(err).(F)
	return ok
}

// instanceUUID returns the UUID of the machine that the task with a key builds.
func instanceUUID(key string) string {
	sum := sha256.Sum256([]byte("tutti vsphere " + key))
	sum[6] = sum[6]&0x0f | 0x80 // version 8: of our own making
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
