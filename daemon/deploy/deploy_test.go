// Package deploy_test proves the packaging on a real Docker Engine: the image, the
// compose file, make image, up and down, and every docker command of the hypercare
// checklist as it is written there. The fleet is then killed, cut off and restarted
// while alerts are created, and each of them must have had exactly one effect.
//
// No image is pulled. The base images are made of programs of this machine (see
// rootfs). Project, ports and image names are the test's own; container names are
// fixed by the contract, so it does not run beside another fleet.
//
// It takes three minutes and two processors, so it runs on demand: make deploytest.
package deploy_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// names of the fleet's containers, by the contract.
var names = []string{"spark-redis", "executor-1", "executor-2", "web-next-1", "spark-observer"}

const (
	leaseSec = 10
	// sizeLimit is what we may add to a base, in bytes and not compressed: the image has
	// at most 40 MB on Alpine, which takes 8 and its redis-cli 2. The base of this test
	// brings 17 MB of another system's libraries.
	sizeLimit = 30_000_000
	inTime    = 30 * time.Second
)

// need skips the test where it cannot run, and says why.
func need(t *testing.T) {
	t.Helper()
	if os.Getenv("DEPLOYTEST") == "" {
		t.Skip("starts a fleet in containers for three minutes: make deploytest")
	}
	if runtime.GOOS != "linux" {
		t.Skip("base images are made of this machine's programs, so it must be Linux")
	}
	for _, tool := range []string{"docker", "make", "busybox", "redis-server", "redis-cli", "ldd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	if out, err := try("docker version -f '{{.Server.Version}}'"); err != nil {
		t.Skipf("the Docker Engine does not answer: %s", out)
	}
	if _, err := try("docker compose version || docker-compose version"); err != nil {
		t.Skip("neither docker compose nor docker-compose is installed")
	}
	taken := shell(t, "docker ps -a --format '{{.Names}}'")
	for _, name := range strings.Fields(taken) {
		if slices.Contains(names, name) {
			t.Skipf("a container %s exists already: another fleet is up", name)
		}
	}
}

// A fleet is what make up has started.
type fleet struct {
	vars      map[string]string
	executors map[string]string // container → base URL on this machine
	gateway   string
	observer  string
	hooks     *receiver
	repeats   int // possible repeats that processes counted before they were ended
}

func TestFleetInContainers(t *testing.T) {
	need(t)
	f := launch(t)
	t.Run("checklist", f.checklist)
	t.Run("the judge passes the fleet", f.judged)
	l := startLoad(t, f.executors["executor-1"], f.executors["executor-2"])
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"docker kill executor-1", f.kill},
		{"docker network disconnect of the leader", f.cut},
		{"docker restart spark-redis", f.restartRedis},
		{"DEL of the lock under a living leader", f.deleteLock},
		{"docker restart executor-1 executor-2", f.restartExecutors},
	} {
		if !t.Run(step.name, step.run) {
			t.FailNow() // what follows would be judged by a fleet in an unknown state
		}
	}
	l.end()
	t.Run("each alert had one effect", func(t *testing.T) { f.effects(t, l) })
	t.Run("the judge has seen it", f.stood)
	t.Run("make down", f.down)
}

// launch builds the images and the fleet, on ports and under names of its own.
func launch(t *testing.T) *fleet {
	mark := "sparktest" + strings.ToLower(rand.Text()[:6])
	f := &fleet{hooks: receive(t), vars: map[string]string{
		wire.EnvComposeProject: mark, "ARGS": "-v",
		"BASE_IMAGE": mark + "-base", wire.EnvRedisImage: mark + "-redis", wire.EnvImage: "spark-daemon:" + mark,
		wire.EnvMarketSource: "sim", wire.EnvSchedulerLease: strconv.Itoa(leaseSec), wire.EnvNotifyRate: "0",
		wire.EnvOpsToken: opsToken,
	}}
	f.vars[wire.EnvWebhookURL], f.vars[wire.EnvNotifyAllowed] = "http://"+f.hooks.addr, f.hooks.addr
	url := func(port string) string {
		f.vars[port] = freePort(t)
		return "http://127.0.0.1:" + f.vars[port]
	}
	f.executors = map[string]string{"executor-1": url(wire.EnvPublishExecutor1), "executor-2": url(wire.EnvPublishExecutor2)}
	f.gateway, f.observer = url(wire.EnvPublishWebNext1), url(wire.EnvPublishObserver)

	t.Cleanup(func() { _, _ = try("docker rmi -f " + f.vars[wire.EnvImage] + " " + mark + "-base " + mark + "-redis") })
	rootfs(t, f.vars["BASE_IMAGE"], "redis-cli")
	rootfs(t, f.vars[wire.EnvRedisImage], "redis-cli", "redis-server")
	makeTarget(t, "image", f.vars)
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range names {
				out, _ := try("docker logs -t --tail 15 " + name)
				t.Logf("-- %s\n%s", name, out)
			}
		}
		makeTarget(t, "down", f.vars)
	})
	began := time.Now()
	out := makeTarget(t, "up", f.vars)
	sizeOf := func(image string) int {
		n, err := strconv.Atoi(shell(t, "docker image inspect -f '{{.Size}}' "+image))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	size := sizeOf(f.vars[wire.EnvImage])
	if added := size - sizeOf(f.vars["BASE_IMAGE"]); added > sizeLimit {
		t.Errorf("the image adds %d bytes to its base, want at most %d", added, sizeLimit)
	}
	t.Logf("image %.1f MB; make up %v with a lease of %d s on an empty Redis", float64(size)/1e6, time.Since(began).Round(time.Second), leaseSec)
	for _, want := range []string{f.observer, f.gateway, `docker logs executor-1 | grep "became leader"`} {
		if !strings.Contains(out, want) {
			t.Errorf("make up does not say where to look, %s is missing:\n%s", want, out)
		}
	}
	return f
}

// checklist runs the docker commands of the hypercare checklist word for word.
func (f *fleet) checklist(t *testing.T) {
	if got := strings.Split(shell(t, "docker ps | grep spark"), "\n"); len(got) != len(names) {
		t.Errorf("docker ps | grep spark lists %d, want %d:\n%s", len(got), len(names), strings.Join(got, "\n"))
	}
	holder := shell(t, `docker exec executor-1 sh -c "redis-cli GET spark:alerts:scheduler:lock"`)
	if !strings.HasPrefix(holder, "executor-1") {
		t.Errorf("the lock is held by %q, want executor-1", holder)
	}
	for _, c := range []struct{ line, want string }{
		{`docker logs executor-1 | grep "became leader"`, `^.*holder=` + regexp.QuoteMeta(holder) + ` .*$`},
		{`docker logs executor-1 | grep "became leader" | wc -l`, `^1$`},
		{`docker logs executor-1 | grep leader`, `became leader`},
		{`docker stats --no-stream`, `spark-redis`},
		{`docker exec spark-redis redis-cli INFO persistence | grep aof_current_size`, `^aof_current_size:[1-9]`},
		{`docker exec spark-redis redis-cli PING`, `^PONG$`},
		// What the checklist takes for granted.
		{`docker exec spark-redis redis-cli CONFIG GET appendfsync`, `everysec`},
		{`docker exec spark-redis redis-cli CONFIG GET maxmemory-policy`, `noeviction`},
		{`docker exec executor-1 id -u`, `^[1-9]`},
		{`docker exec executor-1 spark-daemon healthcheck`, `^ok$`},
		{`docker logs executor-2 | grep -c "became leader" || true`, `^0$`},
	} {
		if got := shell(t, c.line); !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%s\n got: %s\nwant: %s", c.line, got, c.want)
		}
	}
	for _, url := range []string{
		f.executors["executor-1"] + wire.PathHealth, f.executors["executor-2"] + wire.PathHealth,
		f.gateway + wire.PathHealth, f.gateway + wire.PathCandles + "?symbol=BTCUSDT&timeframe=1h&limit=1", f.observer + wire.PathHealth,
	} {
		if err := call(http.MethodGet, url, nil, nil); err != nil {
			t.Error(err)
		}
	}
	var known wire.Fleet
	if err := call(http.MethodGet, f.observer+wire.PathFleet, nil, &known); err != nil {
		t.Fatal(err)
	}
	if n := len(known.Instances); n != len(names)-1 {
		t.Errorf("the observer knows %d instances, want %d: %+v", n, len(names)-1, known.Instances)
	}
}

// leads waits until the container has begun a term after those already known.
func (f *fleet) leads(t *testing.T, container string, known int, allowed time.Duration) term {
	t.Helper()
	var now []term
	wait(t, allowed, container+" leads", func() error {
		now = terms(t)
		if len(now) > known && (container == "" || now[len(now)-1].container == container) {
			return nil
		}
		return fmt.Errorf("terms so far: %+v", now)
	})
	return now[len(now)-1]
}

func healthy(t *testing.T, container string) {
	t.Helper()
	wait(t, time.Minute, container+" is healthy", func() error {
		if now := shell(t, "docker inspect -f '{{.State.Health.Status}}' "+container); now != "healthy" {
			return errors.New(now)
		}
		return nil
	})
}

func (f *fleet) kill(t *testing.T) {
	known := len(terms(t))
	f.repeats += f.repeated("executor-1")
	at := time.Now()
	shell(t, "docker kill executor-1")
	next := f.leads(t, "executor-2", known, (leaseSec+5)*time.Second)
	t.Logf("executor-2 leads %.1f s after the kill, lease %d s", next.at.Sub(at).Seconds(), leaseSec)
	if late := next.at.Sub(at); late > (leaseSec+1)*time.Second {
		t.Errorf("executor-2 leads after %v, want the lease and at most a second", late)
	}
	shell(t, "docker start executor-1")
	healthy(t, "executor-1")
}

func (f *fleet) cut(t *testing.T) {
	known := terms(t)
	old := known[len(known)-1].container
	other := map[string]string{"executor-1": "executor-2", "executor-2": "executor-1"}[old]
	lost := len(records(t, old, wire.LogLostLeadership))
	network := f.vars[wire.EnvComposeProject] + "_default"
	at := time.Now()
	shell(t, "docker network disconnect "+network+" "+old)
	next := f.leads(t, other, len(known), (leaseSec+5)*time.Second)
	t.Logf("%s leads %.1f s after %s was cut off, lease %d s", other, next.at.Sub(at).Seconds(), old, leaseSec)
	if ends := records(t, old, wire.LogLostLeadership); len(ends) != lost+1 {
		t.Errorf("%s was cut off and logged %q %d times, want once", old, wire.LogLostLeadership, len(ends)-lost)
	} else if end := timeOf(t, ends[lost]); end.After(next.at) {
		t.Errorf("%s believed until %v, %s leads since %v: both believed", old, end, other, next.at)
	}
	shell(t, "docker network connect "+network+" "+old)
	healthy(t, old)
	if now := terms(t); len(now) != len(known)+1 {
		t.Errorf("%d terms began, want 1: %+v", len(now)-len(known), now)
	}
}

func (f *fleet) restartRedis(t *testing.T) {
	const started = "docker inspect -f '{{.State.StartedAt}} {{.RestartCount}}' executor-1 executor-2 web-next-1 spark-observer"
	before := shell(t, started)
	shell(t, "docker restart spark-redis")
	took := wait(t, inTime, "both executors are well and one leads", func() error {
		for _, url := range f.executors {
			var h wire.Health
			err := call(http.MethodGet, url+wire.PathHealth, nil, &h)
			if err == nil && h.Leader.Holder == "" {
				err = errors.New("nobody leads")
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	t.Logf("whole again %v after docker restart spark-redis returned", took)
	for _, name := range names {
		healthy(t, name)
	}
	if after := shell(t, started); after != before {
		t.Errorf("a process was restarted:\n%s\nwas:\n%s", after, before)
	}
}

func (f *fleet) deleteLock(t *testing.T) {
	known := terms(t)
	old := known[len(known)-1].container
	lost := len(records(t, old, wire.LogLostLeadership))
	at := time.Now()
	if n := shell(t, "docker exec spark-redis redis-cli DEL spark:alerts:scheduler:lock"); n != "1" {
		t.Fatalf("DEL answers %q, want 1", n)
	}
	next := f.leads(t, "", len(known), (leaseSec+5)*time.Second)
	t.Logf("%s leads, at most %.1f s after DEL under %s", next.container, next.at.Sub(at).Seconds(), old)
	if n := len(records(t, old, wire.LogLostLeadership)) - lost; n != 1 {
		t.Errorf("%s logged %q %d times, want once", old, wire.LogLostLeadership, n)
	}
	if now := terms(t); len(now) != len(known)+1 {
		t.Errorf("%d terms began, want 1: %+v", len(now)-len(known), now)
	}
}

func (f *fleet) restartExecutors(t *testing.T) {
	known := len(terms(t))
	f.repeats += f.repeated("executor-1") + f.repeated("executor-2")
	shell(t, "docker restart executor-1 executor-2")
	f.leads(t, "", known, (leaseSec+5)*time.Second)
	healthy(t, "executor-1")
	healthy(t, "executor-2")
}

// repeated is how many possible repeats the process has counted.
func (f *fleet) repeated(container string) int {
	var text string
	if err := call(http.MethodGet, f.executors[container]+wire.PathMetrics, nil, &text); err != nil {
		return 0
	}
	n := 0
	for _, m := range regexp.MustCompile(`(?m)^`+wire.MetricNotificationsRepeated+`\{.*\} (\d+)$`).FindAllStringSubmatch(text, -1) {
		v, _ := strconv.Atoi(m[1]) // digits
		n += v
	}
	return n
}

// effects judges what all of it has done: terms in order, one event for each alert
// that was acknowledged, one delivery for each event.
func (f *fleet) effects(t *testing.T, l *load) {
	began := terms(t)
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	epochs := map[int64]bool{}
	for i, b := range began {
		epochs[number(b.epoch)] = true
		if i > 0 && number(b.epoch) <= number(began[i-1].epoch) {
			t.Errorf("epoch %s of %s follows %s: epochs must grow", b.epoch, b.container, began[i-1].epoch)
		}
	}
	stored := shell(t, `docker exec spark-redis redis-cli HGET "{spark:alerts:scheduler:lock}:term" epoch`)
	if last := began[len(began)-1].epoch; stored != last {
		t.Errorf("the stored term has epoch %s, the newest leader logged %s", stored, last)
	}
	events := f.events(t, l.made, epochs)
	var told, again int
	wait(t, inTime, "every event was delivered", func() error {
		if told, again = f.hooks.deliveries(); told < events {
			return fmt.Errorf("%d of %d", told, events)
		}
		return nil
	})
	f.repeats += f.repeated("executor-1") + f.repeated("executor-2")
	if told != events || again > f.repeats {
		t.Errorf("%d deliveries of %d events, %d came again, of which %d were flagged: want none unflagged", told, events, again, f.repeats)
	}
	t.Logf("%d alerts (%d calls refused), %d events, %d delivered, %d again (%d flagged), %d terms", len(l.made), l.refused, events, told, again, f.repeats, len(began))
}

// events waits until each alert has fired and returns how many events there are.
func (f *fleet) events(t *testing.T, alerts []string, epochs map[int64]bool) int {
	t.Helper()
	seen := map[string]string{}
	for _, id := range alerts {
		var h wire.AlertHistory
		wait(t, inTime, "alert "+id+" fired", func() error {
			err := call(http.MethodGet, fmt.Sprintf("%s%s?id=%s", f.executors["executor-1"], wire.PathAlertsHistory, id), nil, &h)
			if err == nil && len(h.Events) == 0 {
				err = errors.New("no event")
			}
			return err
		})
		if len(h.Events) != 1 {
			t.Errorf("alert %s fired %d times within its cooldown: %+v", id, len(h.Events), h.Events)
		}
		for _, e := range h.Events {
			if of := seen[e.ID]; of != "" {
				t.Errorf("event %s stands in the histories of %s and %s", e.ID, of, id)
			}
			seen[e.ID] = id
			if !epochs[e.Epoch] {
				t.Errorf("event %s has epoch %d, which nobody led", e.ID, e.Epoch)
			}
		}
	}
	return len(seen)
}

func (f *fleet) down(t *testing.T) {
	makeTarget(t, "down", f.vars)
	project := "--filter label=com.docker.compose.project=" + f.vars[wire.EnvComposeProject]
	for _, line := range []string{"docker ps -aq ", "docker network ls -q ", "docker volume ls -q "} {
		if left := shell(t, line+project); left != "" {
			t.Errorf("make down left behind, by %s: %s", line, left)
		}
	}
}
