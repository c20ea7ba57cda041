package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon"
	"github.com/spark-ta/spark/daemon/observe/probe"
)

// hypercareKey is the one key of the configuration file that is no variable.
const hypercareKey = "hypercare"

// hypercareExample is the section as docs/configuration.md shows it. A test reads it
// with the code that reads the file.
const hypercareExample = `# spark.yaml
hypercare:
  # A plan of your own; without it the shipped one, runbooks/hypercare.md, is used.
  # "spark-daemon plan lint FILE" says what is wrong with it.
  plan: /etc/spark/hypercare.md
  # all-in-one, compose or kubernetes: what cannot exist there is not asked for.
  # Without it the observer finds out.
  profile: compose

  # Who may sign. "spark-tui keys new" makes a key and prints this line of it; the
  # secret half stays with that person. The exit needs two different keys.
  operators:
    - name: alice
      key: alice+d3e261c1+Aa3+ripSdjGJXe6x+KYKTte8FXiHJtUWiMKWCKlOY701
      roles: [operations-lead]
    - name: bob
      key: bob+b13cc2db+AQGvGImrsJxUwNj3nKlWHkTziQ1qYYpFK1uHwS+3pKB+
      roles: [development-lead]

  # Pages of metrics that are not Spark's own, scraped with the instances.
  targets:
    - url: http://redis-exporter:9121/metrics
      labels: {job: redis, instance: spark-redis}

  # What a plan may have run, by name. No shell, no arguments from the plan.
  commands:
    disk-free:
      run: [/bin/df, -h, /data]
      timeout: 10s # 1s to 10m, 30s without it

  # Looked at, never changed. The token of a viewer stands in a file of its own.
  grafana:
    url: http://grafana:3000
    token_file: /run/secrets/grafana-token

  # The container engine, as in DOCKER_HOST.
  docker:
    host: unix:///var/run/docker.sock
`

// Limits of the section.
const (
	maxOperators   = 64
	maxTargets     = 128
	maxCommands    = 64
	commandTimeout = 30 * time.Second
)

// at is a place in the section, for errors: line 7: hypercare.operators[1].key: ….
func at(n *yaml.Node, key, format string, args ...any) error {
	return fmt.Errorf("line %d: %s: %s", n.Line, key, fmt.Sprintf(format, args...))
}

// fields reads a mapping: each key once, and only known ones.
func fields(n *yaml.Node, key string, known map[string]func(n *yaml.Node, key string) error) error {
	return pairs(n, key, func(name string, v *yaml.Node) error {
		read, ok := known[name]
		if !ok {
			return at(v, key, "unknown key %.64q: there are %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		return read(v, key+"."+name)
	})
}

func pairs(n *yaml.Node, key string, each func(name string, v *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return at(n, key, "want keys with values")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			return at(k, key, "want plain keys")
		}
		if seen[k.Value] {
			return at(k, key, "%.64s is set twice", k.Value)
		}
		seen[k.Value] = true
		if err := each(k.Value, v); err != nil {
			return err
		}
	}
	return nil
}

func items(n *yaml.Node, key string, most int, each func(n *yaml.Node, key string) error) error {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return at(n, key, "want a list with something in it")
	}
	if len(n.Content) > most {
		return at(n, key, "%d of them, at most %d", len(n.Content), most)
	}
	for i, v := range n.Content {
		if err := each(v, fmt.Sprintf("%s[%d]", key, i)); err != nil {
			return err
		}
	}
	return nil
}

// word reads a plain value that is not empty and hands it to check, whose error gets
// the place.
func word(into *string, check func(string) error) func(*yaml.Node, string) error {
	return func(n *yaml.Node, key string) error {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
			return at(n, key, "want a plain value")
		}
		if err := check(n.Value); err != nil {
			return at(n, key, "%.200q: %v", maskURL(n.Value), err)
		}
		*into = n.Value
		return nil
	}
}

func words(into *[]string, most int, check func(string) error) func(*yaml.Node, string) error {
	return func(n *yaml.Node, key string) error {
		return items(n, key, most, func(n *yaml.Node, key string) error {
			var w string
			if err := word(&w, check)(n, key); err != nil {
				return err
			}
			*into = append(*into, w)
			return nil
		})
	}
}

// required refuses what is left empty.
func required(n *yaml.Node, key, name, value string) error {
	if value == "" {
		return at(n, key, "%s is missing", name)
	}
	return nil
}

func anyWord(string) error { return nil }

func absolute(path string) error {
	if !filepath.IsAbs(path) {
		return errors.New("want an absolute path: what a relative one means depends on where the daemon is started")
	}
	return nil
}

func httpURL(text string) error {
	return webURL([]string{"http", "https"}, func(*daemon.Options) *string { return new(string) })(nil, text)
}

var (
	roleName    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
	commandName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	labelName   = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// parseHypercare reads the section. readFile reads the file of a token.
func parseHypercare(n *yaml.Node, readFile func(string) ([]byte, error)) (daemon.HypercareOptions, error) {
	var o daemon.HypercareOptions
	err := fields(n, hypercareKey, map[string]func(*yaml.Node, string) error{
		"plan": word(&o.Plan, absolute),
		"profile": word(&o.Profile, func(s string) error {
			if !slices.Contains(plan.Profiles(), s) {
				return fmt.Errorf("want one of %s", strings.Join(plan.Profiles(), ", "))
			}
			return nil
		}),
		"operators": func(n *yaml.Node, key string) error {
			return items(n, key, maxOperators, func(n *yaml.Node, key string) error { return operator(&o, n, key) })
		},
		"targets": func(n *yaml.Node, key string) error {
			return items(n, key, maxTargets, func(n *yaml.Node, key string) error { return target(&o, n, key) })
		},
		"commands": func(n *yaml.Node, key string) error { return commands(&o, n, key) },
		"grafana":  func(n *yaml.Node, key string) error { return grafana(&o, n, key, readFile) },
		"docker":   func(n *yaml.Node, key string) error { return docker(&o, n, key) },
	})
	return o, err
}

// operator reads one person. Two names with one key would let one person sign for two.
func operator(o *daemon.HypercareOptions, n *yaml.Node, key string) error {
	var k wire.OperatorKey
	err := fields(n, key, map[string]func(*yaml.Node, string) error{
		"name": word(&k.Name, anyWord),
		"key": word(&k.Key, func(s string) error {
			_, err := chain.KeyName(s)
			return err
		}),
		"roles": words(&k.Roles, 16, func(s string) error {
			if !roleName.MatchString(s) {
				return errors.New("want a role such as operations-lead")
			}
			if slices.Contains(k.Roles, s) {
				return errors.New("is there twice")
			}
			return nil
		}),
	})
	if err != nil {
		return err
	}
	if err := errors.Join(required(n, key, "name", k.Name), required(n, key, "key", k.Key), required(n, key, "roles", strings.Join(k.Roles, ","))); err != nil {
		return err
	}
	if name, _ := chain.KeyName(k.Key); name != k.Name {
		return at(n, key, "the key is that of %q, not of %.100q", name, k.Name)
	}
	for _, other := range o.Operators {
		err := chain.Distinct(other.Key, k.Key)
		switch {
		case errors.Is(err, chain.ErrSameKey):
			return at(n, key, "%s has the key of %s: each person needs a key of their own", k.Name, other.Name)
		case err != nil:
			return at(n, key, "%s is there twice", k.Name)
		}
	}
	o.Operators = append(o.Operators, k)
	return nil
}

func target(o *daemon.HypercareOptions, n *yaml.Node, key string) error {
	t := daemon.ScrapeTarget{}
	err := fields(n, key, map[string]func(*yaml.Node, string) error{
		"url": word(&t.URL, httpURL),
		"labels": func(n *yaml.Node, key string) error {
			t.Labels = map[string]string{}
			return pairs(n, key, func(name string, v *yaml.Node) error {
				if !labelName.MatchString(name) || strings.HasPrefix(name, "__") {
					return at(v, key, "%.64q is no name of a label", name)
				}
				var text string
				if err := word(&text, anyWord)(v, key+"."+name); err != nil {
					return err
				}
				t.Labels[name] = text
				return nil
			})
		},
	})
	if err == nil {
		err = required(n, key, "url", t.URL)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(o.Targets, func(x daemon.ScrapeTarget) bool { return x.URL == t.URL }) {
		return at(n, key, "%s is there twice", maskURL(t.URL))
	}
	o.Targets = append(o.Targets, t)
	return nil
}

func commands(o *daemon.HypercareOptions, n *yaml.Node, key string) error {
	o.Commands = map[string]daemon.NamedCommand{}
	return pairs(n, key, func(name string, v *yaml.Node) error {
		key := key + "." + name
		c := daemon.NamedCommand{Timeout: commandTimeout}
		if !commandName.MatchString(name) {
			return at(v, key, "want a name of letters, digits, - and _")
		}
		if len(o.Commands) == maxCommands {
			return at(v, key, "more than %d commands", maxCommands)
		}
		var timeout string
		err := fields(v, key, map[string]func(*yaml.Node, string) error{
			"run": words(&c.Run, 64, func(s string) error {
				if len(c.Run) == 0 {
					return absolute(s)
				}
				return nil
			}),
			"timeout": word(&timeout, func(s string) (err error) {
				if c.Timeout, err = time.ParseDuration(s); err != nil || c.Timeout < time.Second || c.Timeout > 10*time.Minute {
					return errors.New("want a time from 1s to 10m")
				}
				return nil
			}),
		})
		if err == nil {
			err = required(v, key, "run", strings.Join(c.Run, " "))
		}
		o.Commands[name] = c
		return err
	})
}

func grafana(o *daemon.HypercareOptions, n *yaml.Node, key string, readFile func(string) ([]byte, error)) error {
	var g daemon.GrafanaOptions
	var file string
	err := fields(n, key, map[string]func(*yaml.Node, string) error{
		"url": word(&g.URL, httpURL),
		"token_file": word(&file, func(path string) error {
			if err := absolute(path); err != nil {
				return err
			}
			text, err := readFile(path)
			if err != nil {
				return err
			}
			if g.Token = strings.TrimSpace(string(text)); g.Token == "" || len(g.Token) > 4096 || strings.ContainsAny(g.Token, "\r\n") {
				return errors.New("want a file with a token, one line")
			}
			return nil
		}),
	})
	if err == nil {
		err = required(n, key, "url", g.URL)
	}
	o.Grafana = &g
	return err
}

func docker(o *daemon.HypercareOptions, n *yaml.Node, key string) error {
	var d daemon.DockerOptions
	err := fields(n, key, map[string]func(*yaml.Node, string) error{
		"host": word(&d.Host, func(s string) error {
			engine, err := probe.NewDocker(s, probe.Limits{})
			if err != nil {
				return errors.New("want an address such as unix:///var/run/docker.sock or tcp://127.0.0.1:2375")
			}
			return engine.Close()
		}),
	})
	if err == nil {
		err = required(n, key, "host", d.Host)
	}
	o.Docker = &d
	return err
}

// maskURL hides the password and the query of a URL; other text stays as it is.
func maskURL(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	return address(value{text: text})
}

// hypercareSecrets are the values of the section that may appear in no log.
func hypercareSecrets(o daemon.HypercareOptions) (out []string) {
	if o.Grafana != nil && o.Grafana.Token != "" {
		out = append(out, o.Grafana.Token)
	}
	urls := make([]string, 0, len(o.Targets)+1)
	for _, t := range o.Targets {
		urls = append(urls, t.URL)
	}
	if o.Grafana != nil {
		urls = append(urls, o.Grafana.URL)
	}
	for _, text := range urls {
		if u, err := url.Parse(text); err == nil && u.User != nil {
			if p, ok := u.User.Password(); ok {
				out = append(out, p, url.QueryEscape(p))
			}
		}
	}
	return out
}

// printHypercare writes the section as config print shows it. Of a command it shows
// the program alone: arguments may be secrets.
func printHypercare(w io.Writer, o daemon.HypercareOptions) error {
	var b strings.Builder
	line := func(key, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%s.%s=%q\t# %s\n", hypercareKey, key, text, fromFile)
		}
	}
	line("plan", o.Plan)
	line("profile", o.Profile)
	for i, k := range o.Operators {
		line(fmt.Sprintf("operators[%d]", i), k.Name+" "+strings.Join(k.Roles, ",")+" "+k.Key)
	}
	for i, t := range o.Targets {
		text := maskURL(t.URL)
		for _, name := range slices.Sorted(maps.Keys(t.Labels)) {
			text += " " + name + "=" + t.Labels[name]
		}
		line(fmt.Sprintf("targets[%d]", i), text)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Commands)) {
		c := o.Commands[name]
		text := c.Run[0]
		if n := len(c.Run) - 1; n > 0 {
			text += fmt.Sprintf(" *** (%d arguments)", n)
		}
		line("commands."+name, text+" within "+c.Timeout.String())
	}
	if g := o.Grafana; g != nil {
		line("grafana.url", maskURL(g.URL))
		if g.Token != "" {
			line("grafana.token_file", "***")
		}
	}
	if o.Docker != nil {
		line("docker.host", o.Docker.Host)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
