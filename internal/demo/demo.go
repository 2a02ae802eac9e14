// Package demo is `tutti demo`: the main job end to end, on one machine. It runs a server with all
// that a virtual machine needs around it (a vCenter, a mail server, a git repository, people), asks for
// a machine as a person would, over the API, follows it, and shows what was built, each thing as the
// system itself says that holds it.
//
// It owns its folder: lock, server/ (the data folder of the server), vcenter/ (see package vcenter),
// mail/ (what was sent), address, asked, and for each person NAME.password and NAME.token. What a demo that
// was killed left undone is finished by the next one on the folder.
package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"tutti/errs"
	"tutti/internal/app"
	"tutti/internal/demo/vcenter"
	"tutti/internal/identity"
	"tutti/internal/notify"
	"tutti/sdk"
)

// DefaultData is the folder used unless told otherwise.
const DefaultData = "tutti-demo"

// Config is what a demo can be told.
type Config struct {
	// Data is its folder, made where it is missing; "" is DefaultData.
	Data string
	// Listen is the address of the server. "" is app.DefaultListen or, where that is taken, another port.
	Listen string
	// Once ends the demo with the outcome, instead of serving until ctx ends.
	Once bool
	// Pause is how long the vCenter takes to make a machine; 0 is no time at all. It counts when the
	// vCenter is started.
	Pause time.Duration
	// VCenter is the command of the vCenter's process, which ends in vcenter.Main.
	VCenter []string
	// Watch follows a request to its end, showing how it goes, and returns the exit code of `tutti
	// watch`.
	Watch func(ctx context.Context, server, token, request string) int
	// Tutti is how the user calls the program, in the commands to try next; "" is tutti.
	Tutti string
	// Out takes what is shown.
	Out io.Writer
	// Log takes what the server logs; nil discards it.
	Log *slog.Logger
}

// The exit codes of Run; those of Watch pass through.
const (
	exitOK    = 0
	exitError = 1
)

// Run is the demo. It returns the exit code: that of the request's outcome, or 1 with an error. A folder
// that another demo uses is errs.Conflict.
func Run(ctx context.Context, c Config) (int, error) {
	c.Data, c.Tutti = cmp.Or(c.Data, DefaultData), cmp.Or(c.Tutti, "tutti")
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	began := time.Now()
	f, err := openFolder(c.Data)
	if err != nil {
		return exitError, err
	}
	defer f.close()
	d := &demo{Config: c, folder: f, began: began}
	// What the demo needs lives until it is told to go, in the order of the calls that may still be made.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended, err := d.open(ctx, inner)
	if err != nil {
		stop()
		return exitError, errors.Join(err, d.close(ended))
	}
	code, err := d.main(ctx, ended)
	stop()
	return code, errors.Join(err, d.close(ended))
}

// demo is one run of it.
type demo struct {
	Config
	folder *folder
	began  time.Time

	vcenter *vcenter.VCenter
	mail    *mailbox
	server  app.Started
	admin   *sdk.Client // the demo itself
	anna    person      // asks for machines
	olga    person      // runs the platform

	unfinished bool // something goes on at the next start, and needs the vCenter as it is
}

// open opens all that runs in inner. The channel gives why one of it ended; it is closed when all has.
func (d *demo) open(ctx, inner context.Context) (ended <-chan error, err error) {
	all := &group{ended: make(chan error, 2)}
	defer all.last()
	d.mail, err = openMailbox(ctx, d.folder.path("mail"))
	if err != nil {
		return all.ended, err
	}
	all.run(func() error { return d.mail.run(inner) })
	d.vcenter, err = vcenter.Open(ctx, vcenter.Config{
		Dir: d.folder.path("vcenter"), Command: d.VCenter, Lock: d.folder.path(lockName), Pause: d.Pause,
	})
	if err != nil {
		return all.ended, err
	}
	listen, err := d.listen(ctx)
	if err != nil {
		return all.ended, err
	}
	token := identity.NewToken()
	ready := make(chan app.Started, 1)
	all.run(func() error {
		return app.Run(inner, app.Config{
			Data: d.folder.path("server"), Listen: listen, Log: d.Log,
			AllowDial: []string{d.vcenter.Address()},
			Identity:  identity.Config{AdminToken: token},
			Notify:    notify.Config{SMTP: d.mail.url(), From: "Tutti <tutti@example.com>"},
			Ready:     func(s app.Started) { ready <- s },
		})
	})
	select {
	case <-ctx.Done():
		return all.ended, context.Cause(ctx)
	case err := <-all.ended:
		return all.ended, endedEarly(err)
	case d.server = <-ready:
	}
	if err := d.folder.write(addressName, d.server.Address); err != nil {
		return all.ended, err
	}
	d.admin, err = sdk.New(sdk.Config{Server: d.server.Address, Token: token, Agent: "tutti-demo"})
	return all.ended, err
}

// main sets the place up, has the work done, and shows it.
func (d *demo) main(ctx context.Context, ended <-chan error) (int, error) {
	if err := d.prepare(ctx); err != nil {
		return exitError, err
	}
	d.welcome()
	defer func() { d.unfinished = d.leaves(ctx) }()
	code, err := d.work(ctx)
	if err != nil || d.Once || ctx.Err() != nil {
		return code, err
	}
	d.next(ctx)
	d.mail.onMail(func(l letter) { d.say("mail to %s: %s", l.To, l.Subject) })
	d.say("\nServing until Ctrl-C.")
	select {
	case <-ctx.Done():
		return exitOK, nil
	case err := <-ended:
		return exitError, endedEarly(err)
	}
}

// endedEarly is the error of what ended although nobody told it to.
func endedEarly(err error) error {
	if err == nil {
		return errs.New(errs.Internal, "the server, or the mail server, ended by itself")
	}
	return err
}

// close ends the vCenter, which would go on otherwise, and waits for the rest. Where something is not
// finished the vCenter is left alone, for the next demo; it ends by itself when there is none.
func (d *demo) close(ended <-chan error) error {
	var err error
	for e := range ended {
		err = errors.Join(err, e)
	}
	if d.vcenter != nil && !d.unfinished {
		err = errors.Join(err, d.vcenter.Stop(context.WithoutCancel(context.Background()))) // background: the caller's has ended
	}
	return err
}

// say shows a line.
func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.Out, format+"\n", args...) }

// path returns a path as the user would write it.
func (d *demo) path(elem ...string) string {
	return filepath.Join(append([]string{d.Data}, elem...)...)
}

// exists reports whether a file is there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
