package ta

import (
	"fmt"
	"math"
)

// Bands are Bollinger bands at one candle.
type Bands struct{ Upper, Middle, Lower float64 }

// Side is where a close lies beside its bands.
type Side int8

// The sides. Inside includes the edges, and every close without bands.
const (
	Below  Side = -1
	Inside Side = 0
	Above  Side = 1
)

// Bollinger is the band of k population standard deviations about the simple
// moving average of the newest period closes, the one under judgement included.
type Bollinger struct {
	window moments
	k      float64
}

// NewBollinger returns bands over period closes at k deviations. It panics if
// period is below 2 or k is not above 0.
func NewBollinger(period int, k float64) *Bollinger {
	mustPeriod("Bollinger", period, 2)
	if !(k > 0) || !finite(k) {
		panic(fmt.Sprintf("ta: Bollinger at %v deviations", k))
	}
	return &Bollinger{window: newMoments(period), k: k}
}

// Warmup returns the period.
func (b *Bollinger) Warmup() int { return len(b.window.ring) + 1 }

// Warm reports whether the next close has bands.
func (b *Bollinger) Warm() bool { return b.window.warm() }

// Peek returns the bands with x as the newest close.
func (b *Bollinger) Peek(x float64) Bands {
	if !b.window.warm() || !finite(x) {
		return Bands{math.NaN(), math.NaN(), math.NaN()}
	}
	mean, m2 := b.window.with(x)
	half := b.half(m2)
	return Bands{Upper: mean + half, Middle: mean, Lower: mean - half}
}

// Update commits x and returns the bands.
func (b *Bollinger) Update(x float64) Bands {
	v := b.Peek(x)
	if finite(x) {
		b.window.push(x)
	}
	return v
}

// half returns the distance from the middle to an edge.
func (b *Bollinger) half(m2 float64) float64 {
	return b.k * math.Sqrt(m2/float64(b.Warmup()))
}

// Bounds on rounding, as fractions of a price or of a half width. A rolled figure
// is off by less than doubt, one computed anew by less than noise; the least step
// of any market's prices is more than a thousand times coarser than doubt.
const (
	doubtOfPrice = 1.0 / (1 << 40)
	doubtOfWidth = 1.0 / (1 << 28)
	noiseOfPrice = 1.0 / (1 << 46)
)

// Judge returns the bands with x as the newest close, and where x lies beside them.
//
// The verdict is a function of the closes of the window alone: whenever x is so
// near to an edge that rounding could decide, the figures are computed anew from
// the closes, and a difference that is still within rounding is a close on the
// edge, which is Inside. So a flat price never breaks its band, and two processes
// that read their history from different moments agree.
func (b *Bollinger) Judge(x float64) (Bands, Side) {
	v := b.Peek(x)
	if math.IsNaN(v.Middle) {
		return v, Inside
	}
	half := (v.Upper - v.Lower) / 2
	out := math.Abs(x-v.Middle) - half
	doubt := v.Middle*doubtOfPrice + half*doubtOfWidth
	if out < -doubt {
		return v, Inside
	}
	if out <= doubt {
		mean, m2 := b.window.exactWith(x)
		half = b.half(m2)
		v = Bands{Upper: mean + half, Middle: mean, Lower: mean - half}
		if !(math.Abs(x-mean)-half > mean*noiseOfPrice) {
			return v, Inside
		}
	}
	if x > v.Middle {
		return v, Above
	}
	return v, Below
}

// Edges returns the closes at which the next candle, or the one now open, stands
// exactly on its lower and upper band. The band moves with the close, so this is
// not the band of the candle before. Both are NaN until warm; they are infinite
// when k² ≥ period−1, because then no single close can leave its own band. The
// lower one may be below zero, which no price reaches.
func (b *Bollinger) Edges() (lower, upper float64) {
	if !b.window.warm() {
		return math.NaN(), math.NaN()
	}
	m, n := float64(len(b.window.ring)), float64(b.Warmup())
	if b.k*b.k >= m {
		return math.Inf(-1), math.Inf(1)
	}
	reach := b.k * math.Sqrt(b.window.m2*n/(m*(m-b.k*b.k)))
	middle := b.window.origin + b.window.mean
	return middle - reach, middle + reach
}
