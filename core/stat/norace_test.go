//go:build !race

package stat_test

const raced = false
