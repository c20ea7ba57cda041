//go:build !linux

package observe

import "time"

// sinceBoot is not known here: sleep is told as a step of the wall clock.
func sinceBoot() time.Duration { return 0 }
