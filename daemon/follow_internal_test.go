package daemon

import (
	"fmt"
	"strings"
	"testing"
)

func TestEventsAreReadAsTheyWereSent(t *testing.T) {
	var got []string
	stream := "retry: 2000\n\n: ping\n\nid: 7\nevent: leader\ndata: {\"a\":1}\n\nevent: log\ndata: {\ndata: }\n\nid: 9\n\ndata: without a name\n\n"
	if err := readEvents(strings.NewReader(stream), func(id, name string, data []byte) { got = append(got, fmt.Sprintf("%s|%s|%s", id, name, data)) }); err != nil {
		t.Fatal(err)
	}
	// A comment is a sign of life; what has no data is no event.
	want := "[|| 7|leader|{\"a\":1} |log|{\n} ||without a name]"
	if fmt.Sprint(got) != want {
		t.Errorf("events %q, want %q", fmt.Sprint(got), want)
	}
	if err := readEvents(strings.NewReader("data: "+strings.Repeat("x", maxEvent+1)+"\n\n"), func(string, string, []byte) {}); err == nil {
		t.Error("a line without end is read for ever")
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add("id: 1\nevent: a\ndata: b\n\n")
	f.Add(": x\r\n\r\ndata\n\n:")
	f.Fuzz(func(t *testing.T, stream string) {
		total := 0
		_ = readEvents(strings.NewReader(stream), func(_, _ string, data []byte) { total += len(data) })
		if total > len(stream) {
			t.Errorf("%d bytes of data out of %d", total, len(stream))
		}
	})
}
