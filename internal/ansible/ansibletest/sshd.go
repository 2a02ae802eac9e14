package ansibletest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSHD is a real OpenSSH server on loopback, with keys of its own.
type SSHD struct {
	Port int
	// User may log in with Key, a private key.
	User, Key string
	// KnownHosts is the server's key as a line of known_hosts; Home is the home of who logs in.
	KnownHosts, Home string
}

// NewSSHD starts a server that ends with the test, or skips the test, loudly, where there is none.
func NewSSHD(t testing.TB) SSHD {
	t.Helper()
	exe, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		Missing(t, "sshd is not here: install openssh-server")
	}
	dir := t.TempDir()
	host, hostPublic := NewKey(t)
	key, public := NewKey(t)
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	user := os.Getenv("USER")
	if os.Geteuid() == 0 || user == "" {
		user = "root"
		_ = os.MkdirAll("/run/sshd", 0o755) // where it separates privileges; sshd says so where it is missing
	}
	for name, text := range map[string]string{"host": host, "authorized": public} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 { // the port may be taken before the server takes it
		port := free(t)
		config := fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s\nAuthorizedKeysFile %s\nUsePAM no\nStrictModes no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\nSetEnv HOME=%s\nSubsystem sftp internal-sftp\nMaxStartups 100\nMaxSessions 100\n",
			port, filepath.Join(dir, "host"), filepath.Join(dir, "authorized"), home)
		file := filepath.Join(dir, "sshd_config")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if serves(t, exec.Command(exe, "-D", "-e", "-f", file), port) {
			return SSHD{Port: port, User: user, Key: key, KnownHosts: fmt.Sprintf("[127.0.0.1]:%d %s", port, hostPublic), Home: home}
		}
	}
	t.Fatal("sshd does not start")
	return SSHD{}
}

func free(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// serves starts a server and waits until it takes connections, or has ended.
func serves(t testing.TB, cmd *exec.Cmd, port int) bool {
	t.Helper()
	cmd.Stderr = nil
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// NewKey makes a pair of keys for SSH: a private one, and a public one as a line of authorized_keys.
func NewKey(t testing.TB) (private, public string) {
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
