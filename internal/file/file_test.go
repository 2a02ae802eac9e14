package file_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tutti/api"
	"tutti/bus"
	"tutti/errs"
	"tutti/id"
	"tutti/internal/blob"
	"tutti/internal/blob/dirblob"
	"tutti/internal/file"
	"tutti/internal/service/servicetest"
)

type world struct {
	*servicetest.Env
	blobs blob.Store
}

func start(t *testing.T, e *servicetest.Env) *world {
	t.Helper()
	blobs, err := dirblob.Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	w := &world{e, blobs}
	e.Start(t, file.New(blobs), api.Find("file"))
	return w
}

func (w *world) put(t *testing.T, text string) blob.Digest {
	t.Helper()
	d, _, err := w.blobs.Put(t.Context(), strings.NewReader(text), -1)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// has reports whether the bytes are in the blob store.
func (w *world) has(t *testing.T, d blob.Digest) bool {
	t.Helper()
	r, _, err := w.blobs.Open(t.Context(), d)
	if err != nil {
		return false
	}
	_ = r.Close()
	return true
}

func in(ns string) api.NS { return api.NS{Namespace: ns} }

func anna(t *testing.T) context.Context {
	return bus.WithTrace(servicetest.As(t, "user:anna", "*", api.Operator), "0af7651916cd43dd8448eb211c80319c")
}

func (w *world) add(t *testing.T, ns, key, name, text string) (api.File, error) {
	d := w.put(t, text)
	return api.AddFile.Call(anna(t), w.Deps.Bus, api.AddFileIn{NS: in(ns), Key: key, Name: name, Type: "text/plain", Digest: string(d), Size: int64(len(text))})
}

func (w *world) mustAdd(t *testing.T, ns, key, name, text string) api.File {
	t.Helper()
	f, err := w.add(t, ns, key, name, text)
	if err != nil {
		t.Fatalf("AddFile: %v", err)
	}
	return f
}

func (w *world) delete(t *testing.T, ns, id string) error {
	_, err := api.DeleteFile.Call(anna(t), w.Deps.Bus, api.FileIn{NS: in(ns), ID: id})
	return err
}

func want(t *testing.T, what string, err error, kind errs.Kind) {
	t.Helper()
	if !errs.Is(err, kind) {
		t.Errorf("%s: %v; want kind %q", what, err, kind)
	}
}

func both(t *testing.T, f func(*testing.T, *world)) {
	t.Parallel()
	servicetest.Both(t, "file", file.Migrations, func(t *testing.T, e *servicetest.Env) { f(t, start(t, e)) })
}

func TestAddAndGet(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		f := w.mustAdd(t, "default", "k1", "vm.yaml", "hello")
		if !id.Valid("file", f.ID) || f.By != "user:anna" || f.Trace != "0af7651916cd43dd8448eb211c80319c" || f.Size != 5 {
			t.Errorf("AddFile = %+v", f)
		}
		if again := w.mustAdd(t, "default", "k1", "vm.yaml", "hello"); again != f {
			t.Errorf("the same key gave %+v; want %+v", again, f)
		}
		_, err := w.add(t, "default", "k1", "vm.yaml", "other")
		want(t, "the key with other content", err, errs.Conflict)
		if other := w.mustAdd(t, "other", "k1", "vm.yaml", "hello"); other.ID == f.ID {
			t.Error("a key reaches into another namespace")
		}
		for _, name := range []string{f.ID, f.Digest} {
			got, err := api.GetFile.Call(anna(t), w.Deps.Bus, api.FileIn{NS: in("default"), ID: name})
			if err != nil || got != f {
				t.Errorf("GetFile(%s) = %+v, %v; want %+v", name, got, err, f)
			}
			_, err = api.GetFile.Call(anna(t), w.Deps.Bus, api.FileIn{NS: in("third"), ID: name})
			want(t, "GetFile in another namespace", err, errs.NotFound)
		}
		for _, bad := range []api.AddFileIn{
			{Name: "", Digest: f.Digest, Size: 5}, {Name: "../x", Digest: f.Digest, Size: 5}, {Name: "a\nb", Digest: f.Digest, Size: 5}, {Name: "..", Digest: f.Digest, Size: 5},
			{Name: "a\x00", Digest: f.Digest, Size: 5}, {Name: strings.Repeat("a", 256), Digest: f.Digest, Size: 5}, {Name: "a", Type: "text/html\r\nX: y", Digest: f.Digest, Size: 5},
			{Name: "a", Digest: "sha256:..", Size: 5}, {Name: "a", Digest: f.Digest, Size: 4}, {Name: "a", Digest: f.Digest, Size: 5, Key: strings.Repeat("k", 201)},
		} {
			bad.NS = in("default")
			_, err := api.AddFile.Call(anna(t), w.Deps.Bus, bad)
			want(t, fmt.Sprintf("AddFile(%+v)", bad), err, errs.Invalid)
		}
		_, err = api.AddFile.Call(anna(t), w.Deps.Bus, api.AddFileIn{NS: in("default"), Name: "a", Digest: string(blob.Sum([]byte("never uploaded"))), Size: 1})
		want(t, "content that is not there", err, errs.NotFound)
		_, err = api.AddFile.Call(servicetest.As(t, "user:eve", "default", api.Viewer), w.Deps.Bus, api.AddFileIn{NS: in("default"), Name: "a", Digest: f.Digest, Size: 5})
		want(t, "a viewer adding", err, errs.Denied)
		if got := writes(w.Acts(t)); got != 2 {
			t.Errorf("%d acts of writing in the audit trail; want 2", got)
		}
	})
}

func writes(acts []string) (n int) {
	for _, a := range acts {
		if strings.HasPrefix(a, "user:anna file.write file_") {
			n++
		}
	}
	return n
}

func TestListAndFind(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		var all []string
		for i := range 7 {
			all = append([]string{w.mustAdd(t, "default", "", fmt.Sprintf("f%d", i), "x").ID}, all...)
		}
		w.mustAdd(t, "other", "", "elsewhere", "x")
		var got []string
		cursor := ""
		for pages := 0; pages < 10; pages++ {
			p, err := api.ListFiles.Call(anna(t), w.Deps.Bus, api.ListFilesIn{NS: in("default"), Paging: api.Paging{Limit: 3, Cursor: cursor}})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range p.Items {
				got = append(got, f.ID)
			}
			if pages == 0 { // what comes and goes moves nothing
				w.mustAdd(t, "default", "", "new", "x")
				if err := w.delete(t, "default", p.Items[0].ID); err != nil {
					t.Fatal(err)
				}
			}
			if cursor = p.Cursor; cursor == "" {
				break
			}
		}
		if diff := cmp.Diff(all, got); diff != "" {
			t.Errorf("ListFiles by pages (-want +got):\n%s", diff)
		}
		for _, c := range []string{"x", "!!", "MTIz", strings.Repeat("A", 100)} {
			_, err := api.ListFiles.Call(anna(t), w.Deps.Bus, api.ListFilesIn{NS: in("default"), Paging: api.Paging{Cursor: c}})
			want(t, "a made-up cursor", err, errs.Invalid)
		}
		p, err := api.ListFiles.Call(anna(t), w.Deps.Bus, api.ListFilesIn{NS: in("default"), Trace: "nothing"})
		if err != nil || len(p.Items) != 0 {
			t.Errorf("ListFiles of an unknown trace = %v, %v", p, err)
		}
		for prefix, n := range map[string]int{all[3][:9]: 1, strings.TrimPrefix(all[3], "file_")[:6]: 1, all[3]: 1, "run_0000": 0, "file_%": 0, "file_": 0, all[3] + "0": 0} {
			f, err := api.Find("file").Call(anna(t), w.Deps.Bus, api.FindIn{NS: in("default"), Prefix: prefix})
			if err != nil || len(f.Items) != n || n == 1 && f.Items[0].ID != all[3] {
				t.Errorf("find %q = %+v, %v; want %d", prefix, f.Items, err, n)
			}
		}
		f, err := api.Find("file").Call(anna(t), w.Deps.Bus, api.FindIn{NS: in("other"), Prefix: all[3]})
		if err != nil || len(f.Items) != 0 {
			t.Errorf("find in another namespace = %+v, %v; want nothing", f, err)
		}
	})
}

func TestBlobGoesWithItsLastFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, servicetest.SQLite(t, "file", file.Migrations))
		a, b := w.mustAdd(t, "default", "", "a", "same"), w.mustAdd(t, "other", "", "b", "same")
		want(t, "deleting from another namespace", w.delete(t, "default", b.ID), errs.NotFound)
		want(t, "deleting by digest", w.delete(t, "default", a.Digest), errs.Invalid)
		if err := w.delete(t, "default", a.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if !w.has(t, blob.Digest(a.Digest)) {
			t.Fatal("the blob went with the first of two files")
		}
		want(t, "deleting twice", w.delete(t, "default", a.ID), errs.NotFound)
		if err := w.delete(t, "other", b.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if w.has(t, blob.Digest(a.Digest)) {
			t.Error("the blob outlived its last file")
		}
		w.mustAdd(t, "default", "", "a", "same")
		time.Sleep(time.Hour)
		if !w.has(t, blob.Digest(a.Digest)) {
			t.Error("a blob that was added again went")
		}
	})
}

// Files of the same bytes come and go at once: none is ever without them.
func TestAddsRaceDeletes(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		const text = "contended"
		var wg sync.WaitGroup
		var mu sync.Mutex
		kept := map[string]bool{}
		for n := range 6 {
			wg.Go(func() {
				for i := range 15 {
					f, err := w.add(t, "default", "", fmt.Sprintf("f%d", n), text)
					if errs.Is(err, errs.NotFound) {
						continue // deleted between upload and add, and said so
					}
					if err != nil {
						t.Errorf("AddFile: %v", err)
						return
					}
					if !w.has(t, blob.Digest(f.Digest)) {
						t.Error("a file was added without its bytes")
					}
					if i == 14 && n == 0 {
						mu.Lock()
						kept[f.ID] = true
						mu.Unlock()
						continue
					}
					if err := w.delete(t, "default", f.ID); err != nil {
						t.Errorf("DeleteFile: %v", err)
					}
				}
			})
		}
		wg.Wait()
		p, err := api.ListFiles.Call(anna(t), w.Deps.Bus, api.ListFilesIn{NS: in("default")})
		if err != nil || len(p.Items) != len(kept) {
			t.Errorf("ListFiles = %d files, %v; want %d", len(p.Items), err, len(kept))
		}
		if len(kept) > 0 && !w.has(t, blob.Sum([]byte(text))) {
			t.Error("the file that was kept has no bytes")
		}
	})
}
