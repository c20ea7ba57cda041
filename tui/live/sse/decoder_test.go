package sse_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/tui/live/sse"
)

func decode(r io.Reader, lastID string) (events []sse.Event, d *sse.Decoder, err error) {
	d = sse.NewDecoder(r, lastID)
	for {
		e, err := d.Next()
		if err != nil {
			return events, d, err
		}
		events = append(events, e)
	}
}

// The vectors follow the EventSource tests of the web platform.
func TestDecoderFollowsTheStandard(t *testing.T) {
	type events = []sse.Event
	one := func(data string) events { return events{{Name: "message", Data: data}} }
	tests := []struct {
		name, in string
		want     events
	}{
		{"one line", "data: x\n\n", one("x")},
		{"two lines", "data: x\ndata: y\n\n", one("x\ny")},
		{"no space after the colon", "data:x\n\n", one("x")},
		{"only one space goes", "data:  x\n\n", one(" x")},
		{"a tab stays", "data:\tx\n\n", one("\tx")},
		{"field without a colon", "data\n\n", one("")},
		{"two empty fields", "data\ndata\n\n", one("\n")},
		{"empty data before others", "data:\ndata:x\ndata\n\n", one("\nx\n")},
		{"CR", "data: x\r\rdata: y\r\r", append(one("x"), one("y")...)},
		{"CRLF", "data: x\r\n\r\ndata: y\r\n\r\n", append(one("x"), one("y")...)},
		{"mixed ends", "data: x\r\ndata: y\n\rdata: z\n\n", append(one("x\ny"), one("z")...)},
		{"byte order mark", "\xef\xbb\xbfdata: x\n\n", one("x")},
		{"second byte order mark is a field's name", "\xef\xbb\xbf\xef\xbb\xbfdata: x\n\ndata: y\n\n", one("y")},
		{"byte order mark later", "data: x\n\n\xef\xbb\xbfdata: y\n\n", one("x")},
		{"comments", ": a\ndata: x\n:\n: b\n\n", one("x")},
		{"unknown fields", "foo: 1\ndata: x\nDATA: y\n data: z\n\n", one("x")},
		{"the field's name is exact", "data : x\n\n", nil},
		{"name", "event: a\ndata: x\n\n", events{{Name: "a", Data: "x"}}},
		{"name only for one event", "event: a\ndata: x\n\ndata: y\n\n", events{{Name: "a", Data: "x"}, {Name: "message", Data: "y"}}},
		{"empty name", "event:\ndata: x\n\n", one("x")},
		{"name without data is dropped", "event: a\n\ndata: x\n\n", one("x")},
		{"id stays", "id: 1\ndata: x\n\ndata: y\n\n", events{{Name: "message", Data: "x", ID: "1"}, {Name: "message", Data: "y", ID: "1"}}},
		{"id is taken back", "id: 1\ndata: x\n\nid\ndata: y\n\n", events{{Name: "message", Data: "x", ID: "1"}, {Name: "message", Data: "y"}}},
		{"id without data counts", "id: 1\n\ndata: x\n\n", events{{Name: "message", Data: "x", ID: "1"}}},
		{"id with NUL does not", "id: 1\x002\ndata: x\n\n", one("x")},
		{"NUL in data stays", "data: x\x00\n\n", one("x\x00")},
		{"unfinished", "data: x\n\ndata: y\n", one("x")},
		{"unfinished line", "data: x\n\ndata: y", one("x")},
		{"colons in data", "data:a:b:c\n\n", one("a:b:c")},
		{"empty", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once":      strings.NewReader(tt.in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tt.in)),
			} {
				got, _, err := decode(r, "")
				if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(err, io.EOF) {
					t.Errorf("%s: Decode(%q) ended with %v, (-want +got):\n%s", name, tt.in, err, diff)
				}
			}
		})
	}
}

func TestDecoderReadsRetry(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"retry: 300\n": 300 * time.Millisecond, "retry:0\n": 0, "retry: 1e3\n": 0, "retry: -1\n": 0, "retry: +5\n": 0, "retry\n": 0,
		"retry: 100\nretry: x\n": 100 * time.Millisecond, "retry: 99999999999999999999\n": 0,
	} {
		_, d, _ := decode(strings.NewReader(in), "")
		if d.Retry != want {
			t.Errorf("after %q Retry = %v, want %v", in, d.Retry, want)
		}
	}
}

func TestDecoderKeepsTheIDOfTheLastWholeEvent(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "start",
		"data: x\n\n":                   "start",
		"id: 2\ndata: x\n\nid: 3\ndata": "2",
		"id: 2\n":                       "start",
		"id: 2\n\n":                     "2",
		"id:\n\n":                       "",
	} {
		_, d, _ := decode(strings.NewReader(in), "start")
		if d.LastID() != want {
			t.Errorf("after %q LastID = %q, want %q", in, d.LastID(), want)
		}
	}
}

func TestDecoderDoesNotWaitForTheByteAfterCR(t *testing.T) {
	r, w := io.Pipe()
	go func() { _, _ = w.Write([]byte("data: x\r\r")) }()
	e, err := sse.NewDecoder(r, "").Next()
	if err != nil || e.Data != "x" {
		t.Errorf("Next = %+v, %v, want x while the stream stays open", e, err)
	}
}

func TestDecoderBoundsAnEvent(t *testing.T) {
	long := strings.Repeat("x", sse.MaxEvent/2)
	for name, in := range map[string]string{
		"line":  "data: " + long + long + long + "\n\n",
		"event": strings.Repeat("data: "+long+"\n", 3) + "\n",
	} {
		if _, _, err := decode(strings.NewReader(in), ""); !errors.Is(err, sse.ErrTooLong) {
			t.Errorf("%s over the limit: %v, want ErrTooLong", name, err)
		}
	}
}

// FuzzDecoder holds the decoder to a second, plain implementation of the standard
// that works on the whole text at once.
func FuzzDecoder(f *testing.F) {
	for _, s := range []string{
		"data: x\n\n", "\xef\xbb\xbfid: 1\rdata\r\n\r\nevent: a\ndata: b\n\n", ":\n\nretry: 5\n\ndata:a\n", "id: \x00\n\n", "data\r\rdata\n\r",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<16 {
			return
		}
		got, _, _ := decode(bytes.NewReader(in), "")
		if diff := cmp.Diff(plain(string(in)), got); diff != "" {
			t.Errorf("Decode(%q) (-plain +got):\n%s", in, diff)
		}
	})
}

func plain(text string) []sse.Event {
	text = strings.TrimPrefix(text, "\xef\xbb\xbf")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	var events []sse.Event
	id, name := "", ""
	var data []string
	lines := strings.Split(text, "\n")
	for _, line := range lines[:len(lines)-1] {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if data != nil {
				e := sse.Event{Name: name, Data: strings.Join(data, "\n"), ID: id}
				if name == "" {
					e.Name = "message"
				}
				events = append(events, e)
			}
			name, data = "", nil
		case field == "data":
			data = append(data, value)
		case field == "event":
			name = value
		case field == "id" && !strings.Contains(value, "\x00"):
			id = value
		}
	}
	return events
}

func BenchmarkDecoder(b *testing.B) {
	frame := "id: 1795489062893\ndata: {\"type\":\"kline\",\"symbol\":\"BTCUSDT\",\"timeframe\":\"1m\",\"data\":{\"t\":1,\"o\":1,\"h\":1,\"l\":1,\"c\":1,\"v\":1,\"x\":false}}\n\n"
	in := strings.Repeat(frame, 1000)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		d := sse.NewDecoder(strings.NewReader(in), "")
		for {
			if _, err := d.Next(); err != nil {
				break
			}
		}
	}
}
