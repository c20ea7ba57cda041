//go:build !linux

package lease

import "time"

// bootTime falls back to Go's monotonic clock, which may stand still while the
// machine is suspended; the store's fence refuses what a sleeper writes afterwards.
func bootTime() time.Duration { return processTime() }

// suspendedTime cannot be told here.
func suspendedTime() time.Duration { return 0 }
