package redis

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Forms are the URLs that [Open] takes, for people.
const Forms = "redis://[user:password@]host[:port][/database], rediss:// for TLS, " +
	"redis+sentinel://host[:port],…/master[/database], redis://host,host,… or redis+cluster://host,… for a Cluster"

// deployment is how the servers of a URL work together.
type deployment uint8

const (
	single   deployment = iota
	sentinel            // hosts are Sentinels, which know where the master is
	cluster             // hosts are some of the nodes
)

// target is what a URL says.
type target struct {
	kind           deployment
	hosts          []string // host:port
	user, password string
	database       int
	master         string      // name of it, for Sentinels
	keeper         [2]string   // user and password of the Sentinels themselves
	tls            *tls.Config // nil: plain TCP
	replicas       int         // that must confirm a grant
	poolSize       int         // 0: the client's default
}

var schemes = map[string]struct {
	kind deployment
	tls  bool
}{
	"redis": {single, false}, "rediss": {single, true},
	"redis+sentinel": {sentinel, false}, "rediss+sentinel": {sentinel, true},
	"redis+cluster": {cluster, false}, "rediss+cluster": {cluster, true},
}

// defaultPorts are by deployment.
var defaultPorts = map[deployment]string{single: "6379", sentinel: "26379", cluster: "6379"}

// CheckURL reports what is wrong with a URL for [Open]. The error says what is
// allowed and does not repeat the URL.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

// parseURL reads a URL. It does not use net/url for the whole, which knows no lists
// of hosts. Its errors hold nothing of the password.
func parseURL(text string) (target, error) {
	var t target
	if text == "" {
		return t, errors.New("no URL: want " + Forms)
	}
	name, rest, ok := strings.Cut(text, "://")
	scheme, known := schemes[name]
	if !ok || !known {
		return t, errors.New("want " + Forms)
	}
	t.kind = scheme.kind
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return t, errors.New("want no spaces and no control characters: write them as %20 and the like")
	}
	p := splitURL(rest)
	if p.fragment || strings.Contains(p.path+p.query, "@") {
		return t, errors.New("want / ? # in a user or password written as %2F %3F %23, and @ in a parameter as %40")
	}
	values, err := url.ParseQuery(p.query)
	if err != nil {
		return t, errors.New("want parameters as name=value, joined by &")
	}
	if err := cmp.Or(t.setUser(p.user), t.setHosts(p.hosts), t.setPath(p.path), t.setParameters(values, scheme.tls)); err != nil {
		return t, err
	}
	return t, nil
}

// parts are those of a URL after its scheme, as written.
type parts struct {
	user, hosts, path, query string
	fragment                 bool
}

func splitURL(rest string) (p parts) {
	rest, _, p.fragment = strings.Cut(rest, "#")
	rest, p.query, _ = strings.Cut(rest, "?")
	p.hosts, p.path, _ = strings.Cut(rest, "/")
	if at := strings.LastIndexByte(p.hosts, '@'); at >= 0 {
		p.user, p.hosts = p.hosts[:at+1], p.hosts[at+1:]
	}
	return p
}

// setUser reads "user:password@". A password may hold @ and : as they are.
func (t *target) setUser(text string) error {
	if text == "" {
		return nil
	}
	text = strings.TrimSuffix(text, "@")
	if strings.Contains(text, ",") && strings.Contains(text, "@") {
		return errors.New("want user and password once, before the first host; in a password write @ as %40 and , as %2C")
	}
	user, password, _ := strings.Cut(text, ":")
	var err1, err2 error
	t.user, err1 = url.PathUnescape(user)
	t.password, err2 = url.PathUnescape(password)
	if err1 != nil || err2 != nil {
		return errors.New("user or password: want % written as %25")
	}
	if t.user != "" && t.password == "" {
		return errors.New("want user:password@, or :password@ for the default user")
	}
	return nil
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

func (t *target) setHosts(list string) error {
	for text := range strings.SplitSeq(list, ",") {
		if text == "" {
			return errors.New("want the name or address of a host, and no empty one in a list")
		}
		host, port := text, defaultPorts[t.kind]
		if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
			host, port = text[:i], text[i+1:]
		}
		if inner, ok := strings.CutPrefix(host, "["); ok {
			host = strings.TrimSuffix(inner, "]")
			if len(host)+2 != len(text) && len(inner) == len(host) || net.ParseIP(host) == nil {
				return errors.New("want an IPv6 address in brackets, such as [::1]:6379")
			}
		} else if !hostPattern.MatchString(host) {
			return errors.New("host: want a name or an address, an IPv6 address in brackets")
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n < 1 {
			return errors.New("want a port from 1 to 65535")
		}
		addr := net.JoinHostPort(host, port)
		if slices.Contains(t.hosts, addr) {
			return errors.New("want each host once")
		}
		t.hosts = append(t.hosts, addr)
	}
	if t.kind == single && len(t.hosts) > 1 {
		t.kind = cluster
	}
	return nil
}

// setPath reads what follows the hosts: [master/][database].
func (t *target) setPath(path string) error {
	path = strings.TrimSuffix(path, "/")
	if t.kind == sentinel {
		name, rest, _ := strings.Cut(path, "/")
		master, err := url.PathUnescape(name)
		if err != nil || master == "" {
			return errors.New("want the name of the master after the Sentinels: redis+sentinel://host,host/master")
		}
		t.master, path = master, rest
	}
	if path == "" {
		return nil
	}
	n, err := strconv.ParseUint(path, 10, 20)
	if err != nil {
		return errors.New("path: want the number of a database, such as /0")
	}
	if t.kind == cluster && n != 0 {
		return errors.New("path: want no database, or /0: a Cluster has only that one")
	}
	t.database = int(n)
	return nil
}

// parameters may follow the ? of a URL.
var parameters = []string{"wait", "pool_size", "ca", "cert", "key", "server_name", "skip_verify", "sentinel_user", "sentinel_password"}

// Parameters are those of a URL, for people.
const Parameters = "wait=N (replicas that must confirm the lease; 1 with Sentinels, else 0), pool_size=N, " +
	"ca, cert, key=FILE (PEM) and server_name, skip_verify=true (unsafe) with rediss, sentinel_user and sentinel_password"

func (t *target) setParameters(values url.Values, withTLS bool) error {
	for name, v := range values {
		switch {
		case !slices.Contains(parameters, name):
			return fmt.Errorf("parameter %.40q: want one of %s", name, strings.Join(parameters, ", "))
		case len(v) > 1 || v[0] == "":
			return fmt.Errorf("parameter %s: want it once, with a value", name)
		case strings.HasPrefix(name, "sentinel_") && t.kind != sentinel:
			return fmt.Errorf("parameter %s: want it with redis+sentinel:// only", name)
		case slices.Contains([]string{"ca", "cert", "key", "server_name", "skip_verify"}, name) && !withTLS:
			return fmt.Errorf("parameter %s: want it with rediss:// only", name)
		}
	}
	if t.kind == sentinel {
		t.replicas = 1
	}
	for _, n := range []struct {
		name string
		max  int
		to   *int
	}{{"wait", 10, &t.replicas}, {"pool_size", 10_000, &t.poolSize}} {
		if v := values.Get(n.name); v != "" {
			i, err := strconv.Atoi(v)
			if err != nil || i < 0 || i > n.max {
				return fmt.Errorf("parameter %s: want a whole number from 0 to %d", n.name, n.max)
			}
			*n.to = i
		}
	}
	t.keeper = [2]string{values.Get("sentinel_user"), values.Get("sentinel_password")}
	if t.keeper[0] != "" && t.keeper[1] == "" {
		return errors.New("parameter sentinel_user: want sentinel_password with it")
	}
	if !withTLS {
		return nil
	}
	var err error
	t.tls, err = tlsConfig(values)
	return err
}

// tlsConfig makes the settings of rediss://. Without ca the system's authorities are
// trusted; without server_name the certificate must name the host that is dialled.
func tlsConfig(values url.Values) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: values.Get("server_name")}
	switch values.Get("skip_verify") {
	case "", "false":
	case "true":
		c.InsecureSkipVerify = true //nolint:gosec // asked for by name, and documented as unsafe
	default:
		return nil, errors.New("parameter skip_verify: want true or false")
	}
	if path := values.Get("ca"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("parameter ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("parameter ca: %.200q: want a PEM file with certificates", path)
		}
	}
	cert, key := values.Get("cert"), values.Get("key")
	if (cert == "") != (key == "") {
		return nil, errors.New("parameters cert and key: want both or none")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("parameters cert and key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

var secretParameter = regexp.MustCompile(`(?i)([^&=]*(?:password|username|secret|token)[^&=]*)=[^&]*`)

// ShowURL returns a URL as it may be shown, whatever is wrong with it: passwords are
// replaced by ***.
func ShowURL(text string) string {
	name, rest, ok := strings.Cut(text, "://")
	if !ok {
		if at := strings.LastIndexByte(text, '@'); at >= 0 {
			return "***" + text[at:]
		}
		return secretParameter.ReplaceAllString(text, "$1=***")
	}
	p := splitURL(rest)
	// An @ further on belongs to a password with one of / ? # in it.
	if p.fragment || strings.Contains(p.path+p.query, "@") {
		return name + "://***"
	}
	out := name + "://"
	if p.user != "" {
		user, _, _ := strings.Cut(strings.TrimSuffix(p.user, "@"), ":")
		out += user + ":***@"
	}
	out += p.hosts
	if p.path != "" {
		out += "/" + p.path
	}
	if p.query != "" {
		out += "?" + secretParameter.ReplaceAllString(p.query, "$1=***")
	}
	return out
}

// Secrets returns the passwords of a URL, as written and as meant.
func Secrets(text string) []string {
	t, err := parseURL(text)
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(text, "://")
	_, written, _ := strings.Cut(strings.TrimSuffix(splitURL(rest).user, "@"), ":")
	out := []string{t.password, written, url.QueryEscape(t.password), t.keeper[1], url.QueryEscape(t.keeper[1])}
	slices.Sort(out)
	out = slices.Compact(out)
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

var namespacePattern = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,100}$`)

func checkNamespace(s string) error {
	if !namespacePattern.MatchString(s) || strings.HasSuffix(s, ":") {
		return fmt.Errorf("namespace %.120q: want letters, digits and _ . : - and no colon at its end", s)
	}
	return nil
}
