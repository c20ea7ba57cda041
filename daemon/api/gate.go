package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/spark-ta/spark/core/wire"
)

// Gate decides who may make a changing call or an operator's call.
type Gate struct {
	APIToken string // if set, required for every call that changes alerts
	OpsToken string // if set, required for operators' calls
	Loopback bool   // the listener is bound to loopback: operators' calls need no token when none is set
	Hosts    []string
}

// change guards a call that changes alerts.
func (g Gate) change(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := g.sameSite(r); err != nil {
			return err
		}
		if g.APIToken != "" && !bears(r, g.APIToken) {
			return unauthorized(w, "this call needs the API token: Authorization: Bearer …")
		}
		return h(w, r)
	}
}

// look guards a call that changes nothing and costs something: a page of another site
// may not make it. The Host may be any: a Grafana asks under the name of a service, and
// what is answered stands in /metrics for everybody.
func (g Gate) look(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := g.sameOrigin(r); err != nil {
			return err
		}
		return h(w, r)
	}
}

// operate guards a call for operators.
func (g Gate) operate(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := g.sameSite(r); err != nil {
			return err
		}
		switch {
		case g.OpsToken != "" && !bears(r, g.OpsToken):
			return unauthorized(w, "this call needs the operations token: Authorization: Bearer …")
		case g.OpsToken == "" && !g.Loopback:
			return &refusal{code: wire.CodeForbidden, text: fmt.Sprintf("set %s: without it this call is answered on loopback only", wire.EnvOpsToken)}
		}
		return h(w, r)
	}
}

func unauthorized(w http.ResponseWriter, text string) error {
	w.Header().Set("WWW-Authenticate", "Bearer")
	return &refusal{code: wire.CodeUnauthorized, text: text}
}

// bears compares digests, so that the time taken tells neither content nor length.
func bears(r *http.Request, token string) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && ok
}

// sameSite refuses requests that a page of another site could have sent: through a
// name of its own that resolves to this machine (the Host tells), or across sites
// (the Origin tells).
func (g Gate) sameSite(r *http.Request) error {
	if !g.ours(r.Host) {
		return &refusal{code: wire.CodeForbidden, text: fmt.Sprintf("host %.64q is not one of ours", r.Host)}
	}
	return g.sameOrigin(r)
}

// sameOrigin refuses what a browser says another site's page has sent.
func (g Gate) sameOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || !g.ours(u.Host) {
		return &refusal{code: wire.CodeForbidden, text: fmt.Sprintf("origin %.64q is not one of ours", origin)}
	}
	return nil
}

// ours reports whether a host[:port] cannot be a public name that somebody else
// made point here: an address, localhost, a name without a dot (of a container or
// of the local network), or one that is configured.
func (g Gate) ours(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "" {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if !strings.Contains(host, ".") || strings.HasSuffix(host, ".localhost") {
		return true
	}
	for _, h := range g.Hosts {
		if strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}

// caller says who made an operator's call, as far as a gate without keys can tell: it
// stands in the record of what was changed.
func (g Gate) caller(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if g.OpsToken != "" {
		return "ops token from " + host
	}
	return "loopback"
}
