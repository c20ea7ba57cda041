package chain

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
)

// ErrTorn is a chain whose last line was not written whole. Everything before it is
// sound. It is the remains of a crash, of which nobody was told that it is safe, and
// may be cut off at the Offset of the [Broken] that wraps it. A chain that was cut
// inside its last record on purpose looks the same; [VerifyTo] tells them apart.
var ErrTorn = errors.New("the last record was not written whole")

// Broken says where a chain breaks.
type Broken struct {
	Seq    int64  // number that the first bad record should have
	Line   int64  // of the file, from 1
	Offset int64  // in bytes, where that line begins: what is before it is sound
	Reason string // in words
	Torn   bool   // see ErrTorn
}

func (b *Broken) Error() string {
	return fmt.Sprintf("record %d (line %d, byte %d): %s", b.Seq, b.Line, b.Offset, b.Reason)
}

// Unwrap returns [ErrTorn], or nil.
func (b *Broken) Unwrap() error {
	if b.Torn {
		return ErrTorn
	}
	return nil
}

// Verify reads a chain to its end and returns its head. Its error is a [*Broken] (for
// [ErrTorn] too), then the head is that of what is sound before, or that of reading.
func Verify(r io.Reader) (Head, error) {
	return VerifyTo(r, Head{})
}

// VerifyTo is [Verify] for a chain that once had the head known, as somebody wrote it
// down elsewhere: the chain may have gone on, but a record of it that is missing, or
// another one in its place, is an error as well.
func VerifyTo(r io.Reader, known Head) (Head, error) {
	return Resume(r, Head{}, 0).verifyTo(known)
}

func (r *Reader) verifyTo(known Head) (Head, error) {
	for {
		rec, err := r.next()
		switch {
		case err == nil:
			if rec.Seq == known.Seq && rec.Hash != known.Hash {
				at := r.broken("this or one before is not the record of the known head: its hash is %s, that of the head %s", rec.Hash, known.Hash)
				at.Seq, at.Line, at.Offset = rec.Seq, rec.Seq, r.last
				return Head{}, at
			}
			continue
		case (errors.Is(err, io.EOF) || errors.Is(err, ErrTorn)) && r.head.Seq < known.Seq:
			return r.head, r.broken("missing: the known head is record %d", known.Seq)
		case errors.Is(err, io.EOF):
			return r.head, nil
		}
		return r.head, err
	}
}

// Reader reads a chain and verifies it on the way.
type Reader struct {
	r      *bufio.Reader
	p      *parser
	head   Head
	offset int64 // where the next line begins
	last   int64 // where that of the head does
	line   []byte
	err    error
}

// NewReader returns a reader of a chain from its first record.
func NewReader(r io.Reader) *Reader { return Resume(r, Head{}, 0) }

// Resume returns a reader that begins after the record prev, at offset bytes of the
// file.
func Resume(r io.Reader, prev Head, offset int64) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 16<<10), p: newParser(), head: prev, offset: offset}
}

// Next returns the next record. Its error is io.EOF at the end of a sound chain, a
// [*Broken], or that of reading; it stays the same from then on.
func (r *Reader) Next() (Record, error) {
	rec, err := r.next()
	rec.Body = bytes.Clone(rec.Body)
	return rec, err
}

// All yields the records up to the end or the first error, which it yields as well.
func (r *Reader) All() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for {
			rec, err := r.Next()
			if errors.Is(err, io.EOF) || !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// Head returns the head of what was read.
func (r *Reader) Head() Head { return r.head }

// Offset returns the number of bytes of what was read and is sound.
func (r *Reader) Offset() int64 { return r.offset }

// next is Next with a body that lies in the reader's buffer.
func (r *Reader) next() (Record, error) {
	if r.err != nil {
		return Record{}, r.err
	}
	var rec Record
	rec, r.err = r.read()
	return rec, r.err
}

func (r *Reader) read() (Record, error) {
	line, err := r.readLine()
	switch {
	case errors.Is(err, io.EOF) && len(line) == 0:
		return Record{}, io.EOF
	case errors.Is(err, io.EOF):
		return Record{}, r.unended(line)
	case err != nil:
		return Record{}, err
	}
	rec, n, err := r.p.parse(line[:len(line)-1])
	switch {
	case err != nil:
		return Record{}, r.broken("%v", err)
	case n < len(line)-1:
		return Record{}, r.broken("something after the record, from byte %d of the line", n)
	case rec.Seq <= r.head.Seq:
		return Record{}, r.broken("record %d stands here again", rec.Seq)
	case rec.Seq > r.head.Seq+1:
		return Record{}, r.broken("missing: record %d stands in its place", rec.Seq)
	case rec.Prev != r.head.hash():
		return Record{}, r.broken("does not follow record %d: it names %s as the hash of its predecessor, which is %s", r.head.Seq, rec.Prev, r.head.hash())
	}
	r.head, r.last = rec.Head(), r.offset
	r.offset += int64(len(line))
	return rec, nil
}

// readLine returns the next line with its newline, or with io.EOF what stands without
// one at the end. It lies in a buffer that the next call uses again.
func (r *Reader) readLine() ([]byte, error) {
	line, err := r.r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	r.line = r.line[:0]
	for {
		if r.line = append(r.line, line...); len(r.line) > MaxLine {
			return nil, r.broken("line longer than %d bytes", MaxLine)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return r.line, err
		}
		line, err = r.r.ReadSlice('\n')
	}
}

// unended judges what stands behind the last newline. It is torn if it is the
// beginning of the line that should stand there, and maybe zeros, which is what a
// file system leaves when a file had grown but its contents were not written. A whole
// record that is followed by something else is not: there the newline was changed.
func (r *Reader) unended(rest []byte) error {
	rest = bytes.TrimRight(rest, "\x00")
	want := []byte(`{"seq":` + strconv.FormatInt(r.head.Seq+1, 10) + `,"at":`)
	n := min(len(want), len(rest))
	if !bytes.Equal(rest[:n], want[:n]) || bytes.ContainsFunc(rest, func(c rune) bool { return c < ' ' }) {
		return r.broken("the line is no record and has no end")
	}
	if _, n, err := r.p.parse(rest); err == nil && n < len(rest) {
		return r.broken("no newline after the record, from byte %d of the line", n)
	}
	torn := r.broken("%v", ErrTorn)
	torn.Torn = true
	return torn
}

// broken returns that the chain breaks at the line that was read last.
func (r *Reader) broken(format string, args ...any) *Broken {
	seq := r.head.Seq + 1
	return &Broken{Seq: seq, Line: seq, Offset: r.offset, Reason: fmt.Sprintf(format, args...)}
}
