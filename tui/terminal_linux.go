package tui

import "golang.org/x/sys/unix"

// discardOutput drops what the terminal has not read, and lifts a stop by Ctrl-S,
// so that a blocked write returns.
func discardOutput(fd uintptr) {
	_ = unix.IoctlSetInt(int(fd), unix.TCFLSH, unix.TCOFLUSH)
	_ = unix.IoctlSetInt(int(fd), unix.TCXONC, unix.TCOON)
}
