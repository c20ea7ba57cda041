package observe

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot counts while the machine sleeps, which time.Now does not.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
