package lease

import "time"

// processStart anchors the monotonic reading; it is never changed.
var processStart = time.Now()

func processTime() time.Duration { return time.Since(processStart) }
