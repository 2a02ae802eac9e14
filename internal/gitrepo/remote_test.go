package gitrepo_test

import (
	"compress/gzip"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"tutti/errs"
	"tutti/internal/gitrepo"
	"tutti/internal/netguard"
)

// overHTTP serves a repository as the gateway does.
func overHTTP(t *testing.T, r *gitrepo.Repo, password string) string {
	t.Helper()
	m := http.NewServeMux()
	m.HandleFunc("GET /r/info/refs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		if err := r.Advertise(w); err != nil {
			t.Error(err)
		}
	})
	m.HandleFunc("POST /r/git-upload-pack", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		body := io.Reader(q.Body)
		if q.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		if err := r.UploadPack(q.Context(), body, w); err != nil && !errs.Is(err, errs.NotFound) {
			t.Error(err)
		}
	})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if _, p, _ := q.BasicAuth(); p != password {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		m.ServeHTTP(w, q)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/r"
}

var open4all = &gitrepo.Remotes{Dial: new(net.Dialer).DialContext}

func TestReadOverHTTP(t *testing.T) {
	t.Parallel()
	r, _ := open(t)
	first := commit(t, r, gitrepo.Commit{Files: files("a.txt", "one", "dir/b.txt", "two", "dir/sub/c.txt", "three")})
	commit(t, r, gitrepo.Commit{Files: files("a.txt", "later")})
	at := gitrepo.Remote{URL: overHTTP(t, r, "secret"), Password: "secret"}
	got, err := open4all.Read(t.Context(), at, first, "a.txt")
	if err != nil || string(got[""]) != "one" {
		t.Errorf("Read(a.txt) = %q, %v; want one, though the branch moved on", got, err)
	}
	got, err = open4all.Read(t.Context(), at, first, "dir")
	if err != nil || len(got) != 2 || string(got["sub/c.txt"]) != "three" {
		t.Errorf("Read(dir) = %q, %v", got, err)
	}
	for name, tc := range map[string]struct {
		remote gitrepo.Remote
		commit string
		path   string
		kind   errs.Kind
	}{
		"no such file":   {at, first, "nothing", errs.NotFound},
		"no such commit": {at, strings.Repeat("12", 20), "a.txt", errs.NotFound},
		"wrong password": {gitrepo.Remote{URL: at.URL, Password: "no"}, first, "a.txt", errs.Denied},
		"no repository":  {gitrepo.Remote{URL: strings.TrimSuffix(at.URL, "r") + "x", Password: "secret"}, first, "a.txt", errs.NotFound},
		"way out":        {at, first, "../a.txt", errs.Invalid},
		"a file":         {gitrepo.Remote{URL: "file:///etc"}, first, "passwd", errs.Invalid},
		"nobody there":   {gitrepo.Remote{URL: "http://127.0.0.1:1/r"}, first, "a.txt", errs.Unavailable},
		"branch":         {at, "main", "a.txt", errs.Invalid},
	} {
		if _, err := open4all.Read(t.Context(), tc.remote, tc.commit, tc.path); !errs.Is(err, tc.kind) {
			t.Errorf("%s: %v; want %s", name, err, tc.kind)
		}
	}
	guarded := &gitrepo.Remotes{Dial: new(netguard.Guard).DialContext}
	if _, err := guarded.Read(t.Context(), at, first, "a.txt"); !errs.Is(err, errs.Denied) {
		t.Errorf("a guarded address = %v; want Denied", err)
	}
}

// The real git clones what is served, and fetches what came since.
func TestGitClones(t *testing.T) {
	t.Parallel()
	r, _ := open(t)
	commit(t, r, gitrepo.Commit{Files: files("a.txt", "one")})
	url := strings.Replace(overHTTP(t, r, "secret"), "http://", "http://git:secret@", 1)
	dir := t.TempDir()
	run(t, dir, "clone", "-q", url, "copy")
	commit(t, r, gitrepo.Commit{Files: files("b.txt", "two")})
	run(t, filepath.Join(dir, "copy"), "pull", "-q")
	run(t, filepath.Join(dir, "copy"), "fsck", "--strict")
	if b, err := os.ReadFile(filepath.Join(dir, "copy", "b.txt")); err != nil || string(b) != "two" {
		t.Errorf("the clone has %q, %v", b, err)
	}
	run(t, dir, "clone", "-q", "--depth", "1", url, "shallow")
}

// sshd starts a real OpenSSH server that lets a key run git on a repository.
func sshd(t *testing.T) (url, key, hostKey string) {
	t.Helper()
	exe := "/usr/sbin/sshd"
	if _, err := os.Stat(exe); err != nil {
		if os.Getenv("TUTTI_TEST_REQUIRE") != "" {
			t.Fatal("no sshd: apt-get install openssh-server")
		}
		t.Skip("SKIPPED: no sshd here: apt-get install openssh-server")
	}
	dir := t.TempDir()
	host, _ := newKey(t)
	user, userPub := newKey(t)
	for name, text := range map[string]string{"host": host, "authorized": userPub} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_ = os.MkdirAll("/run/sshd", 0o755)
	cmd := exec.Command(exe, "-D", "-e", "-f", "/dev/null", "-o", "ListenAddress="+address, "-o", "HostKey="+filepath.Join(dir, "host"), "-o", "UsePAM=no", "-o", "StrictModes=no",
		"-o", "PidFile=none", "-o", "PermitRootLogin=yes", "-o", "AuthorizedKeysFile="+filepath.Join(dir, "authorized"), "-o", "SetEnv=HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			break
		}
		time.Sleep(25 * time.Millisecond) // sleep: another process is to listen, and says so nowhere else
	}
	signer, err := ssh.ParsePrivateKey([]byte(host))
	if err != nil {
		t.Fatal(err)
	}
	return "ssh://root@" + address, user, string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
}

func newKey(t *testing.T) (private, public string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(p))
}

func TestReadOverSSH(t *testing.T) {
	t.Parallel()
	url, key, hostKey := sshd(t)
	r, dir := open(t)
	run(t, dir, "rev-parse", "HEAD") // or there is no git to serve it
	first := commit(t, r, gitrepo.Commit{Files: files("a.txt", "one")})
	commit(t, r, gitrepo.Commit{Files: files("a.txt", "later")})
	at := gitrepo.Remote{URL: url + dir, Key: key, HostKey: hostKey}
	got, err := open4all.Read(t.Context(), at, first, "a.txt")
	if err != nil || string(got[""]) != "one" {
		t.Fatalf("Read = %q, %v; want one", got, err)
	}
	_, other := newKey(t)
	changed, stranger := at, at
	changed.HostKey = other
	if _, err := open4all.Read(t.Context(), changed, first, "a.txt"); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "another key") {
		t.Errorf("a changed host key = %v; want Denied", err)
	}
	stranger.Key, _ = newKey(t)
	if _, err := open4all.Read(t.Context(), stranger, first, "a.txt"); !errs.Is(err, errs.Denied) {
		t.Errorf("a stranger's key = %v; want Denied", err)
	}
	guarded := &gitrepo.Remotes{Dial: new(netguard.Guard).DialContext}
	if _, err := guarded.Read(t.Context(), at, first, "a.txt"); !errs.Is(err, errs.Denied) {
		t.Errorf("a guarded address = %v; want Denied", err)
	}
}
