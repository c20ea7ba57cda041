package sample

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/prometheus/prometheus/tsdb/wlog"
	"github.com/prometheus/prometheus/util/compression"
)

// The format of a segment: pages, in which each fragment of a record begins with a
// header whose first byte holds its kind.
const (
	pageBytes      = 32 << 10
	kindMask       = 7
	kindFull       = 1
	kindMiddle     = 3
	kindLast       = 4
	rewriteSuffix  = ".rewrite"
	rewritePattern = "*" + rewriteSuffix
)

// repair ends a damaged segment behind its last whole record, or, when whole records
// lie beyond the damage, writes it again without what is broken. usable takes
// the records found there, in order.
func (j *journal) repair(name string, good int64, why error, usable func(rec []byte) bool) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	good = min(good, int64(len(data)))
	found := slices.DeleteFunc(salvage(data, good), func(rec []byte) bool { return !usable(rec) })
	j.log.Warn("samples: damaged segment cut", slog.String("segment", filepath.Base(name)), slog.Int64("at", good),
		slog.Int64("bytes", int64(len(data))-good), slog.Int("salvaged_records", len(found)), slog.Any("err", why))
	if len(found) > 0 {
		return j.rewrite(name, data[:good], found)
	}
	return shorten(name, good)
}

// shorten cuts a file. The reader pads a page that is not full, here and in
// Prometheus.
func shorten(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	return f.Sync()
}

// salvage returns the whole records in the pages after the one that is damaged. A
// page that begins within a record is read from the next record on.
func salvage(data []byte, good int64) [][]byte {
	var out [][]byte
	for page := int(good/pageBytes) + 1; page*pageBytes < len(data); {
		rest := slices.Clone(data[page*pageBytes:])
		rest = append(rest, make([]byte, (pageBytes-len(rest)%pageBytes)%pageBytes)...)
		// The reader refuses to begin in the middle. The checksum does not cover the
		// kind, so that the remainder of a record can pass for a whole one, to be
		// thrown away.
		kind := rest[0] & kindMask
		drop := kind == kindMiddle || kind == kindLast
		if drop {
			rest[0] = kindFull
		}
		r := wlog.NewReader(bytes.NewReader(rest))
		read := -1 // the page in which the last record ended
		for r.Next() {
			if !drop {
				out = append(out, slices.Clone(r.Record()))
			}
			drop = false
			read = int(r.Offset()-1) / pageBytes
		}
		if r.Err() == nil {
			break
		}
		// Go on with the page that is broken, if nothing was taken from it yet.
		broken := int(r.Offset()-1) / pageBytes
		page += max(1, broken, read+1)
	}
	return out
}

// rewrite replaces a segment by the records at its beginning and those that were
// found, whole or not at all.
func (j *journal) rewrite(name string, head []byte, found [][]byte) error {
	dir := name + rewriteSuffix
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	w, err := wlog.NewSize(quiet(), nil, dir, largestSegment, compression.Snappy)
	if err != nil {
		return err
	}
	r := wlog.NewReader(bytes.NewReader(head))
	for err == nil && r.Next() {
		err = w.Log(r.Record())
	}
	if err == nil {
		err = w.Log(found...)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if err := os.Rename(wlog.SegmentName(dir, 0), name); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(name)); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// sweep removes what an interrupted rewrite left.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, rewritePattern))
	if err != nil {
		return err
	}
	for _, d := range left {
		if err := os.RemoveAll(d); err != nil {
			return err
		}
	}
	return nil
}
