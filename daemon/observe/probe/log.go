package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// Records keeps log records. complete is false when some of that time may be missing:
// the log does not reach back so far, or has holes.
type Records interface {
	Records(ctx context.Context, t Target, since time.Time) (records []wire.LogRecord, complete bool, err error)
}

// Log counts records.
type Log struct {
	Limits
	From Records
}

// Count counts each target's records from since (included) to until (excluded) that
// match. Fields: count, seen (records looked at), complete (0 when the log does not
// cover the window: the count is then a lower bound), and of the matches first, last
// (excerpts), first_time and last_time (Unix seconds).
func (l Log) Count(ctx context.Context, m Match, since, until time.Time, targets []Target) []Result {
	return l.ask(ctx, targets, func(ctx context.Context, t Target) (fields, error) {
		records, complete, err := l.From.Records(ctx, t, since)
		if err != nil {
			return nil, err
		}
		return count(m, records, complete, since.UnixMilli(), until.UnixMilli()), nil
	})
}

func count(m Match, records []wire.LogRecord, complete bool, since, until int64) fields {
	var first, last *wire.LogRecord
	n, seen := 0, 0
	for i := range records {
		r := &records[i]
		if r.Time < since || r.Time >= until {
			continue
		}
		seen++
		if !m.Matches(*r) {
			continue
		}
		n++
		if first == nil || r.Time < first.Time {
			first = r
		}
		if last == nil || r.Time >= last.Time {
			last = r
		}
	}
	f := fields{"count": Number(float64(n)), "seen": Number(float64(seen)), "complete": Truth(complete)}
	if n > 0 {
		f["first"], f["last"] = Text(excerpt(*first)), Text(excerpt(*last))
		f["first_time"], f["last_time"] = Number(float64(first.Time)/1000), Number(float64(last.Time)/1000)
	}
	return f
}

// excerpt writes a record as one line.
func excerpt(r wire.LogRecord) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", time.UnixMilli(r.Time).UTC().Format("2006-01-02T15:04:05Z"), r.Level, r.Message)
	for _, k := range slices.Sorted(maps.Keys(r.Attrs)) {
		fmt.Fprintf(&b, " %s=%s", k, r.Attrs[k])
	}
	return b.String()
}

// maxLogs is how much of an answer of [wire.PathLogs] is read, in bytes: what an
// instance keeps is a few hundred kilobytes.
const maxLogs = 16 << 20

// Instances reads the records that instances keep, from [wire.PathLogs].
type Instances struct {
	Client *http.Client
	Token  string // of operations; empty for instances on loopback
}

// Records returns what t keeps. It is complete when the oldest record is from before
// since, or is the first that the process ever wrote: one that began later has
// nothing older that could be missing. t.URL is the base of any of its ports.
func (i Instances) Records(ctx context.Context, t Target, since time.Time) (records []wire.LogRecord, complete bool, err error) {
	client := *i.Client
	client.CheckRedirect = sameHost
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.URL+wire.PathLogs, nil)
	if err != nil {
		return nil, false, bare(err)
	}
	if i.Token != "" {
		req.Header.Set("Authorization", "Bearer "+i.Token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, false, bare(err)
	}
	defer resp.Body.Close()
	body, err := readAll(resp.Body, maxLogs)
	if err != nil {
		return nil, false, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, false, refusal(resp.StatusCode, body)
	}
	var logs wire.Logs
	if err := json.Unmarshal(body, &logs); err != nil || !logs.OK {
		return nil, false, fmt.Errorf("answer of %s is not a log", wire.PathLogs)
	}
	return logs.Records, reaches(logs.Records, t.Started, since.UnixMilli()), nil
}

// refusal is the error of an answer other than 200, with the server's own words.
func refusal(status int, body []byte) error {
	var e wire.Error
	if json.Unmarshal(body, &e) == nil && e.Error != "" {
		return fmt.Errorf("status %d: %s", status, e.Error)
	}
	return fmt.Errorf("status %d", status)
}

// reaches reports whether the kept records, oldest first, cover the time from since,
// ms. The numbers of a process's records follow the time of its start (daemon/event).
func reaches(records []wire.LogRecord, started, since int64) bool {
	if len(records) == 0 {
		return false
	}
	return records[0].Time <= since || started != 0 && records[0].Seq == started+1
}
