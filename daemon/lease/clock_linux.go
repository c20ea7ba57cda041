package lease

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootTime reads CLOCK_BOOTTIME: unlike Go's monotonic clock it goes on while the
// machine is suspended.
func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return processTime() // unreachable: every supported kernel has this clock
	}
	return time.Duration(ts.Nano())
}
