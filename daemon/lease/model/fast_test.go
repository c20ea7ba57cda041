//go:build !race

package model

// UnderRace says that the race detector slows everything down.
const UnderRace = false
