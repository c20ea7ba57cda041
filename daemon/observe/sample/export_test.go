package sample

// NoSync lets a benchmark measure the store without the disk.
func (s *Store) NoSync() { s.log.noSync = true }

// Segments returns how many files the log has.
func (s *Store) Segments() int { return len(s.log.closed) + 1 }

// NextSegment begins a segment, as 6 MiB of records do.
func (s *Store) NextSegment() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.nextSegment()
}

// PerChunk is the number of samples in a chunk.
const PerChunk = perChunk
