package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/api"
	"github.com/spark-ta/spark/daemon/notify"
	"github.com/spark-ta/spark/daemon/notify/webhook"
	"github.com/spark-ta/spark/daemon/observe"
	"github.com/spark-ta/spark/daemon/observe/probe"
	"github.com/spark-ta/spark/daemon/observe/rehearse"
	"github.com/spark-ta/spark/daemon/observe/scrape"
	"github.com/spark-ta/spark/runbooks"
)

// judge is the observer of this process, with what it needs of the house.
type judge struct {
	*observe.Observer
	canary *probe.StreamCanary
	calls  chan plan.Notify // capacity 256; more are logged only
	levels [3]notify.Notifier
	docker *probe.Docker

	mu       sync.Mutex
	gateways []probe.Target // guarded by mu; as last listed
}

// buildJudge opens the observer, if this process has that role.
func (h *house) buildJudge(ctx context.Context) error {
	if !h.has(wire.RoleObserver) {
		return nil
	}
	j := &judge{calls: make(chan plan.Notify, 256)}
	client, err := h.insideClient()
	if err != nil {
		return err
	}
	for i, url := range h.o.Escalation {
		if url == "" {
			continue
		}
		if j.levels[i], err = webhook.New(webhook.Options{URL: url, Secret: h.o.WebhookSecret, AllowedHosts: h.o.AllowedHosts}); err != nil {
			return fmt.Errorf("ESCALATION_L%d: %w", i+1, err)
		}
	}
	stream := *client
	stream.Timeout = 0
	limits := probe.Limits{Mask: h.mask}
	j.canary = &probe.StreamCanary{Limits: limits, Client: &stream, Gateways: j.knownGateways}
	live := observe.Live{
		Targets: h.probeTargets, HTTP: &probe.HTTP{Limits: limits, Client: client},
		Redis:   &probe.Redis{Limits: limits, Store: askedStore{h}, Name: h.storeName()},
		Log:     &probe.Log{Limits: limits, From: probe.Instances{Client: client, Token: h.o.OpsToken}},
		Streams: j.canary, Alerts: &probe.AlertCanary{Limits: limits, Client: client, Token: h.o.APIToken},
		Commands: h.namedCommands(limits),
	}
	if g := h.o.Hypercare.Grafana; g != nil {
		live.Grafana = &probe.Grafana{Limits: limits, Client: client, URL: g.URL, Token: g.Token}
	}
	if d := h.o.Hypercare.Docker; d != nil {
		if j.docker, err = probe.NewDocker(d.Host, limits); err != nil {
			return fmt.Errorf("hypercare.docker: %w", err)
		}
		live.Docker = j.docker
	}
	keys := make([]plan.Key, 0, len(h.o.Hypercare.Operators))
	for _, k := range h.o.Hypercare.Operators {
		keys = append(keys, plan.Key{Name: k.Name, Verifier: k.Key, Roles: k.Roles})
	}
	j.Observer, err = observe.Open(ctx, observe.Options{
		Dir: filepath.Join(h.o.DataDir, "observer"), Log: h.log, Instance: h.id, Client: client,
		Discover: h.discover(j), PrometheusURL: h.o.PrometheusURL, Live: live, Canary: j.canary,
		Plans: h.plans, Profile: h.profile(), Version: h.o.Version, Keys: keys, Commands: slices.Sorted(maps.Keys(h.o.Hypercare.Commands)),
		Coverage: shippedCoverage, Publish: func(name string, data any) { h.events.Append(name, data) }, Tell: j.tell(h.log),
	})
	if err != nil {
		return err
	}
	h.judge = j
	return nil
}

// insideClient talks to the instances of this fleet: it trusts the certificate that
// they are configured with beside those of the system.
func (h *house) insideClient() (*http.Client, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 5 * time.Second}
	if h.o.TLSCert != "" {
		pem, err := os.ReadFile(h.o.TLSCert)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", wire.EnvTLSCert, err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		roots.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}, nil
}

func (h *house) mask(s string) string {
	for _, secret := range h.o.Secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	return s
}

// profile says how this fleet is deployed when nobody does.
func (h *house) profile() string {
	switch {
	case h.o.Hypercare.Profile != "":
		return h.o.Hypercare.Profile
	case len(h.o.Roles) == len(wire.Roles()) && h.engineStore != nil:
		return "all-in-one"
	case os.Getenv("KUBERNETES_SERVICE_HOST") != "":
		return "kubernetes"
	}
	return "compose"
}

// plans gives the text of a plan: the configured file, or a shipped one by its id.
func (h *house) plans(id string) (string, []byte, error) {
	if path := h.o.Hypercare.Plan; path != "" && id != "go-live" {
		text, err := os.ReadFile(path)
		return filepath.Base(path), text, err
	}
	if id == "" {
		id = "hypercare"
	}
	text, ok := runbooks.Plan(id)
	if !ok {
		return "", nil, fmt.Errorf("there is no plan %.60q", id)
	}
	return id + ".md", text, nil
}

// members lists the instances that are registered, this one included, as a client
// sees them.
func (h *house) members(ctx context.Context) []wire.Instance {
	var out []wire.Instance
	for _, i := range h.fleet(ctx).Instances {
		if len(i.URLs) > 0 {
			out = append(out, i)
		}
	}
	return out
}

// discover lists what is to be scraped: the registry and the configured targets.
func (h *house) discover(j *judge) func(context.Context) ([]scrape.Target, error) {
	return func(ctx context.Context) ([]scrape.Target, error) {
		var out []scrape.Target
		var gateways []probe.Target
		for _, i := range h.members(ctx) {
			out = append(out, scrape.Target{
				URL: i.MetricsURL, Leaving: i.Phase == "draining",
				Labels: map[string]string{"job": "spark", "instance": i.ID, "role": strings.Join(i.Roles, ",")},
			})
			if url := i.URLs[wire.RoleGateway]; url != "" && i.Phase != "draining" {
				gateways = append(gateways, probe.Target{Name: i.ID, URL: url})
			}
		}
		for _, t := range h.o.Hypercare.Targets {
			labels := map[string]string{"job": "static", "instance": t.URL}
			maps.Copy(labels, t.Labels)
			out = append(out, scrape.Target{URL: t.URL, Labels: labels})
		}
		j.mu.Lock()
		j.gateways = gateways
		j.mu.Unlock()
		return out, nil
	}
}

func (j *judge) knownGateways() []probe.Target {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.gateways
}

// probeTargets lists the base URLs of a role; for "" those of all roles.
func (h *house) probeTargets(ctx context.Context, role string) ([]probe.Target, error) {
	var out []probe.Target
	for _, i := range h.members(ctx) {
		for _, r := range wire.Roles() {
			url := i.URLs[r]
			if url == "" || role != "" && r != role {
				continue
			}
			name := i.ID
			if len(i.Roles) > 1 && role == "" {
				name += " " + r
			}
			out = append(out, probe.Target{Name: name, URL: url, Started: i.StartedAt})
		}
	}
	return out, nil
}

// askedStore lets a plan ask the store.
type askedStore struct{ h *house }

func (s askedStore) Info(ctx context.Context, sections ...string) (string, error) {
	return s.h.store.Info(ctx, sections...)
}

func (s askedStore) Ping(ctx context.Context) error {
	_, err := s.h.store.Ping(ctx)
	return err
}

func (s askedStore) Lock(ctx context.Context) (probe.Lock, error) {
	l, err := s.h.lock(ctx)
	if err != nil {
		return probe.Lock{}, err
	}
	out := probe.Lock{State: l.State, Holder: l.Holder, Epoch: l.Epoch, Remaining: time.Duration(l.LeaseRemainingMS) * time.Millisecond}
	for _, i := range s.h.members(ctx) {
		if i.Up && slices.Contains(i.Roles, wire.RoleExecutor) {
			out.Members++
		}
	}
	return out, nil
}

func (h *house) namedCommands(limits probe.Limits) *probe.Command {
	if len(h.o.Hypercare.Commands) == 0 {
		return nil
	}
	c := &probe.Command{Limits: limits, Named: map[string]probe.Named{}, Getenv: os.LookupEnv}
	for name, n := range h.o.Hypercare.Commands {
		c.Named[name] = probe.Named{Argv: n.Run, Timeout: n.Timeout, Env: []string{"PATH", "HOME"}}
	}
	return c
}

// tell hands a call for people to the loop that makes it.
func (j *judge) tell(log *slog.Logger) func(plan.Notify) {
	return func(n plan.Notify) {
		log.Warn("hypercare", "level", n.Level, "title", n.Title, "text", n.Text)
		select {
		case j.calls <- n:
		default:
			log.Error("too many calls for people are waiting", "title", n.Title)
		}
	}
}

// runCalls calls people: at a level, everybody up to it.
func (j *judge) runCalls(log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case n := <-j.calls:
				for level := range n.Level {
					j.call(ctx, log, level, n)
				}
			}
		}
	}
}

// callTries is how often one call is tried, with a growing pause.
const callTries = 3

func (j *judge) call(ctx context.Context, log *slog.Logger, level int, n plan.Notify) {
	to := j.levels[level]
	if to == nil {
		return
	}
	message := notify.Message{
		ID: "hypercare-" + strconv.FormatInt(time.Now().UnixNano(), 36), Text: "hypercare L" + strconv.Itoa(n.Level) + ": " + n.Title + ": " + n.Text,
	}
	for try := range callTries {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		result := to.Notify(attempt, message)
		cancel()
		if result.Outcome == notify.Accepted {
			return
		}
		log.Warn("a call for people was not accepted", "level", level+1, "try", try+1, "outcome", result.Outcome.String(), "error", result.Error)
		if result.Outcome == notify.Permanent {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(try+1) * 2 * time.Second):
		}
	}
}

// shippedCoverage is which scenario has shown each check of the shipped plan failing
// and unknown.
func shippedCoverage() (wire.Coverage, error) {
	return rehearse.Shipped(runbooks.Files())
}

// hypercare is what the API tells and takes of the run; nil without an observer.
func (h *house) hypercare(gate api.Gate) *api.Hypercare {
	if h.judge == nil {
		return nil
	}
	return &api.Hypercare{Judge: h.judge.Desk, Coverage: shippedCoverage, Gate: gate}
}

func (h *house) queries() map[string]http.Handler {
	if h.judge == nil {
		return nil
	}
	return h.judge.API.Routes()
}

// startHypercare begins a run by itself, as the demo wants it.
func (h *house) startHypercare(ctx context.Context) {
	if h.judge == nil || !h.o.Hypercare.Start {
		return
	}
	begun := false
	h.judge.Desk.Driver.Look(func(s *plan.State) { begun = s.Plan != nil })
	if begun {
		return
	}
	if _, err := h.judge.Desk.Start(ctx, plan.Actor{Who: "demo"}, wire.Start{}); err != nil {
		h.log.Error("hypercare did not start", "error", err)
	}
}
