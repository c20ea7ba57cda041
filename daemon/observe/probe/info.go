package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Store answers what is asked of Redis.
type Store interface {
	// Info returns the text of INFO with these sections, or the default ones.
	Info(ctx context.Context, sections ...string) (string, error)
	Ping(ctx context.Context) error
	Lock(ctx context.Context) (Lock, error)
}

// Lock is a diagnosis of the scheduler's lock.
type Lock struct {
	State     string // one of the states of the diagnosis: held, free, …
	Holder    string
	Epoch     int64
	Remaining time.Duration // of the lease; negative for ever
	Members   int           // executors with a recent heartbeat
}

// Ask is a parsed source of kind redis: one command a line, of
//
//	INFO [section …]
//	PING
//	LOCK
type Ask struct {
	Info     bool
	Sections []string
	Ping     bool
	Lock     bool
}

// ParseAsk parses the text of a redis source.
func ParseAsk(text string) (Ask, error) {
	var a Ask
	for _, line := range statement(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch verb := strings.ToUpper(words[0]); {
		case verb == "PING" && len(words) == 1:
			a.Ping = true
		case verb == "LOCK" && len(words) == 1:
			a.Lock = true
		case verb == "INFO":
			if err := a.info(words[1:]); err != nil {
				return Ask{}, err
			}
		default:
			return Ask{}, fmt.Errorf("%.60q: want INFO with sections, PING or LOCK", line)
		}
	}
	if a.Info || a.Ping || a.Lock {
		return a, nil
	}
	return Ask{}, errors.New("nothing asked: want INFO with sections, PING or LOCK")
}

func (a *Ask) info(sections []string) error {
	a.Info = true
	for _, s := range sections {
		s = strings.ToLower(s)
		if len(s) > 32 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return fmt.Errorf("section %.40q of INFO is a word", s)
		}
		if !slices.Contains(a.Sections, s) {
			a.Sections = append(a.Sections, s)
		}
	}
	if len(a.Sections) > 16 {
		return errors.New("more than 16 sections of INFO")
	}
	return nil
}

// Redis asks the store. Fields: latency (seconds, of all commands), ping, every line
// of INFO by its name (used_memory, aof_last_write_status, db0.keys, …), and
// lock.state, lock.holder, lock.epoch, lock.remaining (seconds), lock.members.
type Redis struct {
	Limits
	Store Store
	Name  string // of the target in the result
}

// Do makes the commands one after the other. The first error ends it.
func (r Redis) Do(ctx context.Context, a Ask) []Result {
	return r.ask(ctx, []Target{{Name: r.Name}}, func(ctx context.Context, _ Target) (fields, error) {
		f := fields{}
		began := time.Now()
		err := r.commands(ctx, a, f)
		if err == nil {
			f["latency"] = Number(time.Since(began).Seconds())
		}
		return f, err
	})
}

func (r Redis) commands(ctx context.Context, a Ask, f fields) error {
	if a.Ping {
		err := r.Store.Ping(ctx)
		f["ping"] = Truth(err == nil)
		if err != nil {
			return fmt.Errorf("PING: %w", err)
		}
	}
	if a.Info {
		text, err := r.Store.Info(ctx, a.Sections...)
		if err != nil {
			return fmt.Errorf("INFO: %w", err)
		}
		if len(text) > maxBody {
			return fmt.Errorf("INFO: %w", errTooLarge)
		}
		parseInfo(f, text)
	}
	if a.Lock {
		l, err := r.Store.Lock(ctx)
		if err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		f["lock.state"], f["lock.holder"] = Text(l.State), Text(l.Holder)
		f["lock.epoch"], f["lock.members"] = Number(float64(l.Epoch)), Number(float64(l.Members))
		f["lock.remaining"] = Number(l.Remaining.Seconds())
	}
	return nil
}

// maxInfo is how many lines of INFO become fields.
const maxInfo = 1000

// parseInfo adds the lines of INFO: name:value, where a value of several
// (keys=1,expires=0) becomes one field each. A percentage is its number.
func parseInfo(f fields, text string) {
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "#") || !infoName(name) {
			continue
		}
		if n++; n > maxInfo {
			return
		}
		if strings.Contains(value, "=") {
			if several(f, name, value) {
				continue
			}
		}
		v := numberOrText(strings.TrimSuffix(value, "%"))
		if v.IsText {
			v = Text(value)
		}
		f[name] = v
	}
}

// several adds the parts of a value like keys=1,expires=0.
func several(f fields, name, value string) bool {
	parts := strings.Split(value, ",")
	if len(parts) > 16 {
		return false
	}
	for _, p := range parts {
		if key, _, ok := strings.Cut(p, "="); !ok || !infoName(key) {
			return false
		}
	}
	for _, p := range parts {
		key, v, _ := strings.Cut(p, "=")
		f[name+"."+key] = numberOrText(v)
	}
	return true
}

func infoName(s string) bool { return token(s) && s == strings.TrimSpace(s) }
