package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// component is one part that runs until its context ends.
type component struct {
	name string
	run  func(context.Context) error
}

// runAll runs the components side by side and returns after all of them have. The
// first that ends, by itself or with an error, ends the others; ending before ctx
// does is an error, because a part that stops by itself leaves a house that only
// looks whole.
func runAll(ctx context.Context, parts ...component) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	var (
		mu   sync.Mutex
		errs []error // guarded by mu
		wg   sync.WaitGroup
	)
	for _, c := range parts {
		wg.Go(func() {
			err := c.run(inner)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && inner.Err() == nil:
				errs = append(errs, fmt.Errorf("%s: stopped by itself", c.name))
			case err != nil && !(inner.Err() != nil && errors.Is(err, context.Canceled)):
				errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
			}
			stop()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
