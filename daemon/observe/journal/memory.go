package journal

import (
	"io"
	"sync"
)

// memory is a file that only grows.
type memory struct {
	mu   sync.Mutex
	data []byte
}

// ReadAt implements [io.ReaderAt].
func (m *memory) ReadAt(b []byte, at int64) (int, error) {
	m.mu.Lock()
	data := m.data // bytes that were written are not written again
	m.mu.Unlock()
	if at >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(b, data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements [io.WriterAt]; at is always the end.
func (m *memory) WriteAt(b []byte, at int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = append(m.data[:at], b...)
	return len(b), nil
}

func (m *memory) Sync() error          { return nil }
func (m *memory) Truncate(int64) error { return nil }
func (m *memory) Close() error         { return nil }
