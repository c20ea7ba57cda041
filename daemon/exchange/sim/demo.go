package sim

const (
	kickPeriod = 300_000 // ms between the kicks of one symbol
	kickFade   = 180_000 // ms until a kick has faded
	kickFirst  = 30_000  // ms from the start to the first symbol's first kick
	kickStride = 33_000  // ms by which the next symbol follows
)

// kicks returns what a demo adds to the path of the i-th symbol: from half a
// minute after the start on, every five minutes, seven tenths of an ordinary
// day's move within one slot, up and down in turn, fading over three minutes.
// That is four to ten times the deviation of 20 minutes, so Bollinger's bands of
// the one-minute candles break; the first symbol's do within a minute of the
// start.
func kicks(start int64, i int, sigma int64) func(ms, price int64) int64 {
	first := start + kickFirst + int64(i)*kickStride
	return func(ms, price int64) int64 {
		since := ms - first
		if since < 0 {
			return 0
		}
		into := since % kickPeriod
		if into >= kickFade {
			return 0
		}
		size := price / 1_000_000 * sigma * 7 / 10 / kickFade * (kickFade - into)
		if since/kickPeriod%2 == 1 {
			return -size
		}
		return size
	}
}
