package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sentinels is a master with two replicas and three Sentinels. Each replica reads
// from the master through a proxy, so that the master can go on alone.
type sentinels struct {
	nodes []*server // the first one is the master at the beginning
	links []*proxy  // of the replicas
	keep  []*server
}

// deploy puts replicas and Sentinels around the fleet's server.
func (f *fleet) deploy(ctx context.Context) error {
	d := &sentinels{nodes: []*server{f.server}}
	f.sentinels = d
	for i := range 2 {
		p, err := newProxy(f.server.addr())
		if err != nil {
			return err
		}
		linked, unplug := context.WithCancel(ctx)
		f.unplugs = append(f.unplugs, unplug)
		f.group.Go(func() { _ = p.run(linked) })
		host, port, _ := strings.Cut(p.addr(), ":")
		s, err := newServer(f.run, filepath.Join(f.dir, fmt.Sprintf("replica%d", i+1)), "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
		if err != nil {
			return err
		}
		if err := s.start(ctx); err != nil {
			return err
		}
		d.nodes, d.links = append(d.nodes, s), append(d.links, p)
	}
	for _, s := range d.nodes[1:] {
		if err := f.wait(ctx, func() (bool, error) { return s.says("replication", "master_link_status:up"), nil }); err != nil {
			return fmt.Errorf("link to the master: %w", err)
		}
	}
	for i := range 3 {
		s, err := f.sentinel(i)
		if err != nil {
			return err
		}
		d.keep = append(d.keep, s)
	}
	addrs := make([]string, len(d.keep))
	for i, s := range d.keep {
		addrs[i] = s.addr()
		err := f.wait(ctx, func() (bool, error) {
			others, _ := s.do("SENTINEL", "SENTINELS", "main")
			replicas, _ := s.do("SENTINEL", "REPLICAS", "main")
			a, _ := others.([]any)
			b, _ := replicas.([]any)
			return len(a) == 2 && len(b) == 2 && strings.Count(fmt.Sprint(b), "master-link-status ok") == 2, nil
		})
		if err != nil {
			return fmt.Errorf("a Sentinel does not know the others: %w", err)
		}
	}
	f.url = func(*member) string { return "redis+sentinel://" + strings.Join(addrs, ",") + "/main" }
	return nil
}

// sentinel starts one. A replica that reads from a proxy looks wrong to it; it mends
// that after the failover's time-out, by when the round is over.
func (f *fleet) sentinel(i int) (*server, error) {
	s, err := newServer(f.run, filepath.Join(f.dir, fmt.Sprintf("sentinel%d", i+1)))
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(s.dir, "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nlogfile %s\nsentinel monitor main 127.0.0.1 %d 2\n"+
		"sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 60000\n",
		s.port, s.dir, filepath.Join(s.dir, "redis.log"), f.server.port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s.cmd = exec.Command("redis-server", conf, "--sentinel")
	return s, f.run.start(s.cmd)
}

// says reports a line of INFO.
func (s *server) says(section, line string) bool {
	v, err := s.do("INFO", section)
	text, _ := v.(string)
	return err == nil && strings.Contains(text, line+"\r\n")
}

// close ends all but the fleet's server.
func (d *sentinels) close(keep *server) {
	for _, s := range append(append([]*server(nil), d.nodes...), d.keep...) {
		if s != keep {
			s.stop(syscall.SIGKILL)
		}
	}
}

// roundFailover: the replicas hear nothing more, the master goes on for a while, and is
// killed: what it acknowledged meanwhile is lost. Then it comes back and finds that it
// is no longer master.
func roundFailover(ctx context.Context, f *fleet, r *tally) error {
	d := f.sentinels
	if _, _, err := f.leader(ctx); err != nil {
		return err
	}
	at := bootTime()
	for _, p := range d.links {
		p.set(cutDown)
	}
	if err := sleep(ctx, f.between(0, f.lease)); err != nil {
		return err
	}
	old := f.server
	f.gaps = append(f.gaps, gap{at - 100*time.Millisecond, bootTime() + time.Second})
	killed := bootTime()
	old.stop(syscall.SIGKILL)
	for _, p := range d.links {
		p.dropAll() // what was held back never arrives
	}
	master, err := d.promoted(ctx, f, old)
	if err != nil {
		return err
	}
	f.server = master
	r.took("promoted", bootTime()-killed)
	back, err := f.acked(ctx, "", bootTime(), f.patience())
	if err != nil {
		return err
	}
	r.took("effects again", back-killed)
	if err := old.start(ctx); err != nil {
		return err
	}
	return sleep(ctx, f.lease)
}

// promoted waits until a Sentinel names another master, which says so too.
func (d *sentinels) promoted(ctx context.Context, f *fleet, old *server) (master *server, err error) {
	err = f.wait(ctx, func() (bool, error) {
		v, _ := d.keep[0].do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main") // no answer is no promotion
		pair, _ := v.([]any)
		if len(pair) != 2 {
			return false, nil
		}
		for _, s := range d.nodes {
			if s != old && strconv.Itoa(s.port) == pair[1] && s.says("replication", "role:master") {
				master = s
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		err = fmt.Errorf("no replica was promoted: %w", err)
	}
	return master, err
}
