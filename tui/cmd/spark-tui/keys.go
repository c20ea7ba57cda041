package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

const keyHelp = "file of the private key (default: $XDG_CONFIG_HOME/spark/key)"

// keyInfo is the public half of a key.
type keyInfo struct {
	Name string `json:"name"`
	Key  string `json:"key"` // the verifier
	File string `json:"file"`
}

func (p *program) keysCommand() *cobra.Command {
	return p.group(&cobra.Command{
		Use:   "keys",
		Short: "Make and show your signing key, list those that are enrolled",
		Long: `Make and show your signing key, list those that are enrolled.

The private key never leaves this machine. The public line that "generate" and "show"
print is enrolled in the observer's configuration with your name and roles.`,
		Example: `  spark-tui keys generate --name ada
  spark-tui keys show
  spark-tui keys list`,
	}, p.keysGenerateCommand(), p.keysShowCommand(), p.keysListCommand())
}

func (p *program) keysGenerateCommand() *cobra.Command {
	var name, file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Make an Ed25519 signing key",
		Long: `Make an Ed25519 signing key and print its public line. The file is readable by you
alone; one that exists is never replaced, because what it signed could not be signed
again.

Exit codes: 0 made, 1 not made, 2 misused.`,
		Example: `  spark-tui keys generate --name ada
  spark-tui keys generate --name ada --key ~/keys/spark   elsewhere`,
		Args: p.noArguments,
		RunE: func(*cobra.Command, []string) error { return p.generateKey(name, file, asJSON) },
	}
	cmd.Flags().StringVar(&name, "name", "", "your name in signatures: letters, digits, - . _ @ (default: $USER)")
	cmd.Flags().StringVar(&file, "key", "", keyHelp)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (p *program) generateKey(name, file string, asJSON bool) error {
	if name == "" {
		if name = p.getenv("USER"); name == "" {
			return misuse("--name is missing, and $USER is empty")
		}
	}
	signer, verifier, err := chain.GenerateKey(rand.Reader, name)
	if err != nil {
		return misuse("--name: %v", err)
	}
	if file, err = p.keyFile(file); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := writeKey(file, signer); err != nil {
		return err
	}
	if asJSON {
		return p.printJSON(keyInfo{Name: name, Key: verifier, File: file})
	}
	fmt.Fprintf(p.stderr, "The private key of %s is in %s: keep a copy where nobody else can read it.\nEnrol this line in the observer's configuration:\n", name, safetext.Clean(file))
	_, err = fmt.Fprintln(p.stdout, verifier)
	return err
}

// writeKey makes a file of mode 0600, and never writes into one that exists.
func writeKey(file, signer string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is kept: name another file with --key", file)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(signer + "\n")
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(file) // half a key would stand in the way of a whole one
	}
	return err
}

// keyFile returns --key, or where the key lies by default.
func (p *program) keyFile(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	dir := p.getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // also what the specification of XDG ignores
		home := p.getenv("HOME")
		if home == "" {
			home = p.getenv("USERPROFILE")
		}
		if !filepath.IsAbs(home) {
			return "", misuse("--key is missing, and neither $XDG_CONFIG_HOME nor $HOME says where the key lies")
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "spark", "key"), nil
}

// readKey returns the signer and its verifier. A file that others can read is refused:
// what it signs could be somebody else's. Errors do not show the key.
func (p *program) readKey(given string) (file, signer, verifier string, err error) {
	if file, err = p.keyFile(given); err != nil {
		return "", "", "", err
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", "", fmt.Errorf("no key at %s: \"spark-tui keys generate\" makes one", file)
	}
	if err != nil {
		return "", "", "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", "", "", err
	case !info.Mode().IsRegular():
		return "", "", "", fmt.Errorf("%s is no file", file)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0: // there the bits mean nothing
		return "", "", "", fmt.Errorf("%s has mode %04o, others can read or change it: chmod 600 it, or make a new key if they may have", file, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return "", "", "", err
	}
	signer = strings.TrimSpace(string(text))
	if verifier, err = chain.Public(signer); err != nil {
		return "", "", "", fmt.Errorf("%s: %w", file, err)
	}
	return file, signer, verifier, nil
}

func (p *program) keysShowCommand() *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the public line of your key",
		Long: `Print the public line of your key.

Exit codes: 0 done, 1 there is none or it cannot be used, 2 misused.`,
		Example: `  spark-tui keys show
  spark-tui verify journal.jsonl --key "$(spark-tui keys show)"`,
		Args: p.noArguments,
		RunE: func(*cobra.Command, []string) error {
			file, _, verifier, err := p.readKey(file)
			if err != nil {
				return err
			}
			if !asJSON {
				_, err := fmt.Fprintln(p.stdout, verifier)
				return err
			}
			name, err := chain.KeyName(verifier)
			if err != nil {
				return err
			}
			return p.printJSON(keyInfo{Name: name, Key: verifier, File: file})
		},
	}
	cmd.Flags().StringVar(&file, "key", "", keyHelp)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (p *program) keysListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print the keys that the observer knows",
		Long: `Print the public keys that the observer knows, with the roles they may act in.

Exit codes: 0 done, 1 refused, 2 misused, 3 the observer cannot be reached.`,
		Example: `  spark-tui keys list
  spark-tui keys list --json | jq -r '.[].key'`,
		Args: p.noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.listKeys(cmd.Context(), asJSON) },
	}
	jsonFlag(cmd, &asJSON)
	p.commonFlags(cmd)
	return cmd
}

func (p *program) listKeys(ctx context.Context, asJSON bool) error {
	o, err := p.observer()
	if err != nil {
		return err
	}
	var a wire.Keys
	if err := o.get(ctx, wire.PathKeys, &a); err != nil {
		return err
	}
	if asJSON {
		return p.printJSON(append([]wire.OperatorKey{}, a.Keys...))
	}
	if len(a.Keys) == 0 {
		_, err := fmt.Fprintln(p.stdout, "no key is enrolled")
		return err
	}
	t := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tROLES\tKEY")
	for _, k := range a.Keys {
		fmt.Fprintf(t, "%s\t%s\t%s\n", safetext.Clean(k.Name), safetext.Clean(strings.Join(k.Roles, ",")), safetext.Clean(k.Key))
	}
	return t.Flush()
}
