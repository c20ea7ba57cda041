package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const secretPrefix = "whsec_"

// target is where a webhook goes, and whether it may.
type target struct {
	url    *url.URL
	listed bool // the host is in the allow list
	closed bool // the allow list is not empty
}

func parseTarget(raw string, allowed []string) (target, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil: // url.Parse's own text shows the whole value
		return target{}, errors.New("webhook URL: not a URL: such as https://example.com/hook")
	case u.Scheme != "https" && u.Scheme != "http":
		return target{}, fmt.Errorf("webhook URL: scheme %.16q is not one of https, http", u.Scheme)
	case u.Hostname() == "" || u.Opaque != "":
		return target{}, fmt.Errorf("webhook URL: %s has no host: such as https://example.com/hook", mask(u))
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return target{}, fmt.Errorf("webhook URL: port %.8q is not from 1 to 65535", p)
		}
	}
	u.Fragment, u.RawFragment = "", ""
	t := target{url: u, closed: len(allowed) > 0}
	for _, entry := range allowed {
		host, port, err := splitAllowed(entry)
		if err != nil {
			return target{}, err
		}
		if host == canonical(u.Hostname()) && (port == "" || port == portOf(u)) {
			t.listed = true
		}
	}
	return t, nil
}

// splitAllowed reads "host", "host:port", "[v6]:port" or an IPv6 address alone.
func splitAllowed(entry string) (host, port string, err error) {
	bad := fmt.Errorf("allowed host %.64q: not host or host:port", entry)
	host = entry
	if addr, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		return canonical(addr.String()), "", nil
	}
	if strings.Contains(entry, ":") {
		host, port, err = net.SplitHostPort(entry)
		if err != nil {
			return "", "", bad
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "", "", bad
		}
	}
	legal := func(r rune) bool {
		return r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if host = canonical(host); host == "" {
		return "", "", bad
	}
	if _, err := netip.ParseAddr(host); err != nil && strings.ContainsFunc(host, func(r rune) bool { return !legal(r) }) {
		return "", "", bad
	}
	return host, port, nil
}

// canonical gives one spelling to each host.
func canonical(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return host
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

// objection judges what shows without looking up an address.
func (t target) objection() error {
	switch {
	case t.listed:
		return nil
	case t.closed:
		return fmt.Errorf("blocked: %s is not in the list of allowed hosts", t.masked())
	case t.url.Scheme != "https":
		return fmt.Errorf("blocked: %s is not https; list the host to allow it", t.masked())
	}
	return nil
}

func (t target) masked() string { return mask(t.url) }

// mask shows scheme, host and port. Everything else of a hook's address may be
// its password.
func mask(u *url.URL) string {
	s := u.Scheme + "://"
	if u.User != nil {
		s += "***@"
	}
	s += u.Host
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		s += "/***"
	}
	return s
}

// redact removes from a text whatever of the URL is not shown by mask.
func (t target) redact(text string) string {
	parts := []string{t.url.String(), t.url.RequestURI(), t.url.Path, t.url.RawQuery}
	if t.url.User != nil {
		password, _ := t.url.User.Password()
		parts = append(parts, t.url.User.String(), password)
	}
	slices.SortFunc(parts, func(a, b string) int { return len(b) - len(a) })
	for _, p := range parts {
		if len(p) > 1 {
			text = strings.ReplaceAll(text, p, "***")
		}
	}
	return text
}

// parseSecrets reads one or more secrets. Its errors show none of them.
func parseSecrets(s string) ([][]byte, error) {
	var secrets [][]byte
	for _, field := range strings.Fields(s) {
		secret := []byte(field)
		if rest, ok := strings.CutPrefix(field, secretPrefix); ok {
			var err error
			if secret, err = base64.StdEncoding.DecodeString(rest); err != nil || len(secret) == 0 {
				return nil, fmt.Errorf("webhook secret: what follows %s is not standard base64", secretPrefix)
			}
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}
