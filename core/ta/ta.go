// Package ta computes technical indicators one candle at a time.
//
// # Contract
//
// Every indicator has the same four methods.
//
//   - Update takes the value of a closed candle, commits it and returns the
//     indicator with that candle included.
//   - Peek returns what Update would return for a candle that is still open, to
//     the last bit, and changes nothing. Charts draw the open candle this way, and
//     an alert on the live candle sees the same figure.
//   - Warmup is the number of values that an Update needs behind and including
//     itself. Until then every figure is NaN, and since no comparison with NaN is
//     true, nothing can fire on too little history.
//   - Warm reports whether a Peek now would return figures.
//
// Both calls cost the same whatever the period, and allocate nothing.
//
// # Exactness
//
// Nothing is rounded, and no constant with a unit of price appears in a decision:
// prices multiplied by a power of two give the same bits times that power, and so
// the same decisions. A coin at 0.00001 is treated like one at 90,000.
//
// Means and deviations roll with the window by Welford's recurrence, which drifts
// slowly; so they are computed anew from the values once in each window, and at
// once when the spread falls to a thousandth of what it was (a bad tick or a jump
// has left the window, and rounding error would begin to show). A running
// sum of squares, the usual way, reaches negative variances after one bad tick and
// never comes back. A window of equal prices has a deviation of exactly zero.
//
// # Values
//
// Callers check candles first ([market.Candle.Validate]). A value that is not
// finite is refused all the same: Update and Peek return NaN and the state stays,
// because a NaN that got in would never leave an indicator with a long memory.
//
// An indicator belongs to one goroutine.
//
// [market.Candle.Validate]: https://pkg.go.dev/github.com/spark-ta/spark/core/market#Candle.Validate
package ta
