package tfcli

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tutti/internal/durable"
	"tutti/internal/secretbox"
	"tutti/internal/terraform"
)

// folder is the folder of a workspace.
type folder struct{ dir, namespace, name string }

const (
	fileState     = "state"
	fileVariables = "variables"
	fileLock      = "lock"
	// keepStates is how many states before the current one are kept.
	keepStates = 20
)

func (f folder) path(elements ...string) string {
	return filepath.Join(append([]string{f.dir}, elements...)...)
}

func (f folder) keyContext() secretbox.Context {
	return secretbox.Context{Namespace: f.namespace, Name: "terraform/" + f.name, Version: 1}
}

// chunk is how much is sealed at a time.
const chunk = secretbox.MaxPlain

// seal writes a file below the folder, sealed for its name: in pieces, each bound to its place and to how
// many there are.
func (f folder) seal(box *secretbox.Box, name string, plain []byte) error {
	var out []byte
	pieces := slices.Collect(slices.Chunk(plain, chunk))
	if len(pieces) == 0 {
		pieces = [][]byte{{}}
	}
	for i, piece := range pieces {
		sealed, err := box.Seal(f.pieceContext(name, i, len(pieces)), piece)
		if err != nil {
			return fmt.Errorf("seal %s of workspace %s: %w", name, f.name, err)
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(sealed)))
		out = append(out, sealed...)
	}
	if err := durable.Replace(f.path(name), out); err != nil {
		return fmt.Errorf("write %s of workspace %s: %w", name, f.name, err)
	}
	return nil
}

// unseal reads what seal wrote.
func (f folder) unseal(box *secretbox.Box, name string) ([]byte, error) {
	raw, err := os.ReadFile(f.path(name))
	if err != nil {
		return nil, err
	}
	var pieces [][]byte
	for len(raw) > 0 {
		if len(raw) < 4 || len(raw)-4 < int(binary.BigEndian.Uint32(raw)) {
			return nil, fmt.Errorf("read %s of workspace %s: it is cut off", name, f.name)
		}
		n := 4 + int(binary.BigEndian.Uint32(raw))
		pieces, raw = append(pieces, raw[4:n]), raw[n:]
	}
	var out []byte
	for i, piece := range pieces {
		plain, err := box.Unseal(f.pieceContext(name, i, len(pieces)), piece)
		if err != nil {
			return nil, fmt.Errorf("read %s of workspace %s: %w", name, f.name, err)
		}
		out = append(out, plain...)
	}
	return out, nil
}

func (f folder) pieceContext(name string, i, of int) secretbox.Context {
	return secretbox.Context{Namespace: f.namespace, Name: fmt.Sprintf("terraform/%s/%s/%d", f.name, name, of), Version: int64(i)}
}

// lock takes the workspace for owner, until held is released. Where somebody else has it, held is nil and
// has says who. The kernel frees the lock when all processes have died that have the file open.
func (f folder) lock(owner terraform.Owner) (held *os.File, has terraform.Owner, err error) {
	file, err := os.OpenFile(f.path(fileLock), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, has, fmt.Errorf("lock workspace %s: %w", f.name, err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		b, _ := io.ReadAll(file)
		_ = json.Unmarshal(b, &has) // for people; it may be half written
		return nil, has, file.Close()
	}
	if err != nil {
		return nil, has, errors.Join(fmt.Errorf("lock workspace %s: %w", f.name, err), file.Close())
	}
	owner.Since = time.Now().UTC()
	b, err := json.Marshal(owner)
	if err == nil {
		err = file.Truncate(0)
	}
	if err == nil {
		_, err = file.WriteAt(b, 0)
	}
	if err != nil {
		return nil, has, errors.Join(fmt.Errorf("lock workspace %s: %w", f.name, err), file.Close())
	}
	return file, has, nil
}

// release gives a lock back, also where another process has the file open.
func release(held *os.File) {
	_ = syscall.Flock(int(held.Fd()), syscall.LOCK_UN)
	held.Close()
}

// scratch returns the folder in memory where the plain text of a workspace lies while something runs in
// it. It is the same each time, for the next runner to find what one that was killed left.
func (f folder) scratch(key string) (string, error) {
	base := filepath.Join("/dev/shm", fmt.Sprintf("tutti-terraform-%d", os.Geteuid()))
	if _, err := os.Stat("/dev/shm"); err != nil {
		base = f.path("scratch") // no such place here: as private as the data folder is
	}
	if err := os.Mkdir(base, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(base)
	if err != nil {
		return "", err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || info.Mode().Perm()&0o077 != 0 || int(st.Uid) != os.Geteuid() {
		return "", fmt.Errorf("%s is not a private folder of this user", base)
	}
	sum := sha256.Sum256([]byte("scratch\x00" + key))
	return filepath.Join(base, hex.EncodeToString(sum[:10])), nil
}

// keepState seals a state that a program wrote, and puts the one before into the history.
func (f folder) keepState(box *secretbox.Box, plain []byte) error {
	if len(plain) == 0 {
		return nil
	}
	next, err := readState(plain)
	if err != nil {
		next = state{} // kept all the same: it is the program's business
	}
	if old, err := f.unseal(box, fileState); err == nil {
		was, _ := readState(old)
		if string(old) == string(plain) {
			return nil
		}
		if was.Serial != next.Serial {
			at := f.path("history", fmt.Sprintf("%012d", was.Serial))
			if err := os.Link(f.path(fileState), at); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("keep the state before: %w", err)
			}
			f.trim()
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		// What cannot be opened must not be overwritten.
		return err
	}
	return f.seal(box, fileState, plain)
}

// trim removes the oldest of the states before.
func (f folder) trim() {
	entries, err := os.ReadDir(f.path("history"))
	if err != nil {
		return
	}
	for i, e := range entries {
		if i < len(entries)-keepStates && !strings.HasPrefix(e.Name(), ".") {
			_ = os.Remove(f.path("history", e.Name()))
		}
	}
}
