//go:build !linux

package lease

import (
	"context"

	"github.com/spark-ta/spark/daemon/store"
)

// Self cannot be told here.
func Self() store.Process { return store.Process{} }

// Witness cannot tell here.
func Witness(context.Context, store.Member) <-chan struct{} { return nil }
