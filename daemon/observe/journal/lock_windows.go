package journal

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lock locks a byte of a file for as long as it is open. The byte is far behind every
// record, because a locked byte cannot be read by others: "journal verify" reads.
func lock(f *os.File) error {
	at := &windows.Overlapped{OffsetHigh: 1 << 30}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

// syncDir does nothing: Windows has no such call, and renames are journaled.
func syncDir(string) error { return nil }
