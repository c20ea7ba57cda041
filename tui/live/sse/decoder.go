// Package sse reads server-sent events and keeps at it.
//
// [Decoder] is the parser of the HTML standard ("Interpreting an event stream"),
// byte for byte: a byte order mark at the start, lines that end in CR, LF or
// both, fields without a colon, an id with a NUL that is ignored, a retry that is
// digits or nothing, an event without data that is not dispatched, and the piece
// of an event that a cut connection leaves behind, which is discarded.
//
// [Source] is one stream that comes back. What libraries get wrong and operators
// need is spelled out on its Run method: a clean end reconnects, 503 and 429 are
// tried again when the server says so, a retry field persists, silence is noticed
// although the connection stands.
package sse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

// ErrTooLong is returned by [Decoder.Next] for a line or an event over MaxEvent.
var ErrTooLong = errors.New("event stream: event over 1 MiB")

// MaxEvent is the most bytes of data in one event, and of one line.
const MaxEvent = 1 << 20

// Event is one event as dispatched.
type Event struct {
	Name string // "message" unless the stream named it
	Data string
	ID   string // the last id of the stream up to and including this event
}

// Decoder parses an event stream. Create it with [NewDecoder].
type Decoder struct {
	// Retry is the reconnection time that the stream last asked for, and 0
	// before it did.
	Retry time.Duration

	r       *bufio.Reader
	started bool
	skipLF  bool // the previous line ended in CR; an LF that follows belongs to it
	line    []byte
	data    []byte
	name    string
	id      string // of the event under construction
	lastID  string // of the events dispatched or ended
}

// NewDecoder returns a decoder that continues after the event lastID.
func NewDecoder(r io.Reader, lastID string) *Decoder {
	return &Decoder{r: bufio.NewReaderSize(r, 16<<10), id: lastID, lastID: lastID}
}

// LastID is the id to resume from.
func (d *Decoder) LastID() string { return d.lastID }

// Next returns the next event. At the end of the input it returns io.EOF, and
// whatever event was not finished by an empty line is gone, as the standard asks.
func (d *Decoder) Next() (Event, error) {
	for {
		line, err := d.readLine()
		if err != nil {
			return Event{}, err
		}
		if len(line) > 0 {
			if err := d.field(line); err != nil {
				return Event{}, err
			}
			continue
		}
		if e, ok := d.dispatch(); ok {
			return e, nil
		}
	}
}

// dispatch ends the event under construction. Its id counts even when it has no
// data and is not handed out.
func (d *Decoder) dispatch() (Event, bool) {
	d.lastID = d.id
	name, data := d.name, d.data
	d.name, d.data = "", d.data[:0]
	if len(data) == 0 {
		return Event{}, false
	}
	if name == "" {
		name = "message"
	}
	return Event{Name: name, Data: string(data[:len(data)-1]), ID: d.lastID}, true
}

func (d *Decoder) field(line []byte) error {
	name, value, found := bytes.Cut(line, []byte(":"))
	if found && len(name) == 0 {
		return nil // a comment
	}
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		d.name = string(value)
	case "data":
		if len(d.data)+len(value) > MaxEvent {
			return ErrTooLong
		}
		d.data = append(append(d.data, value...), '\n')
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			d.id = string(value)
		}
	case "retry":
		if ms, ok := digits(value); ok {
			d.Retry = ms
		}
	}
	return nil
}

// digits reads ASCII digits only; strconv would take a sign too.
func digits(b []byte) (time.Duration, bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	ms, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || ms > int64(24*time.Hour/time.Millisecond) {
		return 0, false
	}
	return time.Duration(ms) * time.Millisecond, true
}

// readLine returns the next line without its end. It never waits for the byte
// after a CR, so an event is dispatched as soon as it is complete.
func (d *Decoder) readLine() ([]byte, error) {
	d.line = d.line[:0]
	for {
		c, err := d.r.ReadByte()
		if err != nil {
			return nil, err
		}
		if d.skipLF {
			d.skipLF = false
			if c == '\n' {
				continue
			}
		}
		switch c {
		case '\r':
			d.skipLF = true
			return d.endLine(), nil
		case '\n':
			return d.endLine(), nil
		}
		if len(d.line) > MaxEvent {
			return nil, ErrTooLong
		}
		d.line = append(d.line, c)
	}
}

func (d *Decoder) endLine() []byte {
	line := d.line
	if !d.started {
		d.started = true
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	return line
}
