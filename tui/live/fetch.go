package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

// maxBody is the most that is read of an answer.
const maxBody = 16 << 20

// status is an answer other than 200, with the sentence that came with it.
type status struct {
	code int
	why  string
}

func (s status) Error() string {
	if s.why == "" {
		return fmt.Sprintf("HTTP %d", s.code)
	}
	return fmt.Sprintf("HTTP %d: %s", s.code, s.why)
}

// get reads a JSON answer into v. An answer of 503 with a body is read too and
// reported as a status: a daemon that is not well says why.
func (l *Live) get(ctx context.Context, address string, timeout time.Duration, v any) error {
	return l.read(ctx, address, timeout, func(r io.Reader) error { return json.NewDecoder(r).Decode(v) })
}

func (l *Live) read(ctx context.Context, address string, timeout time.Duration, parse func(io.Reader) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errSlow{timeout})
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := l.HTTP.Do(req)
	if err != nil {
		var slow errSlow
		if errors.As(context.Cause(ctx), &slow) {
			return slow
		}
		return err
	}
	defer res.Body.Close()
	body := io.LimitReader(res.Body, maxBody)
	if res.StatusCode == http.StatusOK {
		if err := parse(body); err != nil {
			return fmt.Errorf("answer unreadable: %w", err)
		}
		_, _ = io.Copy(io.Discard, body) // so that the connection can be used again
		return nil
	}
	page, _ := io.ReadAll(io.LimitReader(body, 64<<10))
	if res.StatusCode == http.StatusServiceUnavailable {
		_ = parse(bytes.NewReader(page)) // the caller looks whether it became something
	}
	var refusal wire.Error
	_ = json.Unmarshal(page, &refusal)
	return status{res.StatusCode, refusal.Error}
}

type errSlow struct{ after time.Duration }

func (e errSlow) Error() string { return fmt.Sprintf("no answer within %v", e.after) }

// cause says in few words why a request failed, without the URL that net/http
// repeats in front: the place is known from where it is shown.
func cause(err error) safetext.Text {
	var (
		op   *net.OpError
		dns  *net.DNSError
		wrap *url.Error
	)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.As(err, &dns):
		return safetext.Clean("no such host " + dns.Name)
	case errors.As(err, &op) && op.Timeout():
		return "connecting timed out"
	case errors.As(err, &wrap):
		return safetext.Clean(wrap.Err.Error())
	}
	return safetext.Clean(err.Error())
}

// join appends a path and a query to a base URL.
func join(base, path string, query url.Values) string {
	s := base + path
	if len(query) > 0 {
		s += "?" + query.Encode()
	}
	return s
}

// baseURL checks a URL that the fleet names, and returns it without a slash at the
// end, or "".
func baseURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return ""
	}
	for len(s) > 0 && s[len(s)-1] == '/' {
		s = s[:len(s)-1]
	}
	return s
}
