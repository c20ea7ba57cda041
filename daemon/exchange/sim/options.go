package sim

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options describe an exchange. The zero value of a field means what its comment
// says.
type Options struct {
	Addr string // where to listen; "127.0.0.1:0" when empty, which picks a free port

	Seed  uint64    // of the markets
	Speed float64   // virtual seconds in a real one, above 0 and up to 3,600; 0 means 1
	Start time.Time // virtual time at which the server starts; zero means the present

	Demo   bool           // kicks the prices, so that bands break soon (see the package comment)
	Replay []ReplaySource // candle files that take the place of symbols

	FramePeriod    time.Duration // real time between updates of an open candle, half of it for 1s; 0 means 2 s
	TradePeriod    time.Duration // real time within which trades are sent; 0 means 100 ms
	PingPeriod     time.Duration // real time between pings; 0 means 20 s
	PongTimeout    time.Duration // real time until a client without a pong is cut off; 0 means 1 min
	Life           time.Duration // real time that a connection lasts; 0 means 24 h
	ShutdownNotice time.Duration // real time before its end at which serverShutdown is sent; 0 means 10 min, at most a tenth of Life

	Limits Limits
	Log    *slog.Logger // required
}

// Limits are per client address, except those of a connection. Zero means the
// real exchange's figure, a negative number that there is no limit.
type Limits struct {
	Weight   int // of requests a minute; 6,000
	Connects int // attempts to connect within 5 minutes; 300
	Streams  int // of one connection; 1,024
	Messages int // from the client a second, on one connection, pings and pongs included; 5
}

// withDefaults returns the options with every field filled in, or what is wrong.
func (o Options) withDefaults() (Options, error) {
	if o.Log == nil {
		return o, errors.New("sim: no log")
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Speed == 0 {
		o.Speed = 1
	}
	if !(o.Speed > 0 && o.Speed <= 3600) {
		return o, fmt.Errorf("sim: speed %v: above 0, at most 3600", o.Speed)
	}
	if o.Start.IsZero() {
		o.Start = time.Now()
	}
	if ms := o.Start.UnixMilli(); ms < (firstDay+1)*dayMS || ms > maxFileTime-100*365*dayMS {
		return o, fmt.Errorf("sim: start %s: between 2000-01-02 and 2100", o.Start.UTC().Format(time.RFC3339))
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		usual time.Duration
	}{
		{"frame period", &o.FramePeriod, 2 * time.Second},
		{"trade period", &o.TradePeriod, 100 * time.Millisecond},
		{"ping period", &o.PingPeriod, 20 * time.Second},
		{"pong timeout", &o.PongTimeout, time.Minute},
		{"life", &o.Life, 24 * time.Hour},
		{"shutdown notice", &o.ShutdownNotice, 10 * time.Minute},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
		if *d.value < time.Millisecond {
			return o, fmt.Errorf("sim: %s %s: at least 1ms", d.name, *d.value)
		}
	}
	o.ShutdownNotice = min(o.ShutdownNotice, o.Life/10)
	for _, l := range []struct {
		value *int
		usual int
	}{{&o.Limits.Weight, 6000}, {&o.Limits.Connects, 300}, {&o.Limits.Streams, 1024}, {&o.Limits.Messages, 5}} {
		if *l.value == 0 {
			*l.value = l.usual
		}
	}
	return o, nil
}

// clock maps real time to virtual time.
type clock struct {
	base  time.Time // real, monotonic
	start int64     // virtual ms at base
	speed float64
}

// now returns the virtual time in ms.
func (c clock) now() int64 { return c.at(time.Now()) }

func (c clock) at(real time.Time) int64 {
	return c.start + int64(float64(real.Sub(c.base))*c.speed/1e6)
}

// real returns the first moment at which now is at least ms.
func (c clock) real(ms int64) time.Time {
	return c.base.Add(time.Duration(float64(ms-c.start)*1e6/c.speed) + time.Microsecond)
}
