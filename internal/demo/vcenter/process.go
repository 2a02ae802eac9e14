package vcenter

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

// orders is what the process reads from its stdin, as one line of JSON.
type orders struct {
	Dir      string        `json:"dir"`
	Lock     string        `json:"lock"`
	URL      string        `json:"url"`
	Password string        `json:"password"`
	Pause    time.Duration `json:"pause"`
}

const (
	// lookEvery is how often the process asks itself whether anybody still wants it.
	lookEvery = time.Second
	// unclaimed is how long it waits to be written down, and unused how long without a demo.
	unclaimed = 10 * time.Second
	unused    = 15 * time.Minute
)

// Main is the process: it reads its orders from in, serves on the socket it inherited as descriptor 3,
// and returns its exit code when ctx ends or nobody wants it any more: its folder is gone, its folder
// belongs to another one, or no demo ran for a quarter of an hour.
func Main(ctx context.Context, in io.Reader) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := serve(ctx, in, log); err != nil {
		log.Error("the vCenter ended", "err", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, in io.Reader, log *slog.Logger) error {
	line, err := bufio.NewReader(in).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the orders: %w", err)
	}
	var o orders
	if err := json.Unmarshal(line, &o); err != nil {
		return fmt.Errorf("read the orders: %w", err)
	}
	socket := os.NewFile(3, "socket")
	l, err := net.FileListener(socket)
	if err != nil {
		return fmt.Errorf("use the inherited socket: %w", err)
	}
	socket.Close()
	m, handler, err := model(ctx, o)
	if err != nil {
		return fmt.Errorf("make the inventory: %w", err)
	}
	defer m.Remove()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		log.Info("ends", "why", o.watch(ctx))
	}()
	s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = s.Close() }) // its clients know how to try again
	log.Info("serves", "url", o.URL)
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// watch returns why the process is not wanted any more.
func (o orders) watch(ctx context.Context) string {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	claimed, used := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return "it was told to"
		case <-t.C:
		}
		switch s, err := readState(o.Dir); {
		case err == nil && s.PID == os.Getpid():
			claimed = time.Now()
		case err != nil && time.Since(claimed) > lookEvery && !errors.Is(err, os.ErrNotExist):
		case time.Since(claimed) > unclaimed:
			return "its folder is gone, or another's"
		}
		switch alive, err := o.inUse(); {
		case errors.Is(err, os.ErrNotExist):
			return "the folder of the demo is gone"
		case alive:
			used = time.Now()
		case time.Since(used) > unused:
			return "no demo has used it for " + unused.String()
		}
	}
}

// inUse reports whether the demo that the lock names is running.
func (o orders) inUse() (bool, error) {
	b, err := os.ReadFile(o.Lock)
	if err != nil {
		return false, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return false, nil
	}
	return syscall.Kill(pid, 0) == nil, nil
}

// names are what the inventory is called instead of what the simulator calls it.
var names = map[string]string{
	"DC0":       "DC1",
	"DC0_C0":    "CLUSTER_DEV",
	"DC0_C1":    "CLUSTER_PROD",
	"DC0_DVPG0": "INTRANET_DEV",
	"DC0_DVPG1": "INTRANET_PROD",
	"DC0_DVPG2": "DMZ",
}

// stores are the datastores of the clusters.
var stores = map[string]string{"CLUSTER_DEV": "SSD_DEV", "CLUSTER_PROD": "SSD_PROD"}

// model makes the inventory: a datacenter with two clusters, networks and datastores, and no machine.
func model(ctx context.Context, o orders) (*simulator.Model, http.Handler, error) {
	m := simulator.VPX()
	m.Host, m.Machine, m.Cluster, m.ClusterHost, m.Portgroup, m.Datastore = 0, 0, 2, 2, 3, 0
	if err := m.Create(); err != nil {
		return nil, nil, err
	}
	s := m.Service
	client, err := vim25.NewClient(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	if err := rename(ctx, client, m.Map()); err != nil {
		return nil, nil, err
	}
	if err := addStores(ctx, client, filepath.Join(o.Dir, "tmp")); err != nil {
		return nil, nil, err
	}
	for _, e := range m.Map().All("DistributedVirtualPortgroup") { // as a vCenter marks them, so that nobody puts a machine there
		if pg, ok := e.(*simulator.DistributedVirtualPortgroup); ok && strings.Contains(pg.Name, "DVUplinks") {
			pg.Tag = []types.Tag{{Key: "SYSTEM/DVS.UPLINKPG"}}
		}
	}
	strict(m.Map())
	if s.Listen, err = url.Parse(o.URL); err != nil {
		return nil, nil, err
	}
	s.Listen.User = url.UserPassword(User, o.Password)
	s.RegisterSDK(s.Context.Map, s.Context.Map.Path+"/vimService")
	if ms := int(o.Pause.Milliseconds()); ms > 0 {
		// A folder stays usable while a machine is made in it.
		simulator.TaskDelay = simulator.DelayConfig{MethodDelay: map[string]int{"CreateVm": ms, "LockHandoff": 0}}
	}
	return m, s.ServeMux, nil
}

func rename(ctx context.Context, client *vim25.Client, inventory *simulator.Registry) error {
	for _, entity := range inventory.All("") {
		name := names[entity.Entity().Name]
		if name == "" {
			continue
		}
		task, err := object.NewCommon(client, entity.Reference()).Rename(ctx, name)
		if err == nil {
			err = task.Wait(ctx)
		}
		if err != nil {
			return fmt.Errorf("rename to %s: %w", name, err)
		}
	}
	return nil
}

// addStores gives every host the datastore of its cluster, whose files are below dir.
func addStores(ctx context.Context, client *vim25.Client, dir string) error {
	f := find.NewFinder(client)
	for cluster, name := range stores {
		files := filepath.Join(dir, name)
		if err := os.MkdirAll(files, 0o700); err != nil {
			return err
		}
		hosts, err := f.HostSystemList(ctx, "/DC1/host/"+cluster+"/*")
		if err != nil {
			return err
		}
		for _, h := range hosts {
			system, err := h.ConfigManager().DatastoreSystem(ctx)
			if err == nil {
				_, err = system.CreateLocalDatastore(ctx, name, files)
			}
			if err != nil {
				return fmt.Errorf("datastore %s: %w", name, err)
			}
		}
	}
	return nil
}
