package probe

import (
	"context"
	"errors"
	"fmt"
	"html"
	"math"
	"mime"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Request is a parsed source of kind http:
//
//	GET /health
//	Accept: application/json
//
// A method, a path with its query, and header lines. A plan only reads: GET and HEAD.
type Request struct {
	Method string
	Path   string
	Header http.Header
}

// Limits of a request's text.
const (
	maxPath    = 2 << 10
	maxHeaders = 16
)

// notFromPlans are headers that a plan must not set: they decide who is asked, or in
// whose name.
var notFromPlans = []string{
	"Host", "Authorization", "Cookie", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Te", "Trailer",
	"Proxy-Authorization", "Proxy-Connection", "Origin", "Referer", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host",
}

// ParseRequest parses the text of an http source.
func ParseRequest(text string) (Request, error) {
	lines := statement(text)
	if len(lines) == 0 {
		return Request{}, errors.New("no request: want a line like GET /health")
	}
	words := strings.Fields(lines[0])
	if len(words) != 2 {
		return Request{}, fmt.Errorf("request line %.60q: want a method and a path", lines[0])
	}
	r := Request{Method: words[0], Path: words[1], Header: http.Header{}}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	default:
		return Request{}, fmt.Errorf("method %.20q: a plan only reads, with GET or HEAD", r.Method)
	}
	if err := checkPath(r.Path); err != nil {
		return Request{}, err
	}
	for i, line := range lines[1:] {
		if strings.TrimSpace(line) == "" {
			return Request{}, errors.New("a request of a plan has no body")
		}
		if i == maxHeaders {
			return Request{}, fmt.Errorf("more than %d header lines", maxHeaders)
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = textproto.CanonicalMIMEHeaderKey(name), strings.TrimSpace(value)
		switch {
		case !ok || !token(name):
			return Request{}, fmt.Errorf("header line %.60q: want Name: value", line)
		case slices.Contains(notFromPlans, name):
			return Request{}, fmt.Errorf("header %s is not a plan's to set", name)
		case !printable(value):
			return Request{}, fmt.Errorf("header %s has characters that are not printable", name)
		}
		r.Header.Add(name, value)
	}
	return r, nil
}

func checkPath(p string) error {
	u, err := url.ParseRequestURI(p)
	switch {
	case err != nil || !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || u.Host != "":
		return fmt.Errorf("path %.60q: want one that begins with a single /", p)
	case len(p) > maxPath || strings.Contains(p, "#") || !printable(p):
		return fmt.Errorf("path %.60q: too long, with a fragment or not printable", p)
	}
	return nil
}

// token reports whether s is a header's name.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// HTTP asks targets by HTTP.
type HTTP struct {
	Limits
	Client *http.Client // brings roots and certificates
}

// maxBody is how much of an answer is read, in bytes.
const maxBody = 1 << 20

// Do sends r to each target. Fields: status (0 when there was no answer), latency
// (seconds until the answer's last byte), bytes (of the body), header.<name in lower
// case>; of a JSON body json (1 when it could be read) and body.<path>; of HTML
// title; of text body, its beginning. The body of an event stream is not waited for.
func (h HTTP) Do(ctx context.Context, r Request, targets []Target) []Result {
	client := *h.Client
	client.CheckRedirect = sameHost
	return h.ask(ctx, targets, func(ctx context.Context, t Target) (fields, error) {
		return fetch(ctx, &client, r, t.URL)
	})
}

func fetch(ctx context.Context, client *http.Client, r Request, base string) (fields, error) {
	f := fields{"status": Number(0)}
	req, err := http.NewRequestWithContext(ctx, r.Method, base+r.Path, nil)
	if err != nil {
		return f, bare(err)
	}
	req.Header = r.Header.Clone()
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "spark-observer/1")
	}
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return f, bare(err)
	}
	defer resp.Body.Close()
	f["status"] = Number(float64(resp.StatusCode))
	headerFields(f, resp.Header)
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == "text/event-stream" {
		f["latency"] = Number(time.Since(began).Seconds())
		return f, nil
	}
	body, err := readAll(resp.Body, maxBody)
	f["latency"] = Number(time.Since(began).Seconds())
	f["bytes"] = Number(float64(len(body)))
	bodyFields(f, kind, body, err == nil)
	return f, err
}

// unseen are headers of an answer that may hold a secret.
var unseen = []string{"set-cookie", "www-authenticate", "authorization", "proxy-authenticate"}

func headerFields(f fields, h http.Header) {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names[:min(len(names), 40)] {
		low := strings.ToLower(name)
		if !slices.Contains(unseen, low) && token(name) {
			f["header."+low] = numberOrText(h.Get(name))
		}
	}
}

// numberOrText returns a number where s is a finite one.
func numberOrText(s string) Value {
	if v, err := strconv.ParseFloat(s, 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) && !strings.ContainsAny(s, "xX_pP") {
		return Number(v)
	}
	return Text(s)
}

// bodyFields adds what a body says. whole is false for the beginning of one.
func bodyFields(f fields, kind string, body []byte, whole bool) {
	switch {
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		f["json"] = Truth(whole && flattenInto(f, body))
	case kind == "text/html":
		if t, ok := title(string(body)); ok {
			f["title"] = Text(t)
		}
	}
	if len(body) > 0 && (kind == "" || strings.HasPrefix(kind, "text/") || f["json"] == Number(0)) {
		// More than is shown is given to the mask: a secret must not be cut in half
		// before it is found.
		f["body"] = Text(strings.ToValidUTF8(string(body[:min(len(body), 8<<10)]), "�"))
	}
}

// title returns the text of the first title element.
func title(page string) (string, bool) {
	low := asciiLower(page)
	from := strings.Index(low, "<title")
	if from < 0 {
		return "", false
	}
	open := strings.IndexByte(low[from:], '>')
	if open < 0 {
		return "", false
	}
	from += open + 1
	end := strings.Index(low[from:], "</title")
	if end < 0 {
		return "", false
	}
	return strings.Join(strings.Fields(html.UnescapeString(page[from:from+end])), " "), true
}

// asciiLower keeps the length, which strings.ToLower does not.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
