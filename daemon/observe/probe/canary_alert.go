package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/spark-ta/spark/core/wire"
)

// Canary is a parsed source of kind canary: words of
//
//	stream   the samples of [StreamCanary]
//	alert    an alert is created, tested, read and deleted
//	notify   a test notification goes to every channel
type Canary struct {
	Stream, Alert, Notify bool
}

// ParseCanary parses the text of a canary source.
func ParseCanary(text string) (Canary, error) {
	var c Canary
	for _, w := range strings.Fields(strings.Join(statement(text), " ")) {
		switch w {
		case "stream":
			c.Stream = true
		case "alert":
			c.Alert = true
		case "notify":
			c.Notify = true
		default:
			return Canary{}, fmt.Errorf("%.40q: want stream, alert or notify", w)
		}
	}
	if c == (Canary{}) {
		return Canary{}, errors.New("nothing asked: want stream, alert or notify")
	}
	if c.Stream && (c.Alert || c.Notify) {
		return Canary{}, errors.New("stream stands alone: its samples are of gateways, the others of executors")
	}
	return c, nil
}

// canaryNote begins the note of every alert of a canary; a unique part follows.
const canaryNote = "hypercare canary "

// The canary's alert: a price that is never reached, so that it cannot fire even if
// everything goes wrong between creation and deletion.
const (
	canarySymbol    = "BTCUSDT"
	canaryTimeframe = "1m"
	canaryLevel     = 1e15
)

// leftBehind is how old a canary's alert must be to be taken for one that a crash
// left behind, and not for that of another observer at work.
const leftBehind = 10 * time.Minute

// AlertCanary walks the way of a user's alert on an executor.
type AlertCanary struct {
	Limits
	Client *http.Client
	Token  string // of the API; empty when none is set
}

// Walk asks each executor. Fields of an alert: created, tested, read, deleted, ok
// (all of them), latency (seconds from the request to create until it was read back),
// leftovers (alerts of earlier canaries that were deleted). Fields of a notification:
// notified (every channel accepted), sent, and channel.<name>.
//
// The alert is deleted whatever happens, ctx's end included; that may take 5 s more.
// What a crash leaves behind is recognised by its note and deleted by the next one.
func (a AlertCanary) Walk(ctx context.Context, c Canary, executors []Target) []Result {
	return a.ask(ctx, executors, func(ctx context.Context, t Target) (fields, error) {
		f := fields{}
		var errs []error
		if c.Alert {
			errs = append(errs, a.alert(ctx, t.URL, f))
		}
		if c.Notify {
			errs = append(errs, a.notify(ctx, t.URL, f))
		}
		return f, errors.Join(errs...)
	})
}

func (a AlertCanary) alert(ctx context.Context, base string, f fields) (err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	note := canaryNote + id.String()
	for _, name := range []string{"ok", "created", "tested", "read", "deleted"} {
		f[name] = Number(0)
	}
	var made wire.AlertCreated
	defer func() {
		// Without ctx's end: that it ended is no reason to leave an alert behind.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		gone, left, cleanErr := a.tidy(clean, base, note, made)
		f["deleted"], f["leftovers"] = Truth(gone), Number(float64(left))
		f["ok"] = Truth(err == nil && cleanErr == nil && gone)
		err = errors.Join(err, cleanErr)
	}()

	began := time.Now()
	err = a.call(ctx, base, wire.PathAlertsCreate, wire.CreateAlert{
		Symbol: canarySymbol, Timeframe: canaryTimeframe, Type: "price", Note: note,
		Params: map[string]any{"op": ">", "level": canaryLevel},
	}, &made)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if made.ID == "" {
		return errors.New("create: answered without an id")
	}
	f["created"] = Number(1)

	var tested wire.AlertTested
	if err := a.call(ctx, base, wire.PathAlertsTest, wire.AlertID{ID: made.ID}, &tested); err != nil {
		return fmt.Errorf("test: %w", err)
	}
	if tested.Triggered {
		return fmt.Errorf("test: says that a price over %g was reached", canaryLevel)
	}
	f["tested"] = Number(1)

	var got wire.AlertGot
	if err := a.call(ctx, base, wire.PathAlertsGet+"?"+url.Values{"id": {made.ID}}.Encode(), nil, &got); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if got.ID != made.ID || got.Note != note || got.Symbol != canarySymbol || got.Type != "price" {
		return errors.New("read: is not the alert that was created")
	}
	f["read"], f["latency"] = Number(1), Number(time.Since(began).Seconds())
	return nil
}

// tidy deletes this canary's alert and those that crashes left behind. gone is true
// when no alert of this canary is left. Without an id the create may have been made
// nevertheless, its answer lost; the list tells.
func (a AlertCanary) tidy(ctx context.Context, base, note string, made wire.AlertCreated) (gone bool, left int, err error) {
	if made.ID != "" {
		if err := a.remove(ctx, base, made.ID); err != nil {
			return false, 0, err
		}
	}
	query := url.Values{"symbol": {canarySymbol}, "type": {"price"}, "limit": {"1000"}}
	newest := time.Now().UnixMilli()
	if made.Alert.CreatedAt > 0 {
		newest = made.Alert.CreatedAt // the executor's clock, by which ages are judged
	}
	for range 10 { // 10,000 alerts of one symbol; a later canary goes on
		var page wire.AlertList
		if err := a.call(ctx, base, wire.PathAlertsList+"?"+query.Encode(), nil, &page); err != nil {
			return made.ID != "", left, fmt.Errorf("look for leftovers: %w", err)
		}
		for _, al := range page.Items {
			mine := al.Note == note
			old := strings.HasPrefix(al.Note, canaryNote) && newest-al.CreatedAt > leftBehind.Milliseconds()
			if !mine && !old || al.ID == made.ID {
				continue
			}
			if err := a.remove(ctx, base, al.ID); err != nil {
				return made.ID != "", left, err
			}
			if old {
				left++
			}
		}
		if page.NextCursor == "" || len(page.Items) == 0 {
			break
		}
		// The cursor is an alert that may just have been deleted: begin again then.
		if strings.HasPrefix(page.Items[len(page.Items)-1].Note, canaryNote) {
			query.Del("cursor")
			continue
		}
		query.Set("cursor", page.NextCursor)
	}
	return true, left, nil
}

// remove deletes an alert; one that is not there is deleted.
func (a AlertCanary) remove(ctx context.Context, base, id string) error {
	err := a.call(ctx, base, wire.PathAlertsDelete, wire.AlertID{ID: id}, new(wire.Done))
	var refused *refused
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}

// notified is what the contract says of an answer of [wire.PathNotifyTest].
type notified struct {
	OK      bool `json:"ok"`
	Sent    int  `json:"sent"`
	Results []struct {
		Channel string `json:"channel"`
		OK      bool   `json:"ok"`
		Error   string `json:"error"`
	} `json:"results"`
}

func (a AlertCanary) notify(ctx context.Context, base string, f fields) error {
	f["notified"] = Number(0)
	var out notified
	err := a.call(ctx, base, wire.PathNotifyTest, map[string]string{"message": "hypercare canary"}, &out)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	f["notified"], f["sent"] = Truth(out.OK), Number(float64(out.Sent))
	for _, r := range out.Results[:min(len(out.Results), 32)] {
		f["channel."+step(r.Channel)] = Truth(r.OK)
		if !r.OK {
			err = errors.Join(err, fmt.Errorf("notify: %.40s: %.200s", r.Channel, r.Error))
		}
	}
	return err
}

// refused is an answer other than 200.
type refused struct {
	status int
	error
}

// call sends in as JSON, or GETs when in is nil, and reads the answer into out.
func (a AlertCanary) call(ctx context.Context, base, path string, in, out any) error {
	method, body := http.MethodGet, []byte(nil)
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return bare(err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.Token != "" {
		req.Header.Set("Authorization", "Bearer "+a.Token)
	}
	client := *a.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return bare(err)
	}
	defer resp.Body.Close()
	text, err := readAll(resp.Body, 4*maxBody)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &refused{resp.StatusCode, refusal(resp.StatusCode, text)}
	}
	if err := json.Unmarshal(text, out); err != nil {
		return errors.New("the answer is not what the contract says")
	}
	return nil
}
