package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon"
	"github.com/spark-ta/spark/daemon/store/redis"
)

// source says where a value came from.
type source string

const (
	fromDefault  source = "default"
	fromFile     source = "file"
	fromVariable source = "variable"
	fromFlag     source = "flag"
)

// value is a setting with what was decided.
type value struct {
	setting
	text string
	from source
}

// errUsage is wrapped by every error that the caller's words caused.
var errUsage = errors.New("usage")

// resolve decides every setting: flag over variable over file over default. flags
// holds only those that were given. readFile reads the configuration file.
func resolve(flags map[string]string, getenv func(string) string, readFile func(string) ([]byte, error)) (daemon.Options, []value, error) {
	var o daemon.Options
	path := flags["spark-config"]
	if path == "" {
		path = getenv(wire.EnvConfig)
	}
	file := map[string]string{}
	if path != "" {
		data, err := readFile(path)
		if err != nil {
			return o, nil, fmt.Errorf("%w: %s: %v", errUsage, wire.EnvConfig, err)
		}
		var section *yaml.Node
		if file, section, err = parseFile(data); err == nil && section != nil {
			o.Hypercare, err = parseHypercare(section, readFile)
		}
		if err != nil {
			return o, nil, fmt.Errorf("%w: %s %s: %v", errUsage, wire.EnvConfig, path, err)
		}
	}
	values := make([]value, 0, 64)
	for _, s := range settings() {
		v := value{setting: s, text: s.def, from: fromDefault}
		if t, ok := file[s.name]; ok {
			v.text, v.from = t, fromFile
		}
		if t := getenv(s.name); t != "" {
			v.text, v.from = t, fromVariable
		}
		if t, ok := flags[s.flag()]; ok && !s.secret {
			v.text, v.from = t, fromFlag
		}
		if v.text != "" || v.from != fromDefault {
			if err := s.set(&o, v.text); err != nil {
				return o, nil, fmt.Errorf("%w: %s %s (%s): %v", errUsage, s.name, v.shown(), v.from, err)
			}
		}
		values = append(values, v)
	}
	return o, values, together(&o)
}

// together checks what no single setting can.
func together(o *daemon.Options) error {
	if (o.TLSCert == "") != (o.TLSKey == "") {
		return fmt.Errorf("%w: %s and %s go together: one is set, the other is empty", errUsage, wire.EnvTLSCert, wire.EnvTLSKey)
	}
	for _, f := range []struct{ name, path string }{{wire.EnvTLSCert, o.TLSCert}, {wire.EnvTLSKey, o.TLSKey}} {
		if f.path == "" {
			continue
		}
		if _, err := os.Stat(f.path); err != nil {
			return fmt.Errorf("%w: %s %.200q: %v: want a PEM file", errUsage, f.name, f.path, err)
		}
	}
	if o.MarketSource == "sim" && (o.BinanceREST != "" || o.BinanceWS != "") {
		return fmt.Errorf("%w: %s sim has its own exchange: leave %s and %s empty", errUsage, wire.EnvMarketSource, wire.EnvBinanceREST, wire.EnvBinanceWS)
	}
	return nil
}

// shown is the value as it may be seen: quoted, secrets and passwords masked.
func (v value) shown() string {
	if v.secret && v.text != "" {
		return `"***"`
	}
	if strings.Contains(v.text, "://") {
		return fmt.Sprintf("%.200q", address(v))
	}
	return fmt.Sprintf("%.200q", v.text)
}

// address shows where a URL leads. A password is masked, a query too, and the path
// of a webhook: with Slack and Discord it is the secret.
func address(v value) string {
	if v.name == wire.EnvRedisURL {
		return redis.ShowURL(v.text)
	}
	u, err := url.Parse(v.text)
	if err != nil || u.Opaque != "" || u.User == nil && strings.Contains(v.text, "@") {
		return "***"
	}
	if u.User != nil {
		u.User = url.UserPassword(u.User.Username(), "***")
	}
	text := strings.ReplaceAll((&url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}).String(), "%2A", "*")
	switch {
	case isWebhook(v.name) && len(u.Path) > 1:
		return text + "/***"
	case u.RawQuery != "" || u.Fragment != "":
		return text + u.EscapedPath() + "?***"
	}
	return text + u.EscapedPath()
}

// isWebhook says of which settings the path is the secret.
func isWebhook(name string) bool {
	return slices.Contains([]string{wire.EnvWebhookURL, wire.EnvEscalation1, wire.EnvEscalation2, wire.EnvEscalation3}, name)
}

// parseFile reads a configuration file: a flat mapping of setting names to plain
// values, and the section hypercare, nil when there is none. Errors name the line.
func parseFile(data []byte) (values map[string]string, section *yaml.Node, err error) {
	if len(data) > 1<<20 {
		return nil, nil, errors.New("larger than 1 MiB")
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, nil, err
	}
	values = map[string]string{}
	if len(doc.Content) == 0 {
		return values, nil, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, nil, fmt.Errorf("line %d: want lines such as LOG_LEVEL: debug", root.Line)
	}
	names := settingNames()
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, val := root.Content[i], root.Content[i+1]
		_, twice := values[key.Value]
		switch {
		case twice || key.Value == hypercareKey && section != nil:
			return nil, nil, fmt.Errorf("line %d: %s is set twice", key.Line, key.Value)
		case key.Value == hypercareKey:
			section = val
			continue
		case !slices.Contains(names, key.Value) || key.Value == wire.EnvConfig:
			return nil, nil, fmt.Errorf("line %d: unknown setting %.64q", key.Line, key.Value)
		case val.Kind != yaml.ScalarNode:
			return nil, nil, fmt.Errorf("line %d: %s: want a plain value", val.Line, key.Value)
		}
		values[key.Value] = val.Value
	}
	return values, section, nil
}

func settingNames() []string {
	names := make([]string, 0, 64)
	for _, s := range settings() {
		names = append(names, s.name)
	}
	return names
}

// secretsOf returns the values that may appear in no log.
func secretsOf(values []value) []string {
	var out []string
	for _, v := range values {
		if v.secret && v.text != "" {
			out = append(out, v.text)
		}
		if v.name == wire.EnvRedisURL {
			out = append(out, redis.Secrets(v.text)...)
		} else if u, err := url.Parse(v.text); err == nil && u.User != nil {
			if p, ok := u.User.Password(); ok {
				out = append(out, p, url.QueryEscape(p))
			}
		}
	}
	return out
}

// printConfig writes what was decided and where it came from.
func printConfig(w io.Writer, values []value) error {
	for _, v := range values {
		if _, err := fmt.Fprintf(w, "%s=%s\t# %s\n", v.name, v.shown(), v.from); err != nil {
			return err
		}
	}
	return nil
}

// defaultDataDir follows the XDG base directories.
func defaultDataDir(getenv func(string) string) (string, error) {
	if d := getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "spark"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%w: %s is empty and there is no home directory: %v", errUsage, wire.EnvDataDir, err)
	}
	return filepath.Join(home, ".local", "state", "spark"), nil
}
