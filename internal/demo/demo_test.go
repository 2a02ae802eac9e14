package demo

import (
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tutti/errs"
	"tutti/internal/app"
)

func TestFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.read(lockName); got != fmt.Sprint(os.Getpid()) {
		t.Errorf("the lock names %q; want this process", got)
	}
	if _, err := openFolder(dir); !errs.Is(err, errs.Conflict) {
		t.Errorf("a second demo on the folder = %v; want a conflict", err)
	}
	first, made, err := f.secret("anna.password")
	if err != nil || !made || len(first) < 12 {
		t.Errorf("secret = %q, %t, %v; want a new one that is long", first, made, err)
	}
	if again, made, err := f.secret("anna.password"); err != nil || made || again != first {
		t.Errorf("secret = %q, %t, %v; want the one that was made", again, made, err)
	}
	if info, err := os.Stat(f.path("anna.password")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("password: %v, %v; want it closed to others", info.Mode(), err)
	}
	f.close()
	if f, err = openFolder(dir); err != nil {
		t.Fatalf("a folder that was left = %v", err)
	}
	f.close()
}

// A folder with other things in it, or that is a server's, is not taken over.
func TestFolderOfOthers(t *testing.T) {
	t.Parallel()
	for name, files := range map[string][]string{"other things": {"thesis.txt"}, "a server's": {"lock", "cluster.key"}} {
		dir := t.TempDir()
		for _, f := range files {
			if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := openFolder(dir); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: openFolder = %v; want it refused", name, err)
		}
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	f, err := openFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	var said strings.Builder
	d := &demo{Config: Config{Out: &said}, folder: f}
	// The usual address may be taken on the machine of the test; then another one must be given.
	usual, err := net.Listen("tcp", app.DefaultListen)
	if err == nil {
		defer usual.Close()
	}
	got, err := d.listen(t.Context())
	if err != nil || got == app.DefaultListen {
		t.Errorf("listen = %q, %v although %s is taken", got, err, app.DefaultListen)
	}
	if !strings.Contains(said.String(), "taken") {
		t.Errorf("said %q; want that the address is taken", &said)
	}
	// One that it had before is taken again.
	before, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := before.Addr().String()
	before.Close()
	if err := f.write(addressName, "http://"+address); err != nil {
		t.Fatal(err)
	}
	if got, err := d.listen(t.Context()); err != nil || got != address {
		t.Errorf("listen = %q, %v; want %s, where it was before", got, err, address)
	}
	d.Listen = "127.0.0.1:1"
	if got, err := d.listen(t.Context()); err != nil || got != d.Listen {
		t.Errorf("listen = %q, %v; want what was asked for", got, err)
	}
}

func TestMailbox(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := openMailbox(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- b.run(t.Context()) }()
	arrived := make(chan letter, 1)
	b.onMail(func(l letter) { arrived <- l })
	raw := "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Tutti-Trace: abc\r\n\r\nHello.\r\n"
	if err := smtp.SendMail(b.listener.Addr().String(), nil, "tutti@example.com", []string{"anna@example.com", "ops@example.com"}, []byte(raw)); err != nil {
		t.Fatal(err)
	}
	want := letter{To: "anna@example.com, ops@example.com", Subject: "Grüße", Trace: "abc"}
	select {
	case got := <-arrived:
		if got != want {
			t.Errorf("letter = %+v; want %+v", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no mail arrived")
	}
	again, err := openMailbox(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.listener.Close()
	if got := again.letters(); len(got) != 1 || got[0] != want {
		t.Errorf("letters after a restart = %+v; want %+v", got, want)
	}
}

// Words are quoted as the shell reads them.
func TestQuoted(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"plain", "", "two words", "it's", "$HOME `x` \\", "a\nb", "tutti-demo/anna.token"} {
		out, err := exec.Command("sh", "-c", "printf %s "+quoted(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("the shell reads %s as %q, %v; want %q", quoted(s), out, err, s)
		}
	}
}
