package storetest_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/daemon/store/redis"
	"github.com/spark-ta/spark/daemon/store/storetest"
)

func TestSentinel(t *testing.T) {
	t.Parallel()
	d := startSentinels(t)
	storetest.Run(t, d.open)
}

func TestCluster(t *testing.T) {
	t.Parallel()
	d := startCluster(t, 0)
	storetest.Run(t, d.open)
	for _, n := range d.nodes {
		if n != d.master() && n.client.DBSize(t.Context()).Val() > 0 {
			t.Errorf("%s holds keys too: %v", n.addr, n.client.Keys(t.Context(), "*").Val())
		}
	}
}

// process is a redis-server, or a Sentinel, started by a test.
type process struct {
	t      testing.TB
	args   []string
	addr   string
	bus    string // port between the nodes of a Cluster
	dir    string
	client *goredis.Client
	cmd    *exec.Cmd // nil while it does not run
}

// start starts a server on a free port. Arguments come after those for the port and
// the directory. The first may be the name of a file in the directory.
func start(t testing.TB, args ...string) *process {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed")
	}
	p := &process{t: t, dir: t.TempDir(), args: args}
	var ports [2]string
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, ports[i], _ = net.SplitHostPort(l.Addr().String())
		defer l.Close()
	}
	p.addr, p.bus = "127.0.0.1:"+ports[0], ports[1]
	p.login("")
	t.Cleanup(func() { _ = p.client.Close(); p.kill() })
	return p
}

// login makes the test's own client of the server.
func (p *process) login(password string) {
	if p.client != nil {
		_ = p.client.Close()
	}
	p.client = goredis.NewClient(&goredis.Options{Addr: p.addr, Protocol: 2, MaxRetries: -1, Password: password})
}

func (p *process) port() string { _, port, _ := net.SplitHostPort(p.addr); return port }

// run starts it, again after a kill, and waits for its answer.
func (p *process) run() *process {
	p.t.Helper()
	p.cmd = exec.Command("redis-server", append(slices.Clone(p.args), "--port", p.port(), "--bind", "127.0.0.1", "--dir", p.dir,
		"--loglevel", "warning", "--logfile", filepath.Join(p.dir, "log"))...)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.wait("an answer", func(ctx context.Context) bool { return p.client.Ping(ctx).Err() == nil })
	return p
}

// data is run for a server that holds data.
func (p *process) data() *process {
	p.args = append(p.args, "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
	return p.run()
}

func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

// stop holds a process still, until the function it returns is called.
func (p *process) stop() (resume func()) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	return func() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }
}

func (p *process) wait(what string, ok func(context.Context) bool) {
	p.t.Helper()
	eventually(p.t, what+" of "+p.addr, ok, func() string {
		log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
		return string(log)
	})
}

// do sends a command that must succeed.
func (p *process) do(args ...any) any {
	p.t.Helper()
	v, err := p.client.Do(p.t.Context(), args...).Result()
	if err != nil {
		p.t.Fatalf("%v at %s: %v", args, p.addr, err)
	}
	return v
}

func (p *process) info(section, line string) bool {
	return strings.Contains(p.client.Info(p.t.Context(), section).Val(), line+"\r\n")
}

// eventually waits for something that must come to pass.
func eventually(t testing.TB, what string, ok func(context.Context) bool, more func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(t.Context()); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("no %s after a minute\n%s", what, more())
		}
	}
}

// deployed is a group of servers that look like one.
type deployed struct {
	t     testing.TB
	url   string
	nodes []*process // that hold data
	keep  []*process // Sentinels
}

// open empties the servers for a test.
func (d *deployed) open(t testing.TB) redis.Options {
	t.Helper()
	o := redis.Options{URL: d.url}
	if err := storetest.Raw(t, o).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return o
}

// master is the process that holds the data now, by its own word.
func (d *deployed) master() *process {
	d.t.Helper()
	addr := storetest.Raw(d.t, redis.Options{URL: d.url}).Do(d.t.Context(), "CONFIG", "GET", "port").Val().([]any)[1].(string)
	for _, n := range d.nodes {
		if n.port() == addr {
			return n
		}
	}
	d.t.Fatalf("no node at port %s", addr)
	return nil
}

// replica is the one that is not the master.
func (d *deployed) replica() *process {
	d.t.Helper()
	m := d.master()
	for _, n := range d.nodes {
		if n != m && n.info("replication", "role:slave") {
			return n
		}
	}
	d.t.Fatal("no replica")
	return nil
}

func join(ps []*process) string {
	addrs := make([]string, len(ps))
	for i, p := range ps {
		addrs[i] = p.addr
	}
	return strings.Join(addrs, ",")
}

// startSentinels starts a master, a replica and three Sentinels, all with passwords.
func startSentinels(t testing.TB) *deployed {
	t.Helper()
	d := &deployed{t: t, nodes: []*process{start(t), start(t)}}
	for _, n := range d.nodes {
		n.args = []string{"--requirepass", "da:ta", "--masterauth", "da:ta"}
		n.login("da:ta")
		n.data()
	}
	master, replica := d.nodes[0], d.nodes[1]
	replica.do("REPLICAOF", "127.0.0.1", master.port())
	replica.wait("link to the master", func(context.Context) bool { return replica.info("replication", "master_link_status:up") })
	for range 3 {
		s := start(t)
		conf := filepath.Join(s.dir, "sentinel.conf")
		text := fmt.Sprintf("requirepass keeper\nsentinel sentinel-pass keeper\nsentinel monitor main 127.0.0.1 %s 2\nsentinel auth-pass main da:ta\n"+
			"sentinel down-after-milliseconds main 800\nsentinel failover-timeout main 2000\n", master.port())
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.args = []string{conf, "--sentinel"}
		s.login("keeper")
		d.keep = append(d.keep, s.run())
	}
	for _, s := range d.keep {
		s.wait("knowledge of the others", func(ctx context.Context) bool {
			others, _ := s.client.Do(ctx, "SENTINEL", "SENTINELS", "main").Slice()
			replicas, _ := s.client.Do(ctx, "SENTINEL", "REPLICAS", "main").Slice()
			return len(others) == 2 && len(replicas) == 1 && strings.Contains(fmt.Sprint(replicas), "master-link-status ok")
		})
	}
	d.url = "redis+sentinel://:da:ta@" + join(d.keep) + "/main?sentinel_password=keeper"
	return d
}

// startCluster starts three masters, and replicas of the one that has the lock.
func startCluster(t testing.TB, replicas int) *deployed {
	t.Helper()
	d := &deployed{t: t}
	for range 3 + replicas {
		n := start(t)
		n.args = []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--cluster-port", n.bus, "--cluster-replica-validity-factor", "0"}
		d.nodes = append(d.nodes, n.data())
	}
	masters := d.nodes[:3]
	for i, n := range masters {
		n.do("CLUSTER", "ADDSLOTSRANGE", i*5461, []int{5460, 10921, 16383}[i])
		n.do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for _, n := range d.nodes[1:] {
		n.do("CLUSTER", "MEET", "127.0.0.1", d.nodes[0].port(), d.nodes[0].bus)
	}
	d.settle()
	for _, n := range d.nodes[3:] {
		id := masters[1].do("CLUSTER", "MYID") // has slot 10039
		n.wait("its master's name", func(ctx context.Context) bool { return n.client.Do(ctx, "CLUSTER", "REPLICATE", id).Err() == nil })
		n.wait("link to the master", func(context.Context) bool { return n.info("replication", "master_link_status:up") })
		for _, m := range masters { // who does not know the replica does not vote for it
			m.wait("knowledge of the replica", func(ctx context.Context) bool {
				list, _ := m.client.Do(ctx, "CLUSTER", "REPLICAS", id).Slice()
				return len(list) > 0
			})
		}
	}
	d.url = "redis://" + join(masters)
	return d
}

// settle waits until all nodes know all others.
func (d *deployed) settle() {
	d.t.Helper()
	for _, n := range d.nodes {
		n.wait("a whole cluster", func(ctx context.Context) bool {
			text := n.client.ClusterInfo(ctx).Val()
			return strings.Contains(text, "cluster_state:ok") && strings.Contains(text, "cluster_known_nodes:"+strconv.Itoa(len(d.nodes)))
		})
	}
}
