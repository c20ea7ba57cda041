package lease

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootTime reads CLOCK_BOOTTIME: unlike Go's monotonic clock it goes on while the
// machine is suspended.
func bootTime() time.Duration { return read(unix.CLOCK_BOOTTIME) }

// suspendedTime is how long the machine has been suspended since it booted, to within
// the time between two readings.
func suspendedTime() time.Duration {
	monotonic := read(unix.CLOCK_MONOTONIC)
	return read(unix.CLOCK_BOOTTIME) - monotonic
}

func read(clock int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return processTime() // unreachable: every supported kernel has these clocks
	}
	return time.Duration(ts.Nano())
}
