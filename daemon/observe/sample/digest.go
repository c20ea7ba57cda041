package sample

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"slices"
)

// Digest returns the SHA-256 of the vector in hexadecimal, for the evidence. It
// depends on labels, times and the bits of the values, not on the order. All NaN are
// one.
func (v Vector) Digest() string {
	sorted := slices.Clone(v)
	slices.SortStableFunc(sorted, func(a, b Sample) int { return a.Labels.Compare(b.Labels) })
	d := digest{h: sha256.New()}
	d.text("vector")
	for _, s := range sorted {
		d.labels(s.Labels)
		d.point(Point{T: s.T, V: s.V})
	}
	return d.hex()
}

// Digest is [Vector.Digest] of a matrix.
func (m Matrix) Digest() string {
	sorted := slices.Clone(m)
	slices.SortStableFunc(sorted, func(a, b Series) int { return a.Labels.Compare(b.Labels) })
	d := digest{h: sha256.New()}
	d.text("matrix")
	for _, s := range sorted {
		d.labels(s.Labels)
		d.number(uint64(len(s.Points)))
		for _, p := range s.Points {
			d.point(p)
		}
	}
	return d.hex()
}

// digest writes each part with its length, so that no two results read the same.
type digest struct {
	h   hash.Hash
	buf [8]byte
}

func (d *digest) number(n uint64) {
	binary.BigEndian.PutUint64(d.buf[:], n)
	d.h.Write(d.buf[:])
}

func (d *digest) text(s string) {
	d.number(uint64(len(s)))
	d.h.Write([]byte(s))
}

func (d *digest) labels(ls Labels) {
	d.number(uint64(len(ls)))
	for _, l := range ls {
		d.text(l.Name)
		d.text(l.Value)
	}
}

func (d *digest) point(p Point) {
	v := p.V
	if math.IsNaN(v) {
		v = math.NaN()
	}
	d.number(uint64(p.T))
	d.number(math.Float64bits(v))
}

func (d *digest) hex() string { return hex.EncodeToString(d.h.Sum(nil)) }
