// Package chain keeps records in an order that cannot be changed without being seen,
// and signs texts.
//
// # The chain
//
// A chain is a text of lines. A line is one [Record] in canonical JSON (see
// [Canonical]) with its fields in this order:
//
//	{"seq":1,"at":1760140800000,"mono":0,"who":"spark","role":"machine","kind":"started",
//	 "body":{…},"prev":"000…","hash":"9f2…"}
//
// (on one line). seq counts from 1 without a hole. prev is the hash of the record
// before, 64 zeros for the first. hash is SHA-256 over the line without its last
// field and without the newline, so that a shell can check it:
//
//	sed -n 7p FILE | sed 's/,"hash":"[0-9a-f]*"}$/}/' | tr -d '\n' | sha256sum
//
// There is one text for each chain of records and no other: what is not in canonical
// form is refused, as is what does not hash to what it says, or does not follow what
// stands before. So a bit that changed, and a record that was deleted, repeated,
// moved or put between others is found and named by its place ([Broken]).
//
// A chain alone cannot tell that its end was taken off at the end of a line, nor
// that somebody wrote all of it anew. For that its [Head] has to be known from
// elsewhere (notifications, the signed [Statement], the printed report): [VerifyTo].
//
// A file that ends in the beginning of a line is what a crash leaves: nobody was told
// that this record is safe. It is told from damage ([ErrTorn]) and may be cut off.
//
// # Keys and notes
//
// A text is signed as a signed note of golang.org/x/mod/sumdb/note: the text, an
// empty line, and a line for each Ed25519 signature. Several people sign the same
// bytes. Keys are text; where they are kept is the caller's matter.
//
// The package does no I/O of its own and reads no clock.
package chain

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxLine is the most bytes of a line, its newline included.
	MaxLine = 4 << 20

	maxField = 256             // bytes of who, role and kind
	maxAt    = 253402300799999 // the last millisecond of the year 9999
)

// genesis is what the first record has for a predecessor's hash.
const genesis = "0000000000000000000000000000000000000000000000000000000000000000"

// Record is one entry of a chain.
type Record struct {
	Seq  int64 // from 1
	At   int64 // wall clock, ms since 1970 UTC; it may go back, clocks do
	Mono int64 // ms since the writer started, never negative; a new writer begins anew

	Who  string // person or program; may be empty
	Role string // in which it acted; may be empty
	Kind string // of the record, not empty
	Body json.RawMessage

	Prev string // hash of the record before: 64 hexadecimal digits
	Hash string // of this one
}

// Head is the end of a chain. The zero Head is that of an empty one.
type Head struct {
	Seq  int64
	Hash string
}

// Head returns the head of the chain that ends with this record.
func (r *Record) Head() Head { return Head{r.Seq, r.Hash} }

func (h Head) hash() string {
	if h.Seq == 0 {
		return genesis
	}
	return h.Hash
}

// Seal makes rec the record after prev. It returns it with Seq, Prev and Hash set and
// its Body in canonical form (null if there is none), and its line, which ends in a
// newline. It is an error if the body is not a JSON value that has a canonical form,
// if who, role or kind is longer than 256 bytes or has characters that are not
// printed, if kind is empty, if a time is out of range, or if the line would exceed
// [MaxLine].
func Seal(prev Head, rec Record) (Record, []byte, error) {
	if prev.Seq < 0 || !isHash(prev.hash()) {
		return Record{}, nil, fmt.Errorf("no head of a chain: %d %q", prev.Seq, prev.Hash)
	}
	rec.Seq, rec.Prev = prev.Seq+1, prev.hash()
	if err := rec.check(); err != nil {
		return Record{}, nil, err
	}
	body := []byte("null")
	if len(rec.Body) > 0 {
		var err error
		if body, err = Canonical(rec.Body); err != nil {
			return Record{}, nil, fmt.Errorf("body: %w", err)
		}
	}
	rec.Body = body
	line := make([]byte, 0, len(body)+len(rec.Who)+len(rec.Role)+len(rec.Kind)+300)
	line = strconv.AppendInt(append(line, `{"seq":`...), rec.Seq, 10)
	line = strconv.AppendInt(append(line, `,"at":`...), rec.At, 10)
	line = strconv.AppendInt(append(line, `,"mono":`...), rec.Mono, 10)
	line = appendText(append(line, `,"who":`...), rec.Who)
	line = appendText(append(line, `,"role":`...), rec.Role)
	line = appendText(append(line, `,"kind":`...), rec.Kind)
	line = append(append(line, `,"body":`...), body...)
	line = append(append(append(line, `,"prev":"`...), rec.Prev...), `"}`...)
	sum := sha256.Sum256(line)
	rec.Hash = hex.EncodeToString(sum[:])
	line = append(append(append(line[:len(line)-1], `,"hash":"`...), rec.Hash...), "\"}\n"...)
	if len(line) > MaxLine {
		return Record{}, nil, fmt.Errorf("record of %d bytes, at most %d are allowed", len(line), MaxLine)
	}
	return rec, line, nil
}

// check judges the fields that stand before the body.
func (r *Record) check() error {
	if r.At < 0 || r.At > maxAt {
		return fmt.Errorf("at: %d ms is not between 1970 and 9999", r.At)
	}
	if r.Mono < 0 {
		return fmt.Errorf("mono: %d ms is negative", r.Mono)
	}
	for _, f := range []struct{ name, value string }{{"who", r.Who}, {"role", r.Role}, {"kind", r.Kind}} {
		if len(f.value) > maxField {
			return fmt.Errorf("%s: longer than %d bytes", f.name, maxField)
		}
		if !printable(f.value) {
			return fmt.Errorf("%s: %q has characters that are not printed", f.name, f.value)
		}
	}
	if r.Kind == "" {
		return errors.New("kind: empty")
	}
	return nil
}

// printable reports whether s is UTF-8 without control, format and other characters
// that are not seen.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

func isHash(s string) bool {
	if len(s) != len(genesis) {
		return false
	}
	for i := range len(s) {
		if b := s[i]; (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return true
}

// Parse reads one line, with or without its newline. It is an error if [Seal] would
// not have written exactly these bytes. Whether the record follows another is not
// asked.
func Parse(line []byte) (Record, error) {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	p := newParser()
	rec, n, err := p.parse(line)
	if err != nil {
		return Record{}, err
	}
	if n < len(line) {
		return Record{}, fmt.Errorf("byte %d: something after the record", n)
	}
	rec.Body = append(json.RawMessage(nil), rec.Body...)
	return rec, nil
}

// parser reads lines; its buffers serve one after the other.
type parser struct {
	canon
	sum hash.Hash
	hex [2 * sha256.Size]byte
}

func newParser() *parser { return &parser{sum: sha256.New()} }

// parse reads the record that line begins with, and returns its length. The body lies
// in line.
func (p *parser) parse(line []byte) (rec Record, n int, err error) {
	if len(line) > MaxLine-1 {
		return rec, 0, fmt.Errorf("line longer than %d bytes", MaxLine)
	}
	p.canon = canon{in: line, out: p.out[:0], members: p.members[:0], swap: p.swap}
	for _, f := range []struct {
		key  string
		into *int64
	}{{`{"seq":`, &rec.Seq}, {`,"at":`, &rec.At}, {`,"mono":`, &rec.Mono}} {
		if err := p.integer(f.key, f.into); err != nil {
			return rec, 0, err
		}
	}
	for _, f := range []struct {
		key  string
		into *string
	}{{`,"who":`, &rec.Who}, {`,"role":`, &rec.Role}, {`,"kind":`, &rec.Kind}} {
		said, err := p.canonical(f.key, p.quoted)
		if err != nil {
			return rec, 0, err
		}
		*f.into = string(said)
	}
	start := p.pos + len(`,"body":`)
	if _, err := p.canonical(`,"body":`, p.any); err != nil {
		return rec, 0, err
	}
	rec.Body = line[start:p.pos]
	if rec.Prev, err = p.digest(`,"prev":"`); err != nil {
		return rec, 0, err
	}
	p.sum.Reset()
	_, _ = p.sum.Write(line[:p.pos])
	_, _ = p.sum.Write([]byte("}"))
	if rec.Hash, err = p.digest(`,"hash":"`); err != nil {
		return rec, 0, err
	}
	if !p.literal("}") {
		return rec, 0, p.wrong("no } after the hash")
	}
	var sum [sha256.Size]byte
	hex.Encode(p.hex[:], p.sum.Sum(sum[:0]))
	if string(p.hex[:]) != rec.Hash {
		return rec, 0, errors.New("its hash is not that of its contents")
	}
	if rec.Seq < 1 {
		return rec, 0, fmt.Errorf("seq: %d, they count from 1", rec.Seq)
	}
	return rec, p.pos, rec.check()
}

// integer reads a key and an int64.
func (p *parser) integer(key string, into *int64) error {
	if !p.literal(key) {
		return p.wrong("no %s", key)
	}
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	for '0' <= p.peek() && p.peek() <= '9' {
		p.pos++
	}
	written := p.in[start:p.pos]
	n, err := strconv.ParseInt(string(written), 10, 64)
	if err != nil || string(strconv.AppendInt(p.out[:0], n, 10)) != string(written) {
		p.pos = start
		return p.wrong("%q is no number", written)
	}
	*into = n
	return nil
}

// canonical reads a key and what read reads, which must be in canonical form.
func (p *parser) canonical(key string, read func() ([]byte, error)) ([]byte, error) {
	if !p.literal(key) {
		return nil, p.wrong("no %s", key)
	}
	start := p.pos
	p.out = p.out[:0]
	said, err := read()
	if err != nil {
		return nil, err
	}
	if string(p.out) != string(p.in[start:p.pos]) {
		p.pos = start
		return nil, p.wrong("not in canonical form")
	}
	return said, nil
}

func (p *parser) any() ([]byte, error) { return nil, p.value(0) }

func (p *parser) quoted() ([]byte, error) {
	if p.peek() != '"' {
		return nil, p.wrong("no string")
	}
	return p.text()
}

// digest reads a key, 64 hexadecimal digits and a quote.
func (p *parser) digest(key string) (string, error) {
	if !p.literal(key) {
		return "", p.wrong("no %s", key)
	}
	if len(p.in)-p.pos < len(genesis) {
		return "", p.wrong("half a hash")
	}
	s := string(p.in[p.pos : p.pos+len(genesis)])
	if !isHash(s) {
		return "", p.wrong("no hash")
	}
	p.pos += len(genesis)
	if !p.literal(`"`) {
		return "", p.wrong("no quote after a hash")
	}
	return s, nil
}
