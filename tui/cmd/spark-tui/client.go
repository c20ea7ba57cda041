package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live"
)

const (
	askTimeout    = 15 * time.Second
	reportTimeout = 60 * time.Second // it is made from the whole journal
	maxAnswer     = 64 << 20
)

// observer is the observer that a command talks to.
type observer struct {
	base  string
	token string // of operations; sent with changing calls alone
	http  *http.Client
}

// refusal is an answer of the observer other than 200.
type refusal struct {
	status int
	said   wire.Error
}

func (r refusal) Error() string {
	if r.said.Error == "" {
		return fmt.Sprintf("the observer answers HTTP %d", r.status)
	}
	if r.said.Field != "" {
		return fmt.Sprintf("refused: %s (%s)", r.said.Error, r.said.Field)
	}
	return "refused: " + r.said.Error
}

// operatorFlags are those of commands that change something at the observer.
func (p *program) operatorFlags(cmd *cobra.Command) {
	p.commonFlags(cmd)
	p.tokenFlag(cmd)
}

func (p *program) tokenFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.tokenFile, "token-file", "", "file that holds the operations token ("+wire.EnvOpsToken+" otherwise; none is needed on loopback unless the daemon has one)")
}

func jsonFlag(cmd *cobra.Command, v *bool) {
	cmd.Flags().BoolVar(v, "json", false, "print JSON")
}

// observer returns the one that the flags name, without asking it.
func (p *program) observer() (*observer, error) {
	base, err := p.observerURL()
	if err != nil {
		return nil, err
	}
	token, err := p.token()
	if err != nil {
		return nil, err
	}
	return &observer{base: base, token: token, http: live.NewClient()}, nil
}

// token is the operations token, from its file or its variable; may be empty.
func (p *program) token() (string, error) {
	name, token := wire.EnvOpsToken, p.getenv(wire.EnvOpsToken)
	if p.tokenFile != "" {
		text, err := os.ReadFile(p.tokenFile)
		if err != nil {
			return "", misuse("--token-file: %v", err)
		}
		if name, token = "--token-file", string(text); strings.TrimSpace(token) == "" {
			return "", misuse("--token-file %s is empty", p.tokenFile)
		}
	}
	token = strings.TrimSpace(token)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", misuse("%s: a token is one word of printable ASCII", name) // not repeated
	}
	return token, nil
}

// get reads the JSON answer of a call that changes nothing.
func (o *observer) get(ctx context.Context, path string, out any) error {
	body, err := o.ask(ctx, http.MethodGet, path, nil, askTimeout)
	if err != nil {
		return err
	}
	return parse(path, body, out)
}

// post makes a changing call and reads its JSON answer. It is never repeated: what
// became of one that timed out is not known.
func (o *observer) post(ctx context.Context, path string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	body, err := o.ask(ctx, http.MethodPost, path, text, askTimeout)
	if err != nil {
		return err
	}
	return parse(path, body, out)
}

func parse(path string, body []byte, out any) error {
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("answer of %s unreadable: %w", path, err)
	}
	return nil
}

// ask returns the body of a 200. Other answers are a [refusal]; trouble on the way
// has the exit code of an observer that cannot be reached.
func (o *observer) ask(ctx context.Context, method, path string, body []byte, timeout time.Duration) ([]byte, error) {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(bounded, method, o.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/json")
		if o.token != "" {
			req.Header.Set("Authorization", "Bearer "+o.token)
		}
	}
	status, answer, err := o.exchange(req)
	doubt := ""
	if method != http.MethodGet {
		doubt = ": whether it was done is not known"
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, exit{exitInterrupted, "interrupted" + doubt}
	case errors.Is(err, context.DeadlineExceeded):
		return nil, exit{exitUnreachable, fmt.Sprintf("the observer at %s gave no answer within %v%s", o.base, timeout, doubt)}
	case err != nil:
		return nil, exit{exitUnreachable, fmt.Sprintf("the observer at %s cannot be asked: %v", o.base, err)}
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("answer of %s is longer than %d MiB", path, maxAnswer>>20)
	case status != http.StatusOK:
		return nil, o.refused(status, path, answer)
	}
	return answer, nil
}

func (o *observer) exchange(req *http.Request) (status int, body []byte, err error) {
	res, err := o.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the address is printed beside it
		}
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	return res.StatusCode, body, err
}

// refused reads why a call was refused, and says what helps.
func (o *observer) refused(status int, path string, body []byte) error {
	r := refusal{status: status}
	_ = json.Unmarshal(body, &r.said) // what is no JSON has nothing to say
	path, _, _ = strings.Cut(path, "?")
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fmt.Errorf("%w: give the operations token in %s or --token-file", r, wire.EnvOpsToken)
	case status == http.StatusNotFound && r.said.Error == "":
		return fmt.Errorf("%w: nothing is served at %s%s", r, o.base, path)
	}
	return r
}

// place fills the names in braces of a path of the contract.
func place(pattern, id, verb string) string {
	return strings.NewReplacer("{id}", url.PathEscape(id), "{verb}", verb).Replace(pattern)
}

// printJSON writes v as scripts read it.
func (p *program) printJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(append(plainJSON(text), '\n'))
	return err
}

// plainJSON escapes what a terminal would obey or hide and JSON does not: C1
// controls, bidi controls and the like stand only in strings, and mean the same
// there when they are escaped.
func plainJSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r < 0x7f || unicode.IsPrint(r) && r != utf8.RuneError:
			out = append(out, text[i:i+size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, "\\u%04x\\u%04x", high, low)
		default:
			out = fmt.Appendf(out, "\\u%04x", r)
		}
		i += size
	}
	return out
}
