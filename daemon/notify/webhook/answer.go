package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/notify"
)

// maxRetryAfter bounds what a receiver may ask for: a week.
const maxRetryAfter = 7 * 24 * time.Hour

// judge classifies an answer by its status.
func judge(status int, retryAfter string, now time.Time) notify.Result {
	if status >= 200 && status <= 299 {
		return notify.Result{Outcome: notify.Accepted, Status: status}
	}
	r := notify.Result{
		Status:     status,
		Error:      fmt.Sprintf("HTTP %d %s", status, http.StatusText(status)),
		RetryAfter: parseRetryAfter(retryAfter, now),
	}
	r.Error = strings.TrimSpace(r.Error)
	switch {
	case status == http.StatusTooManyRequests:
		r.Outcome, r.Reason = notify.Refused, wire.FailRateLimited
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		r.Outcome, r.Reason = notify.Refused, wire.FailHTTP4xx
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		r.Outcome, r.Reason = notify.Permanent, wire.FailAuth
	case status >= 400 && status <= 499:
		r.Outcome, r.Reason = notify.Permanent, wire.FailHTTP4xx
	case status == http.StatusServiceUnavailable && r.RetryAfter > 0:
		r.Outcome, r.Reason = notify.Refused, wire.FailHTTP5xx
	case status >= 500 && status <= 599:
		r.Outcome, r.Reason = notify.Ambiguous, wire.FailHTTP5xx
	case status >= 300 && status <= 399:
		r.Outcome, r.Reason = notify.Refused, wire.FailOther
		r.Error += ", and redirects are not followed"
	default:
		r.Outcome, r.Reason = notify.Ambiguous, wire.FailOther
	}
	return r
}

// parseRetryAfter reads seconds or an HTTP date; 0 for anything else and for the
// past.
func parseRetryAfter(s string, now time.Time) time.Duration {
	s = strings.TrimSpace(s)
	if secs, err := strconv.ParseInt(s, 10, 64); err == nil {
		if secs < 0 {
			return 0
		}
		return time.Duration(min(secs, int64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), maxRetryAfter)
}

// describe says in a few words what went wrong. It names no address: a name that
// leads to an internal one is not for the message to tell.
func describe(err error) string {
	var (
		dns   *net.DNSError
		errno syscall.Errno
		cert  *tls.CertificateVerificationError
		alert tls.AlertError
		plain tls.RecordHeaderError
		op    *net.OpError
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "host not found"
	case errors.As(err, &dns):
		return "name lookup failed"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &cert):
		return clean("certificate not accepted: " + cert.Err.Error())
	case errors.As(err, &alert):
		return clean("TLS refused: " + alert.Error())
	case errors.As(err, &plain):
		return "the receiver does not speak TLS"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before the answer"
	case errors.Is(err, context.DeadlineExceeded):
		return "no connection in time"
	case errors.As(err, &op) && op.Timeout():
		return "no connection in time"
	case errors.As(err, &op):
		return clean(op.Op + ": " + op.Err.Error())
	default:
		return clean(err.Error())
	}
}

// clean makes text that a receiver may have had a hand in safe to show.
func clean(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
