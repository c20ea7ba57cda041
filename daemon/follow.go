package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/event"
)

// The observer's stream of events is that of the whole fleet: it follows what each
// other instance says of itself, and adds what it says itself. Instances answer with
// their own events alone when asked with scope=instance, so that two observers do not
// tell each other the same for ever.

const (
	followEvery = 5 * time.Second  // between looks at who is there, and tries
	silentAfter = 40 * time.Second // an instance says something every 15 s
	maxEvent    = 1 << 20          // bytes of one line
)

// runFollow keeps one follower for each other instance until ctx ends.
func (h *house) runFollow(ctx context.Context) error {
	client, err := h.insideClient()
	if err != nil {
		return err
	}
	client.Timeout = 0 // a stream does not end
	followed := map[string]context.CancelFunc{}
	ended := make(chan struct{}, 1) // one for each follower that is done
	running := 0
	defer func() {
		for _, stop := range followed {
			stop()
		}
		for ; running > 0; running-- {
			<-ended
		}
	}()
	running++
	go func() { h.copyOwn(ctx); ended <- struct{}{} }()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		there := map[string]string{}
		for _, i := range h.members(ctx) {
			if i.ID != h.id && i.Up {
				there[i.ID] = strings.TrimSuffix(i.MetricsURL, wire.PathMetrics)
			}
		}
		for id, stop := range followed {
			if there[id] == "" {
				stop()
				delete(followed, id)
			}
		}
		for id, url := range there {
			if followed[id] == nil {
				one, stop := context.WithCancel(ctx)
				followed[id] = stop
				running++
				go func() { h.followOne(one, client, url); ended <- struct{}{} }()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ended:
			running--
		case <-tick.C:
		}
	}
}

// copyOwn adds what this instance says.
func (h *house) copyOwn(ctx context.Context) {
	seq := int64(0) // from the first: what happened before this part began, too
	for ctx.Err() == nil {
		events, _ := h.events.Since(seq)
		for _, e := range events {
			seq = e.Seq
			h.fleetEvents.Append(e.Name, e.Data)
		}
		if len(events) == 0 && h.events.Wait(ctx, seq) != nil {
			return
		}
	}
}

// followOne follows an instance and, when it is lost, goes on after the last event
// that came.
func (h *house) followOne(ctx context.Context, client *http.Client, url string) {
	last := ""
	for {
		if err := h.followOnce(ctx, client, url, &last); err != nil && ctx.Err() == nil {
			h.log.Debug("events of an instance were lost", "url", url, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(followEvery):
		}
	}
}

func (h *house) followOnce(ctx context.Context, client *http.Client, url string, last *string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+wire.PathEvents+"?scope=instance", nil)
	if err != nil {
		return err
	}
	if *last != "" {
		req.Header.Set(wire.HeaderLastEventID, *last)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	quiet := time.AfterFunc(silentAfter, cancel)
	defer quiet.Stop()
	return readEvents(resp.Body, func(id, name string, data []byte) {
		quiet.Reset(silentAfter)
		if id != "" {
			*last = id
		}
		if name != "" && json.Valid(data) {
			h.fleetEvents.Append(name, json.RawMessage(data))
		}
	})
}

// readEvents reads server-sent events. took is called for each, and with no name for
// a comment, which is a sign of life.
func readEvents(r io.Reader, took func(id, name string, data []byte)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxEvent)
	var id, name string
	var data []byte
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if len(data) > 0 {
				took(id, name, data)
			}
			id, name, data = "", "", nil
		case field == "":
			took("", "", nil)
		case field == "id":
			id = value
		case field == "event":
			name = value
		case field == "data" && len(data)+len(value) <= maxEvent:
			if len(data) > 0 {
				data = append(data, '\n')
			}
			data = append(data, value...)
		}
	}
	return lines.Err()
}

// newEvents is the log of a process's own or its fleet's events.
func newEvents(began time.Time) *event.Log { return event.NewLog(keptEvents, began.UnixMilli()) }
