// Package webhook delivers to any HTTP receiver, by the Standard Webhooks
// specification.
//
// # The request
//
// One POST with the JSON body of [wire.Notification]. The body is a function of
// the event alone, so that every repeat has the same bytes. Headers:
//
//	webhook-id          the delivery's id, the same for every attempt
//	Idempotency-Key     the same
//	webhook-timestamp   Unix seconds of this attempt
//	webhook-signature   v1,<base64 of HMAC-SHA256 over id.timestamp.body>, one for
//	                    each secret; absent without a secret
//
// # The answer
//
//	2xx                          accepted
//	408, 425, 429                refused for now, Retry-After heeded
//	503 with Retry-After         the same
//	other 4xx                    permanent
//	3xx                          refused for now: a redirect is never followed
//	5xx, none, cut, too late     ambiguous once the request was written
//
// "Written" is judged by httptrace: from the moment the headers were handed to the
// connection the receiver may have the message. Each attempt has a connection of
// its own: on one that was kept alive, a receiver closing it at the wrong moment
// would make an attempt ambiguous, and net/http would silently send it again.
//
// # Where it may go
//
// Only to https and public addresses, ports 80 and 443, and not through a proxy.
// The address is judged when it is dialled (code.dny.dev/ssrf), so a name that
// resolves to a private address, or does so the second time, is blocked too. A
// host of [Options.AllowedHosts] may be reached by http and at private addresses;
// when that list is not empty, nothing else may be reached. A blocked attempt is
// permanent.
//
// The body of the answer is read up to 64 KiB and discarded.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"code.dny.dev/ssrf"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/notify"
)

const (
	defaultTimeout = 10 * time.Second
	connectTimeout = 3 * time.Second
	tlsTimeout     = 5 * time.Second
	maxAnswer      = 64 << 10 // bytes, of the headers and of the body
	userAgent      = "spark-webhook/1"
)

// Options configure a webhook.
type Options struct {
	// URL is where to post: http or https. A user name and password in it are sent
	// as basic authentication.
	URL string
	// Secret signs: "whsec_" and standard base64, or any other text taken as it is.
	// Several, separated by spaces, all sign, which is how a receiver changes its
	// secret without a pause. Empty means unsigned.
	Secret string
	// AllowedHosts are "host" or "host:port", IPv6 addresses in brackets when a
	// port follows. See the package comment.
	AllowedHosts []string
	// Timeout is for a whole attempt; 0 means 10 s.
	Timeout time.Duration
	// TLS and Resolver replace the system's roots and name servers; may be nil.
	TLS      *tls.Config
	Resolver *net.Resolver
}

// Notifier posts to one URL.
type Notifier struct {
	target  target
	secrets [][]byte
	timeout time.Duration
	client  *http.Client
}

// New checks the options. Its errors name the value, masked, and what is allowed.
// Where the URL may lead is judged by each attempt, and before by
// [Notifier.Objection].
func New(o Options) (*Notifier, error) {
	t, err := parseTarget(o.URL, o.AllowedHosts)
	if err != nil {
		return nil, err
	}
	secrets, err := parseSecrets(o.Secret)
	if err != nil {
		return nil, err
	}
	if o.Timeout < 0 {
		return nil, errors.New("webhook timeout: " + o.Timeout.String() + " is negative")
	}
	n := &Notifier{target: t, secrets: secrets, timeout: o.Timeout}
	if n.timeout == 0 {
		n.timeout = defaultTimeout
	}
	dialer := &net.Dialer{Timeout: connectTimeout, Resolver: o.Resolver}
	if !t.listed {
		dialer.Control = ssrf.New().Safe
	}
	n.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would dial for us, unjudged
			DialContext:            dialer.DialContext,
			TLSClientConfig:        o.TLS,
			TLSHandshakeTimeout:    tlsTimeout,
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return n, nil
}

// String returns the masked URL.
func (n *Notifier) String() string { return n.target.masked() }

// Objection returns why every attempt will be blocked, as far as that shows
// without looking up the host's address; nil when it does not.
func (n *Notifier) Objection() error { return n.target.objection() }

// Notify implements [notify.Notifier].
func (n *Notifier) Notify(ctx context.Context, m notify.Message) notify.Result {
	if err := n.target.objection(); err != nil {
		return blocked(err.Error())
	}
	body, err := encode(m)
	if err != nil {
		return notify.Result{Outcome: notify.Permanent, Reason: wire.FailOther, Error: "event cannot be written as JSON"}
	}
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { written.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { written.Store(true) },
	})
	req, err := n.request(ctx, m.ID, body)
	if err != nil {
		return notify.Result{Outcome: notify.Permanent, Reason: wire.FailOther, Error: "request cannot be made"}
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return n.failure(err, written.Load())
	}
	defer resp.Body.Close()
	// The answer is known; reading on only lets a polite receiver finish.
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return judge(resp.StatusCode, resp.Header.Get("Retry-After"), time.Now())
}

func (n *Notifier) request(ctx context.Context, id string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.target.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Idempotency-Key", id)
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", stamp)
	if len(n.secrets) > 0 {
		req.Header.Set("Webhook-Signature", sign(n.secrets, id, stamp, body))
	}
	return req, nil
}

// sign returns one signature for each secret, separated by spaces.
func sign(secrets [][]byte, id, stamp string, body []byte) string {
	var out []byte
	for i, secret := range secrets {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(id + "." + stamp + "."))
		h.Write(body)
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(out, "v1,"...)
		out = base64.StdEncoding.AppendEncode(out, h.Sum(nil))
	}
	return string(out)
}

// encode returns the body: the same bytes for the same event.
func encode(m notify.Message) ([]byte, error) {
	e := m.Event
	if len(e.Value) > 0 { // JSON has no NaN; a warming indicator may say it
		finite := make(map[string]float64, len(e.Value))
		for name, v := range e.Value {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				finite[name] = v
			}
		}
		e.Value = finite
	}
	kind := wire.NotificationTriggered
	if m.Test {
		kind = wire.NotificationTest
	}
	return json.Marshal(wire.Notification{
		Type:      kind,
		Timestamp: time.UnixMilli(e.Time).UTC().Format("2006-01-02T15:04:05.000Z07:00"),
		Data:      wire.NotificationData{AlertEvent: wire.FromEvent(e, nil), Note: e.Note, Message: notify.Sentence(m)},
	})
}

// failure classifies an attempt that got no answer.
func (n *Notifier) failure(err error, written bool) notify.Result {
	if !written && (errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedPort) || errors.Is(err, ssrf.ErrProhibitedNetwork)) {
		return blocked("blocked: " + n.target.masked() + " leads to an address that is not public, or not to port 80 or 443; list the host to allow it")
	}
	var outer *url.Error
	if errors.As(err, &outer) { // its text shows the whole URL
		err = outer.Err
	}
	r := notify.Result{Outcome: notify.Unsent, Reason: wire.FailNetwork, Error: n.target.redact(describe(err))}
	if written {
		r.Outcome = notify.Ambiguous
	}
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		r.Reason = wire.FailTimeout
		if written {
			r.Error = "no answer in time"
		}
	} else if errors.Is(err, context.Canceled) {
		r.Reason, r.Error = wire.FailOther, "interrupted"
	}
	return r
}

func blocked(text string) notify.Result {
	return notify.Result{Outcome: notify.Permanent, Reason: wire.FailBlockedHost, Error: text}
}
