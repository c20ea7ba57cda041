package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/exchange/sim"
)

// replaySources opens the files of arguments such as BTCUSDT=candles.csv.gz. The
// caller calls closeAll once they have been read, also after an error.
func replaySources(args []string) (out []sim.ReplaySource, closeAll func() error, err error) {
	var files []*os.File
	closeAll = func() error {
		var errs []error
		for _, f := range files {
			errs = append(errs, f.Close())
		}
		return errors.Join(errs...)
	}
	for _, a := range args {
		name, path, ok := strings.Cut(a, "=")
		if !ok || path == "" {
			return nil, closeAll, fmt.Errorf("%w: --replay %.100q: want SYMBOL=FILE", errUsage, a)
		}
		symbol, err := market.ParseSymbol(name)
		if err != nil {
			return nil, closeAll, fmt.Errorf("%w: --replay: %v", errUsage, err)
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, closeAll, fmt.Errorf("%w: --replay: %v", errUsage, err)
		}
		files = append(files, f)
		out = append(out, sim.ReplaySource{Symbol: symbol, Name: filepath.Base(path), Reader: f})
	}
	return out, closeAll, nil
}
