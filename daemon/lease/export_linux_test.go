package lease

// StartTime is what a process would register of itself.
func StartTime(pid int) (uint64, error) { return startTime(pid) }
