package embedded

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// fileOf returns a journal's contents: one frame for each list of records.
func fileOf(frames ...[][]string) []byte {
	b := []byte(journalHead)
	for i, records := range frames {
		start := len(b)
		b = append(b, make([]byte, frameHead)...)
		for _, args := range records {
			b = appendRecord(b, int64(i), args)
		}
		sealFrame(b[start:], int64(start))
	}
	return b
}

func read(data []byte) (got []string, end int, err error) {
	end, err = readFrames(data, journalHead, func(ms int64, args []string) error {
		got = append(got, fmt.Sprint(ms, args))
		return nil
	})
	return got, end, err
}

func TestATornEndIsToldFromDamage(t *testing.T) {
	data := fileOf([][]string{{"SET", "a", "1"}, {"SET", "b", ""}}, [][]string{{"DEL", "a"}}, [][]string{{"SET", "c", "\x00"}})
	all, end, err := read(data)
	if err != nil || end != len(data) || len(all) != 4 {
		t.Fatalf("read = %q, %d, %v", all, end, err)
	}
	last := len(fileOf([][]string{{"SET", "a", "1"}, {"SET", "b", ""}}, [][]string{{"DEL", "a"}}))
	for cut := last; cut < len(data); cut++ {
		got, end, err := read(data[:cut])
		wantErr := errTorn
		if cut == last {
			wantErr = nil
		}
		if !errors.Is(err, wantErr) || end != last || !slices.Equal(got, all[:3]) {
			t.Errorf("cut at %d: %q, %d, %v, want the first 3 records and %v", cut, got, end, err, wantErr)
		}
	}
	for at := range data {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := slices.Clone(data)
			bad[at] ^= flip
			_, end, err := read(bad)
			var damage *damageError
			switch {
			case at >= last && !errors.Is(err, errTorn):
				t.Errorf("byte %d of the last frame flipped: %v, want a torn end", at, err)
			case at >= last && end != last:
				t.Errorf("byte %d flipped: sound up to %d, want %d", at, end, last)
			case at < last && !errors.As(err, &damage):
				t.Errorf("byte %d in the middle flipped: %v, want damage", at, err)
			case at >= headerSize && at < last && (damage.Offset > int64(at) || damage.Offset < headerSize):
				t.Errorf("byte %d in the middle flipped: damage at %d", at, damage.Offset)
			}
		}
	}
	if _, end, err := read(append(slices.Clone(data), make([]byte, 5000)...)); !errors.Is(err, errTorn) || end != len(data) {
		t.Errorf("zeros at the end: %d, %v, want a torn end at %d", end, err, len(data))
	}
	moved := append(slices.Clone(data), data[headerSize:]...)
	if got, _, err := read(moved); !errors.Is(err, errTorn) || len(got) != 4 {
		t.Errorf("frames copied to another place: %d records, %v, want them not believed", len(got), err)
	}
}

// FuzzReadFrames: no contents make it panic; what it accepts ends where it says, and
// written again is the same.
func FuzzReadFrames(f *testing.F) {
	f.Add(fileOf([][]string{{"SET", "a", "1"}}, [][]string{{"DEL", "a"}, {"X"}}))
	f.Add(fileOf())
	f.Add([]byte(journalHead + "SPRK\xff\xff\xff\xff0000"))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkFrames(t, data)
		// The same bytes as the payload of a sound frame: a record must hold too.
		if len(data) > 0 {
			b := append([]byte(journalHead), make([]byte, frameHead)...)
			b = append(b, data...)
			sealFrame(b[headerSize:], headerSize)
			checkFrames(t, b)
		}
	})
}

func checkFrames(t *testing.T, data []byte) {
	t.Helper()
	records := 0
	end, err := readFrames(data, journalHead, func(_ int64, args []string) error {
		if len(args) == 0 {
			t.Fatal("a record without a command")
		}
		records++
		return nil
	})
	if end > len(data) || end < 0 || err == nil && end != len(data) {
		t.Fatalf("end %d of %d, %v", end, len(data), err)
	}
	if err != nil && end >= headerSize {
		again := 0
		if _, err := readFrames(data[:end], journalHead, func(int64, []string) error { again++; return nil }); err != nil {
			t.Fatalf("what was sound is not: %v", err)
		}
	}
}

func TestRequests(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string // joined with a bar
		err  bool
	}{
		{"*1\r\n$4\r\nPING\r\n", []string{"PING"}, false},
		{"*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$1\r\nX\r\n", []string{"GET|", "X"}, false},
		{"*0\r\n*-1\r\n*1\r\n$1\r\nX\r\n", []string{"X"}, false},
		{"*1\r\n$4\r\nPI\r\n\r\n", []string{"PI\r\n"}, false},
		{"PING\r\n", nil, true},
		{"POST / HTTP/1.1\r\nHost: x\r\n\r\n*1\r\n$1\r\nX\r\n", nil, true},
		{"*1\r\n:4\r\nPING\r\n", nil, true},
		{"*1\r\n$-1\r\n", nil, true},
		{"*1\r\n$0\r\n\r\n", nil, true},
		{"*1\r\n$4\r\nPINGxx", nil, true},
		{"*9999999999999\r\n", nil, true},
		{"*2000000\r\n", nil, true},
		{"*1\r\n$99999999999\r\n", nil, true},
		{"*1\r\n$4\r\nPI", nil, true},
		{"*" + strings.Repeat("1", 100_000), nil, true},
	} {
		r := bufio.NewReader(strings.NewReader(tt.in))
		var got []string
		var err error
		for {
			var args []string
			if args, err = readRequest(r); err != nil {
				break
			}
			got = append(got, strings.Join(args, "|"))
		}
		if bad := err.Error() != "EOF"; bad != tt.err || !slices.Equal(got, tt.want) {
			t.Errorf("requests of %.40q = %q, %v, want %q, an error %t", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n"))
	f.Add([]byte("*-1\r\n*0\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		for {
			args, err := readRequest(r)
			if err != nil {
				return
			}
			if len(args) == 0 || args[0] == "" {
				t.Fatalf("a request without a command: %q", args)
			}
		}
	})
}
