//go:build race

package stat_test

// With the race detector a run takes ten times as long, and there is one goroutine.
const raced = true
