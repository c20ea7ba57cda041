package dump

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"
	"unicode/utf8"
)

// Summary is what the trailer says.
type Summary struct {
	Records int
	SHA256  string
}

// Writer writes a file.
type Writer struct {
	out     *bufio.Writer
	sum     hash.Hash
	line    []byte
	last    string
	records int
}

// NewWriter begins a file with its header.
func NewWriter(w io.Writer, namespace string) (*Writer, error) {
	d := &Writer{out: bufio.NewWriterSize(w, 1<<16), sum: sha256.New()}
	d.line = appendHeader(d.line[:0], namespace)
	return d, d.put()
}

// Write adds a record, whose key must be above the one before.
func (d *Writer) Write(r Record) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("key %.100q: %w", r.Key, err)
	}
	if r.Key <= d.last {
		return fmt.Errorf("key %.100q comes after %.100q", r.Key, d.last)
	}
	d.last = r.Key
	d.records++
	d.line = appendRecord(d.line[:0], &r)
	return d.put()
}

func (d *Writer) put() error {
	d.line = append(d.line, '\n')
	d.sum.Write(d.line)
	_, err := d.out.Write(d.line)
	return err
}

// Close ends the file with its trailer. It does not close what it writes to.
func (d *Writer) Close() (Summary, error) {
	s := Summary{Records: d.records, SHA256: hex.EncodeToString(d.sum.Sum(nil))}
	if _, err := d.out.Write(append(appendTrailer(nil, s), '\n')); err != nil {
		return s, err
	}
	return s, d.out.Flush()
}

func appendHeader(b []byte, namespace string) []byte {
	b = append(b, `{"format":"`+Format+`","version":`...)
	b = strconv.AppendInt(b, Version, 10)
	b = append(b, `,"namespace":`...)
	return append(appendText(b, namespace), '}')
}

func appendTrailer(b []byte, s Summary) []byte {
	b = append(b, `{"records":`...)
	b = strconv.AppendInt(b, int64(s.Records), 10)
	b = append(b, `,"sha256":`...)
	return append(appendText(b, s.SHA256), '}')
}

func appendRecord(b []byte, r *Record) []byte {
	b = append(b, `{"key":`...)
	b = appendText(b, r.Key)
	b = append(b, `,"type":`...)
	b = appendText(b, r.Type)
	if r.ExpireAt != 0 {
		b = append(b, `,"expireAt":`...)
		b = strconv.AppendInt(b, r.ExpireAt, 10)
	}
	b = append(b, `,"value":`...)
	switch r.Type {
	case String:
		b = appendText(b, r.Text)
	case List, Set:
		b = appendList(b, r.Items, appendText)
	case Hash:
		b = appendList(b, r.Pairs, func(b []byte, p [2]string) []byte { return appendList(b, p[:], appendText) })
	case ZSet:
		b = appendList(b, r.Scores, func(b []byte, s Score) []byte {
			return appendList(b, []string{s.Member, formatScore(s.Score)}, appendText)
		})
	case Stream:
		b = appendLog(b, r.Log)
	}
	return append(b, '}')
}

func appendLog(b []byte, l Log) []byte {
	b = append(b, `{"last":`...)
	b = appendText(b, l.Last)
	b = append(b, `,"entries":`...)
	b = appendList(b, l.Entries, func(b []byte, e Entry) []byte {
		return appendList(b, append([]string{e.ID}, e.Fields...), appendText)
	})
	b = append(b, `,"groups":`...)
	b = appendList(b, l.Groups, func(b []byte, g Group) []byte {
		b = append(b, `{"name":`...)
		b = appendText(b, g.Name)
		b = append(b, `,"last":`...)
		b = appendText(b, g.Last)
		b = append(b, `,"consumers":`...)
		b = appendList(b, g.Consumers, appendText)
		b = append(b, `,"pending":`...)
		return append(appendList(b, g.Pending, appendPending), '}')
	})
	return append(b, '}')
}

func appendPending(b []byte, p Pending) []byte {
	b = append(b, `{"id":`...)
	b = appendText(b, p.ID)
	b = append(b, `,"consumer":`...)
	b = appendText(b, p.Consumer)
	b = append(b, `,"at":`...)
	b = strconv.AppendInt(b, p.At, 10)
	b = append(b, `,"count":`...)
	return append(strconv.AppendInt(b, p.Count, 10), '}')
}

func appendList[T any](b []byte, list []T, each func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = each(b, v)
	}
	return append(b, ']')
}

// appendText writes a text; encoding/json would replace what is not UTF-8.
func appendText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		b = append(b, `{"base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, []byte(s))
		return append(b, `"}`...)
	}
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c < 0x20:
			b = append(b, `\u00`...)
			b = append(b, digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

func formatScore(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
