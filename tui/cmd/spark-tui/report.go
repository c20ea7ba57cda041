package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

// reporting are the flags of "report".
type reporting struct {
	format string
	seq    int64
	file   string
	force  bool
	json   bool
}

func (p *program) reportCommand() *cobra.Command {
	var r reporting
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Print or save the post-deployment report",
		Long: `Print or save the post-deployment report, as Markdown, as one HTML file or as JSON.

It is made from the journal alone: the same --seq gives the same bytes. A file gets
the bytes as they came, all or none; one that exists is kept unless --force is given.
On a terminal control characters are taken out.

Exit codes: 0 done, 1 refused or not written, 2 misused, 3 the observer cannot be
reached.`,
		Example: `  spark-tui report | less
  spark-tui report -o hypercare.md
  spark-tui report --format html -o hypercare.html --force
  spark-tui report --format json --seq 341 | sha256sum`,
		Args: p.noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.json {
				if cmd.Flags().Changed("format") && r.format != "json" {
					return misuse("--json and --format %s contradict each other", r.format)
				}
				r.format = "json"
			}
			if cmd.Flags().Changed("seq") && r.seq < 1 {
				return misuse("--seq counts from 1")
			}
			return p.report(cmd.Context(), r)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.format, "format", "md", "md, html or json")
	f.Int64Var(&r.seq, "seq", 0, "as it was after this record of the journal (default: the newest)")
	f.StringVarP(&r.file, "output", "o", "", "write to this file")
	f.BoolVar(&r.force, "force", false, "replace a file that exists")
	f.BoolVar(&r.json, "json", false, "the same as --format json")
	p.commonFlags(cmd)
	return cmd
}

func (p *program) report(ctx context.Context, r reporting) error {
	if !slices.Contains([]string{"md", "html", "json"}, r.format) {
		return misuse("--format %s: md, html or json", r.format)
	}
	if r.file == "-" {
		r.file = ""
	}
	o, err := p.observer()
	if err != nil {
		return err
	}
	if r.file != "" { // before the observer works for nothing
		if err := mayWrite(r.file, r.force); err != nil {
			return err
		}
	}
	query := url.Values{"format": {r.format}}
	if r.seq > 0 {
		query.Set("seq", strconv.FormatInt(r.seq, 10))
	}
	text, err := o.ask(ctx, http.MethodGet, wire.PathReport+"?"+query.Encode(), nil, reportTimeout)
	if err != nil {
		return err
	}
	if r.file != "" {
		return writeWhole(r.file, text, r.force)
	}
	if _, terminal := p.screen(); terminal {
		text = cleanLines(text)
	}
	_, err = p.stdout.Write(text)
	return err
}

// cleanLines makes a text of any length safe for a terminal.
func cleanLines(text []byte) []byte {
	var out []byte
	for line := range strings.Lines(string(text)) {
		out = append(out, safetext.Clean(strings.TrimRight(line, "\r\n"))...)
		out = append(out, '\n')
	}
	return out
}

// mayWrite says why a file must not be written.
func mayWrite(name string, force bool) error {
	switch info, err := os.Stat(name); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file", name) // a device would be replaced by one
	case !force:
		return fmt.Errorf("%s exists: --force replaces it", name)
	}
	return nil
}

// writeWhole writes a file of mode 0644, all or nothing: nobody sees a part of it,
// and a crash leaves what was there. Without force it never replaces one, also none
// that appeared meanwhile.
func writeWhole(name string, text []byte, force bool) error {
	if err := mayWrite(name, force); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	temporary := f.Name()
	defer os.Remove(temporary) //nolint:errcheck // gone after the rename, and of no use otherwise
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if force {
		return os.Rename(temporary, name)
	}
	switch err := os.Link(temporary, name); {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s exists: --force replaces it", name)
	case err == nil:
		return nil
	}
	// A file system without hard links: the name is taken first, so that whoever was
	// faster is not overwritten.
	taken, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_ = taken.Close()
	return os.Rename(temporary, name)
}
