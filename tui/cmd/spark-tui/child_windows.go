package main

import (
	"os"
	"syscall"
)

// terminate is what Windows can do: there is no asking.
var terminate = os.Kill

func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

func holdThread() (release func()) { return func() {} }
