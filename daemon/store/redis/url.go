package redis

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// parseURL checks the URL and returns the client's options. Its errors show the
// URL without its password.
func parseURL(text string) (*goredis.Options, error) {
	if text == "" {
		return nil, errors.New("no URL: want redis://host:port or rediss://host:port")
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not a URL: want redis://[user:password@]host:port[/database]", redact(text))
	}
	switch u.Scheme {
	case "redis", "rediss":
	default:
		return nil, fmt.Errorf("%q: scheme %q is not one of redis, rediss", redact(text), u.Scheme)
	}
	if u.Host == "" {
		return nil, fmt.Errorf("%q names no host", redact(text))
	}
	opts, err := goredis.ParseURL(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %v", redact(text), strings.ReplaceAll(err.Error(), text, redact(text)))
	}
	return opts, nil
}

var secrets = regexp.MustCompile(`(?i)(password|username)=[^&#]*`)

// redact hides what may be a password, also in text that is no URL.
func redact(text string) string {
	text = secrets.ReplaceAllString(text, "$1=xxxxx")
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return text
	}
	start := strings.Index(text, "://")
	if start < 0 {
		return "xxxxx" + text[at:]
	}
	return text[:start+3] + "xxxxx" + text[at:]
}

var namespacePattern = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,100}$`)

func checkNamespace(s string) error {
	if !namespacePattern.MatchString(s) || strings.HasSuffix(s, ":") {
		return fmt.Errorf("namespace %.120q: want letters, digits and _ . : - and no colon at its end", s)
	}
	return nil
}
