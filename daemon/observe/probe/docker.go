package probe

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Containers is a parsed source of kind docker: lines of
//
//	prefix executor-       names that begin so; several lines are alternatives
//	log "became leader"    what to count in their logs, as a [Match]
//	since 1h               how far back; 1h when it is not said
type Containers struct {
	Prefixes []string
	Log      *Match
	Since    time.Duration
}

// ParseContainers parses the text of a docker source. An empty one means all
// containers.
func ParseContainers(text string) (Containers, error) {
	c := Containers{Since: time.Hour}
	for _, line := range statement(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "":
		case "prefix":
			if !containerName(rest) {
				return Containers{}, fmt.Errorf("prefix %.60q: want the beginning of a container's name", rest)
			}
			c.Prefixes = append(c.Prefixes, rest)
		case "log":
			if c.Log != nil {
				return Containers{}, errors.New("a second log line: join them with or")
			}
			m, err := ParseMatch(rest)
			if err != nil {
				return Containers{}, fmt.Errorf("log: %w", err)
			}
			c.Log = &m
		case "since":
			d, err := time.ParseDuration(rest)
			if err != nil || d <= 0 || d > 7*24*time.Hour {
				return Containers{}, fmt.Errorf("since %.20q: want a time like 90s, 15m or 48h", rest)
			}
			c.Since = d
		default:
			return Containers{}, fmt.Errorf("%.40q: want prefix, log or since", line)
		}
	}
	return c, nil
}

func containerName(s string) bool {
	return s != "" && len(s) <= 128 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == ""
}

// Docker looks at containers through the engine's API. It only reads: list, inspect,
// stats and logs. Make one with [NewDocker].
type Docker struct {
	Limits
	engine *client.Client
}

// Limits of a look at containers.
const (
	maxContainers = 64
	maxLogBytes   = 32 << 20 // of one container's log
	maxLogLine    = 64 << 10
)

// NewDocker returns a probe of the engine at host, as in DOCKER_HOST:
// unix:///var/run/docker.sock, tcp://127.0.0.1:2375, or empty for the system's
// default. It contacts nobody yet.
func NewDocker(host string, l Limits) (*Docker, error) {
	c, err := client.New(client.WithHost(cmp.Or(host, client.DefaultDockerHost)))
	if err != nil {
		return nil, fmt.Errorf("container engine at %.80q: %w", host, err)
	}
	return &Docker{Limits: l, engine: c}, nil
}

// Close closes idle connections.
func (d *Docker) Close() error { return d.engine.Close() }

// Look returns one result per container whose name fits, in the order of names, also
// for those that do not run; none when there is none. now is the end of the log's
// window. Fields: running, status (running, exited, …), health (healthy, unhealthy,
// starting; absent without a health check), restarts, oom, exit_code and image; while
// it runs cpu_percent (100 is one core), memory_bytes (without the page cache that
// the kernel can take back), memory_limit_bytes; with a log expression log (records
// that match since then) and log_complete (0 when the log was longer than 32 MiB).
//
// When the engine does not answer the only result is that, under the name engine.
func (d *Docker) Look(ctx context.Context, c Containers, now time.Time) []Result {
	var found []container.Summary
	list := d.ask(ctx, []Target{{Name: "engine"}}, func(ctx context.Context, _ Target) (fields, error) {
		answer, err := d.engine.ContainerList(ctx, client.ContainerListOptions{All: true})
		found = answer.Items
		return nil, err
	})
	if list[0].Err != nil {
		return list
	}
	ids := map[string]string{}
	var targets []Target
	for _, s := range found {
		if name := nameOf(s); c.wants(name) && len(targets) < maxContainers {
			ids[name] = s.ID
			targets = append(targets, Target{Name: name})
		}
	}
	slices.SortFunc(targets, func(a, b Target) int { return cmp.Compare(a.Name, b.Name) })
	return d.ask(ctx, targets, func(ctx context.Context, t Target) (fields, error) {
		return d.container(ctx, ids[t.Name], c, now)
	})
}

func nameOf(s container.Summary) string {
	if len(s.Names) == 0 {
		return s.ID
	}
	return strings.TrimPrefix(s.Names[0], "/")
}

func (c Containers) wants(name string) bool {
	return len(c.Prefixes) == 0 || slices.ContainsFunc(c.Prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

func (d *Docker) container(ctx context.Context, id string, c Containers, now time.Time) (fields, error) {
	f := fields{}
	answer, err := d.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return f, err
	}
	in := answer.Container
	f["restarts"] = Number(float64(in.RestartCount))
	if in.Config != nil {
		f["image"] = Text(in.Config.Image)
	}
	running := false
	if s := in.State; s != nil {
		running = s.Running
		f["running"], f["status"], f["oom"] = Truth(s.Running), Text(string(s.Status)), Truth(s.OOMKilled)
		if !s.Running {
			f["exit_code"] = Number(float64(s.ExitCode))
		}
		if s.Health != nil && s.Health.Status != container.NoHealthcheck {
			f["health"] = Text(string(s.Health.Status))
		}
	}
	var wait sync.WaitGroup
	var used, counted fields
	var statsErr, logErr error
	if running {
		wait.Go(func() { used, statsErr = d.stats(ctx, id) })
	}
	if c.Log != nil {
		tty := in.Config != nil && in.Config.Tty
		wait.Go(func() { counted, logErr = d.log(ctx, id, tty, *c.Log, now.Add(-c.Since)) })
	}
	wait.Wait()
	for _, more := range []fields{used, counted} {
		for name, v := range more {
			f[name] = v
		}
	}
	return f, errors.Join(statsErr, logErr)
}

// stats takes two samples a second apart, as the engine does for docker stats.
func (d *Docker) stats(ctx context.Context, id string) (fields, error) {
	answer, err := d.engine.ContainerStats(ctx, id, client.ContainerStatsOptions{IncludePreviousSample: true})
	if err != nil {
		return nil, fmt.Errorf("stats: %w", err)
	}
	defer answer.Body.Close()
	text, err := readAll(answer.Body, maxBody)
	if err != nil {
		return nil, fmt.Errorf("stats: %w", err)
	}
	var s container.StatsResponse
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, errors.New("stats: the engine's answer is not what its API says")
	}
	return usage(s), nil
}

// usage computes what docker stats shows. The memory is the use less the inactive
// files, which the kernel takes back before it runs short.
func usage(s container.StatsResponse) fields {
	f := fields{}
	cpu := float64(s.CPUStats.CPUUsage.TotalUsage) - float64(s.PreCPUStats.CPUUsage.TotalUsage)
	system := float64(s.CPUStats.SystemUsage) - float64(s.PreCPUStats.SystemUsage)
	cores := float64(s.CPUStats.OnlineCPUs)
	if cores == 0 {
		cores = float64(len(s.CPUStats.CPUUsage.PercpuUsage))
	}
	if s.PreCPUStats.SystemUsage > 0 && system > 0 && cpu >= 0 && cores > 0 {
		f["cpu_percent"] = Number(cpu / system * cores * 100)
	}
	if use := s.MemoryStats.Usage; use > 0 {
		inactive, ok := s.MemoryStats.Stats["total_inactive_file"] // cgroup v1
		if !ok {
			inactive = s.MemoryStats.Stats["inactive_file"] // v2
		}
		if inactive < use {
			use -= inactive
		}
		f["memory_bytes"] = Number(float64(use))
		if s.MemoryStats.Limit > 0 {
			f["memory_limit_bytes"] = Number(float64(s.MemoryStats.Limit))
		}
	}
	return f
}

// log counts the records of a container's log that match.
func (d *Docker) log(ctx context.Context, id string, tty bool, m Match, since time.Time) (fields, error) {
	answer, err := d.engine.ContainerLogs(ctx, id, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Since: strconv.FormatInt(since.Unix(), 10),
	})
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	defer answer.Close()
	limited := &io.LimitedReader{R: answer, N: maxLogBytes}
	out, errs := &counter{match: m}, &counter{match: m}
	if tty {
		_, err = io.Copy(out, limited)
	} else {
		_, err = stdcopy.StdCopy(out, errs, limited)
	}
	full := limited.N == 0
	if err != nil && !full { // a frame that the limit has cut is none
		return nil, fmt.Errorf("log: %w", err)
	}
	return fields{"log": Number(float64(out.end() + errs.end())), "log_complete": Truth(!full)}, nil
}

// counter counts the lines written to it that match.
type counter struct {
	match Match
	line  []byte
	n     int
}

func (c *counter) Write(p []byte) (int, error) {
	written := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			c.keep(p)
			return written, nil
		}
		c.keep(p[:i])
		c.flush()
		p = p[i+1:]
	}
}

func (c *counter) keep(p []byte) {
	c.line = append(c.line, p[:min(len(p), maxLogLine-len(c.line))]...)
}

func (c *counter) flush() {
	if len(c.line) > 0 && c.match.Matches(recordOf(string(c.line))) {
		c.n++
	}
	c.line = c.line[:0]
}

func (c *counter) end() int {
	c.flush()
	return c.n
}
