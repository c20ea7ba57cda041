package market

// Outcome says what [Window.Apply] did with a candle.
type Outcome uint8

const (
	// Stale means that the candle is older than what the window has; nothing changed.
	Stale Outcome = iota
	// Duplicate means that the window has this very state; nothing changed.
	Duplicate
	// Updated means that the newest candle, still open, has a new state.
	Updated
	// Closed means that the candle is final and newly so.
	Closed
	// Opened means that a new candle began in sequence.
	Opened
	// Revised means that a candle already final was corrected (a later answer of
	// the exchange with more trades).
	Revised
	// Gap means that the candle was taken, and that candles between it and the
	// one before are missing or were never seen closed. Fill by REST.
	Gap
)

// Window holds the newest candles of one series, oldest first, and merges
// updates into it in any order, any number of times: by open time, replacing,
// never adding. The zero value holds nothing; set Timeframe and Limit first.
//
// It is not safe for use from several goroutines at once.
type Window struct {
	Timeframe Timeframe
	Limit     int // most candles kept; 0 means 1,000

	candles []Candle // ascending by Time; all but the last are normally closed
}

// Candles returns the candles, oldest first. The slice is the window's own: it
// is valid until the next Apply and must not be written to.
func (w *Window) Candles() []Candle { return w.candles }

// Last returns the newest candle, and false when there is none.
func (w *Window) Last() (Candle, bool) {
	if len(w.candles) == 0 {
		return Candle{}, false
	}
	return w.candles[len(w.candles)-1], true
}

// Apply merges one state of one candle. The candle must be valid
// ([Candle.Validate]).
//
// Of two states of an open candle the one with more trades wins, among equals the
// one with the later event. A closed candle is replaced only by a closed one with
// more trades.
func (w *Window) Apply(c Candle) Outcome {
	i := len(w.candles)
	for i > 0 && w.candles[i-1].Time >= c.Time {
		i--
	}
	if i < len(w.candles) && w.candles[i].Time == c.Time {
		return w.replace(i, c)
	}
	if i < len(w.candles) {
		return w.insert(i, c)
	}
	gap := false
	if last, ok := w.Last(); ok {
		gap = !last.Closed || w.Timeframe.Next(last.Time) != c.Time
	}
	w.candles = append(w.candles, c)
	w.trim()
	switch {
	case gap:
		return Gap
	case c.Closed:
		return Closed
	default:
		return Opened
	}
}

func (w *Window) replace(i int, c Candle) Outcome {
	old := w.candles[i]
	switch {
	case old == c:
		return Duplicate
	case old.Closed && (!c.Closed || c.Trades <= old.Trades):
		return Stale
	case old.Closed:
		w.candles[i] = c
		return Revised
	case c.Closed && c.Trades >= old.Trades:
		w.candles[i] = c
		return Closed
	case c.Trades < old.Trades || c.Trades == old.Trades && c.Event <= old.Event:
		return Stale
	}
	w.candles[i] = c
	if c.Closed {
		return Closed
	}
	return Updated
}

// insert puts a closed candle into a hole. An open candle that is not the newest
// says nothing that will stay true, so it is dropped.
func (w *Window) insert(i int, c Candle) Outcome {
	if !c.Closed || i == 0 && len(w.candles) >= w.limit() {
		return Stale
	}
	w.candles = append(w.candles, Candle{})
	copy(w.candles[i+1:], w.candles[i:])
	w.candles[i] = c
	w.trim()
	return Closed
}

// trim keeps the newest candles. It moves them only once a quarter more than the
// limit has gathered, so that a long-running window costs amortised nothing.
func (w *Window) trim() {
	limit := w.limit()
	if len(w.candles) <= limit+limit/4 {
		return
	}
	n := copy(w.candles, w.candles[len(w.candles)-limit:])
	w.candles = w.candles[:n]
}

func (w *Window) limit() int {
	if w.Limit <= 0 {
		return 1000
	}
	return w.Limit
}

// Holes returns the open times of the candles that are missing between the first
// and the last of the window, or that are there but were never seen closed
// although a newer one has begun. At most 1,000 are returned.
func (w *Window) Holes() []int64 {
	var holes []int64
	for i := 0; i+1 < len(w.candles); i++ {
		if !w.candles[i].Closed {
			holes = append(holes, w.candles[i].Time)
		}
		for t := w.Timeframe.Next(w.candles[i].Time); t < w.candles[i+1].Time; t = w.Timeframe.Next(t) {
			if len(holes) >= 1000 {
				return holes
			}
			holes = append(holes, t)
		}
	}
	return holes
}
