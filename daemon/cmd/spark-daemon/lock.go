package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon"
)

// lockTimeout limits a command about the lock.
const lockTimeout = 10 * time.Second

func (p *program) lockCommand(flags func() map[string]string) *cobra.Command {
	c := &cobra.Command{Use: "lock", Short: "Show or free the leader's lock", Args: noArgs,
		Long: `The lock decides which executor leads. "show" names its state and the safe command:

  free         nobody holds it
  held         as it should be
  dead-holder  its holder has not been heard of for ten seconds
  immortal     it has no time to live: set by hand
  foreign      its value is not the newest term's holder: set by hand, or another program
  wrong-type   the key holds no string
  zombie       its holder renews, and its work stands still
  amnesia      no term is stored, or the server is younger than the lease

"reset" deletes the lock while its holder and epoch are the ones you saw. It cannot
hit a successor, as a plain DEL can. A holder that lives stops before the next one
starts.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(p.lockShowCommand(flags), p.lockResetCommand(flags))
	return c
}

func (p *program) lockShowCommand(flags func() map[string]string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "show", Short: "Say who holds the lock, whether that is sound, and the safe command", Args: noArgs,
		Long: "Exit status: 0 held or free, 1 anything else (and when the store does not answer).",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, _, err := p.options(flags())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), lockTimeout)
			defer cancel()
			l, err := daemon.ShowLock(ctx, o)
			if err != nil {
				return err
			}
			if err := p.printLock(l, asJSON); err != nil {
				return err
			}
			if l.State != "held" && l.State != "free" {
				return fmt.Errorf("the lock is %s", l.State)
			}
			return nil
		}}
	c.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return c
}

func (p *program) printLock(l wire.Lock, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(l)
	}
	left := "for ever"
	if l.LeaseRemainingMS >= 0 {
		left = (time.Duration(l.LeaseRemainingMS) * time.Millisecond).String()
	}
	heard := "never"
	if l.HolderAgeMS != nil {
		heard = (time.Duration(*l.HolderAgeMS) * time.Millisecond).String() + " ago"
	}
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-9s%s\n", name, safetext.Clean(value))
		}
	}
	line("state", l.State)
	line("", l.Sentence)
	line("key", l.Key)
	if l.Holder != "" {
		line("holder", l.Holder)
		line("epoch", strconv.FormatInt(l.Epoch, 10))
		line("left", left)
		line("heard", heard)
	}
	for _, w := range l.Warnings {
		line("warning", w)
	}
	line("command", l.Command)
	_, err := fmt.Fprint(p.stdout, b.String())
	return err
}

func (p *program) lockResetCommand(flags func() map[string]string) *cobra.Command {
	var expect string
	var asJSON bool
	c := &cobra.Command{Use: "reset --expect HOLDER@EPOCH", Short: "Free the lock if it is still the one you saw", Args: noArgs,
		Long: `Deletes the lock while its value is HOLDER and its term's epoch is EPOCH ("lock
show" prints the command; the epoch of a value that belongs to no term is 0).
Otherwise nothing is changed, what is there is printed, and the exit status is 1.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			holder, epoch, err := parseExpect(expect)
			if err != nil {
				return err
			}
			o, _, err := p.options(flags())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), lockTimeout)
			defer cancel()
			out, err := daemon.ResetLock(ctx, o, holder, epoch)
			if asJSON {
				if jsonErr := json.NewEncoder(p.stdout).Encode(out); jsonErr != nil {
					return jsonErr
				}
			}
			if err == nil && !asJSON {
				_, err = fmt.Fprintf(p.stdout, "freed: %s, epoch %d\n", safetext.Clean(out.Holder), out.Epoch)
			}
			return err
		}}
	c.Flags().StringVar(&expect, "expect", "", "HOLDER@EPOCH as \"lock show\" prints it (required)")
	c.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return c
}

// parseExpect splits at the last @: a holder may have one of its own.
func parseExpect(s string) (holder string, epoch int64, err error) {
	at := strings.LastIndexByte(s, '@')
	if at >= 0 {
		epoch, err = strconv.ParseInt(s[at+1:], 10, 64)
	}
	if at < 0 || err != nil || epoch < 0 {
		return "", 0, fmt.Errorf("%w: --expect %.200q: want HOLDER@EPOCH, as \"lock show\" prints it", errUsage, s)
	}
	return s[:at], epoch, nil
}
