package dump

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
)

// maxLine bounds a line: more than a set of ten million ids takes.
const maxLine = 1 << 30

// Reader reads a file.
type Reader struct {
	in      *bufio.Reader
	sum     hash.Hash
	line    int
	last    string
	records int
	done    bool

	Namespace string // from the header
	Summary   Summary
}

// NewReader reads the header.
func NewReader(r io.Reader) (*Reader, error) {
	d := &Reader{in: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	text, err := d.next()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty")
	}
	if err != nil {
		return nil, err
	}
	var h struct {
		Format    string `json:"format"`
		Version   int    `json:"version"`
		Namespace word   `json:"namespace"`
	}
	if err := json.Unmarshal(text, &h); err != nil || h.Format != Format {
		return nil, fmt.Errorf("line 1: not a file of spark-daemon store export: want {\"format\":%q,…}", Format)
	}
	if h.Version != Version {
		return nil, fmt.Errorf("line 1: version %d of the format; this program reads version %d", h.Version, Version)
	}
	d.Namespace = string(h.Namespace)
	if !bytes.Equal(text, appendHeader(nil, d.Namespace)) {
		return nil, errors.New("line 1: the header was changed")
	}
	d.hash(text)
	return d, nil
}

// Next returns the next record, and [io.EOF] after the trailer when the whole file
// is as it was written. Every other error names the line.
func (d *Reader) Next() (Record, error) {
	if d.done {
		return Record{}, io.EOF
	}
	text, err := d.next()
	if errors.Is(err, io.EOF) {
		return Record{}, fmt.Errorf("line %d: the file ends without its trailer: it was cut", d.line)
	}
	if err != nil {
		return Record{}, err
	}
	if bytes.HasPrefix(text, []byte(`{"records":`)) {
		return Record{}, d.end(text)
	}
	r, err := ParseRecord(text)
	if err != nil {
		return Record{}, fmt.Errorf("line %d: %w", d.line, err)
	}
	if r.Key <= d.last {
		return Record{}, fmt.Errorf("line %d: key %.100q comes after %.100q", d.line, r.Key, d.last)
	}
	d.last = r.Key
	d.records++
	d.hash(text)
	return r, nil
}

func (d *Reader) hash(text []byte) {
	d.sum.Write(text)
	d.sum.Write([]byte{'\n'})
}

// end checks the trailer and that nothing follows it.
func (d *Reader) end(text []byte) error {
	d.Summary = Summary{Records: d.records, SHA256: hex.EncodeToString(d.sum.Sum(nil))}
	var t struct {
		Records int    `json:"records"`
		SHA256  string `json:"sha256"`
	}
	switch err := json.Unmarshal(text, &t); {
	case err != nil || !bytes.Equal(text, appendTrailer(nil, Summary{t.Records, t.SHA256})):
		return fmt.Errorf("line %d: the trailer is damaged", d.line)
	case t.Records != d.records:
		return fmt.Errorf("line %d: the trailer counts %d records, the file holds %d", d.line, t.Records, d.records)
	case t.SHA256 != d.Summary.SHA256:
		return fmt.Errorf("line %d: the SHA-256 of the lines before is not that of the trailer: the file was changed", d.line)
	}
	if _, err := d.in.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: something follows the trailer", d.line+1)
	}
	d.done = true
	return io.EOF
}

// next returns the next line without its end; [io.EOF] when there is none.
func (d *Reader) next() ([]byte, error) {
	d.line++
	var line []byte
	for {
		part, err := d.in.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, fmt.Errorf("line %d: longer than %d bytes", d.line, maxLine)
		}
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, fmt.Errorf("line %d: the file ends in the middle of a line: it was cut", d.line)
		case err != nil:
			return nil, err
		}
		return line[:len(line)-1], nil
	}
}

// ParseRecord reads a line and refuses it unless it is the one way to write it.
func ParseRecord(text []byte) (Record, error) {
	var j struct {
		Key      word            `json:"key"`
		Type     string          `json:"type"`
		ExpireAt int64           `json:"expireAt"`
		Value    json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(text, &j); err != nil {
		return Record{}, fmt.Errorf("not a record: %v", err)
	}
	r := Record{Key: string(j.Key), Type: j.Type, ExpireAt: j.ExpireAt}
	if err := r.value(j.Value); err != nil {
		return Record{}, fmt.Errorf("key %.100q: %s: %v", r.Key, r.Type, err)
	}
	if err := r.check(); err != nil {
		return Record{}, fmt.Errorf("key %.100q: %w", r.Key, err)
	}
	if !bytes.Equal(text, appendRecord(make([]byte, 0, len(text)), &r)) {
		return Record{}, fmt.Errorf("key %.100q: not written by store export", r.Key)
	}
	return r, nil
}

// value reads the value of a record whose type is set.
func (r *Record) value(text json.RawMessage) error {
	var one word
	var list []word
	var lists [][]word
	switch r.Type {
	case String:
		err := json.Unmarshal(text, &one)
		r.Text = string(one)
		return err
	case List, Set:
		err := json.Unmarshal(text, &list)
		r.Items = plain(list)
		return err
	case Hash, ZSet:
		if err := json.Unmarshal(text, &lists); err != nil {
			return err
		}
		return r.pairs(lists)
	case Stream:
		return r.Log.read(text)
	}
	return errors.New("unknown type")
}

func (r *Record) pairs(lists [][]word) error {
	for i, p := range lists {
		if len(p) != 2 {
			return fmt.Errorf("element %d is not a pair", i+1)
		}
		if r.Type == Hash {
			r.Pairs = append(r.Pairs, [2]string{string(p[0]), string(p[1])})
			continue
		}
		score, err := strconv.ParseFloat(string(p[1]), 64)
		if err != nil {
			return fmt.Errorf("score %.40q is not a number", string(p[1]))
		}
		r.Scores = append(r.Scores, Score{string(p[0]), score})
	}
	return nil
}

func (l *Log) read(text json.RawMessage) error {
	var j struct {
		Last    string   `json:"last"`
		Entries [][]word `json:"entries"`
		Groups  []struct {
			Name      word   `json:"name"`
			Last      string `json:"last"`
			Consumers []word `json:"consumers"`
			Pending   []struct {
				ID       string `json:"id"`
				Consumer word   `json:"consumer"`
				At       int64  `json:"at"`
				Count    int64  `json:"count"`
			} `json:"pending"`
		} `json:"groups"`
	}
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	l.Last = j.Last
	for i, e := range j.Entries {
		if len(e) == 0 {
			return fmt.Errorf("entry %d is empty", i+1)
		}
		f := plain(e)
		l.Entries = append(l.Entries, Entry{ID: f[0], Fields: f[1:]})
	}
	for _, g := range j.Groups {
		group := Group{Name: string(g.Name), Last: g.Last, Consumers: plain(g.Consumers)}
		for _, p := range g.Pending {
			group.Pending = append(group.Pending, Pending{ID: p.ID, Consumer: string(p.Consumer), At: p.At, Count: p.Count})
		}
		l.Groups = append(l.Groups, group)
	}
	return nil
}

// word is a text as it stands in a file.
type word string

// UnmarshalJSON reads a JSON string, or {"base64":"…"}.
func (t *word) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '{' {
		return json.Unmarshal(data, (*string)(t))
	}
	var j struct {
		Base64 string `json:"base64"`
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(j.Base64)
	*t = word(raw)
	return err
}

func plain(list []word) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = string(t)
	}
	return out
}
