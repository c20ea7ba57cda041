package sim

import "math/bits"

// Purposes of a draw; each is a sequence of its own.
const (
	drawAnchor uint64 = iota + 1
	drawPath
	drawDay
	drawMinute
	drawSlot
	drawTrade
	drawTime
	drawBuy
	drawSell
)

// draw is a source of reproducible chance: a keyed hash, so any value can be had
// without those before it.
type draw uint64

func newDraw(seed uint64, symbol string) draw {
	h := seed ^ 0x9e3779b97f4a7c15
	for i := range len(symbol) {
		h = mix(h ^ uint64(symbol[i]))
	}
	return draw(h)
}

// at returns 64 random bits for the i-th value of a purpose.
func (d draw) at(purpose uint64, i int64) uint64 {
	return mix(mix(uint64(d)+purpose*0x9e3779b97f4a7c15) ^ uint64(i)*0xd6e8feb86659fd93)
}

// mix is a 64-bit finaliser: every input bit flips about half of the output bits.
func mix(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 29
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>32
}

// bell turns 48 bits into a nearly normal number with mean 0 and a standard
// deviation of 1<<15, never further out than three deviations.
func bell(bits uint64) int64 {
	return int64(bits&0xffff) + int64(bits>>16&0xffff) + int64(bits>>32&0xffff) - 3*0xffff/2
}

// below returns a number in [0, n) from random bits.
func below(random uint64, n int64) int64 {
	hi, _ := bits.Mul64(random, uint64(n))
	return int64(hi)
}

// part returns a·b/c rounded down, for 0 ≤ b ≤ c and 0 < c, without overflow.
func part(a, b, c int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	q, _ := bits.Div64(hi, lo, uint64(c))
	return int64(q)
}
