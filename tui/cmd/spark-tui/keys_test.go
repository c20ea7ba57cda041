package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spark-ta/spark/core/wire"
)

func TestAKeyIsOnePersonsAlone(t *testing.T) {
	ada := newLead(t, "ada")
	before, err := os.ReadFile(ada.file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(ada.file)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the key: %v, %v", info.Mode(), err)
	}
	if code, out, errs := command(t, ada.env, "keys", "generate", "--name", "eve"); code != exitFailed || out != "" || !strings.Contains(errs, "is kept") {
		t.Errorf("keys generate again = %d, %q, %q", code, out, errs)
	}
	if after, err := os.ReadFile(ada.file); err != nil || string(after) != string(before) {
		t.Errorf("the key changed: %v", err)
	}
	if code, out, errs := command(t, []string{"HOME=" + filepath.Dir(ada.file)}, "keys", "show", "--key", ada.file); code != exitOK || out != ada.verifier+"\n" || errs != "" {
		t.Errorf("keys show = %d, %q, %q, want %q", code, out, errs, ada.verifier)
	}
	code, out, _ := command(t, ada.env, "keys", "show", "--json")
	var k keyInfo
	if err := json.Unmarshal([]byte(out), &k); err != nil || code != exitOK || k != (keyInfo{"ada", ada.verifier, ada.file}) {
		t.Errorf("keys show --json = %d, %+v, %v", code, k, err)
	}
	home := t.TempDir()
	if code, _, errs := command(t, []string{"HOME=" + home, "USER=grace"}, "keys", "generate", "--json"); code != exitOK || errs != "" {
		t.Errorf("keys generate in a home = %d, %q", code, errs)
	}
	if _, err := os.Stat(filepath.Join(home, ".config", "spark", "key")); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(string) error{
		"mode 0640":                 func(f string) error { return os.Chmod(f, 0o640) },
		"no key at":                 os.Remove,
		"is no file":                func(f string) error { _ = os.Remove(f); return os.Mkdir(f, 0o700) },
		"private key: malformed":    func(f string) error { return os.WriteFile(f, []byte("hello"), 0o600) },
		"private key: malformed ":   func(f string) error { return os.WriteFile(f, []byte(strings.ToLower(string(before))), 0o600) },
		"private key: malformed  ":  func(f string) error { return os.WriteFile(f, []byte(ada.verifier), 0o600) },
		"private key: malformed   ": func(f string) error { return os.WriteFile(f, nil, 0o600) },
	} {
		if runtime.GOOS == "windows" && strings.HasPrefix(name, "mode") {
			continue
		}
		l := newLead(t, "ada")
		if err := spoil(l.file); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"keys", "show"}, {"sign", "--role", roleOperations, "--decision", "close", "--yes", "--url", nowhere(t)}} {
			if code, out, errs := command(t, l.env, args...); code != exitFailed || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, strings.TrimSpace(name)) {
				t.Errorf("%s: %q = %d, %q, %q", name, args, code, out, errs)
			}
		}
	}
}

func TestKeysAreListed(t *testing.T) {
	o := newObserver(t)
	o.serve("GET "+wire.PathKeys, wire.Keys{OK: true, Keys: []wire.OperatorKey{{Name: "ada\x1b[2J", Key: "ada+1+x", Roles: []string{roleOperations}}}})
	if code, out, errs := command(t, nil, "keys", "list", "--url", o.URL); code != exitOK || errs != "" || !strings.Contains(out, "ada   operations-lead  ada+1+x") || strings.Contains(out, "\x1b") {
		t.Errorf("keys list = %d, %q, %q", code, out, errs)
	}
	code, out, _ := command(t, nil, "keys", "list", "--json", "--url", o.URL)
	var keys []wire.OperatorKey
	if err := json.Unmarshal([]byte(out), &keys); err != nil || code != exitOK || len(keys) != 1 {
		t.Errorf("keys list --json = %d, %q, %v", code, out, err)
	}
	o.serve("GET "+wire.PathKeys, wire.Keys{OK: true})
	if code, out, _ := command(t, nil, "keys", "list", "--json", "--url", o.URL); code != exitOK || out != "[]\n" {
		t.Errorf("keys list --json of none = %d, %q", code, out)
	}
	if code, out, _ := command(t, nil, "keys", "list", "--url", o.URL); code != exitOK || out != "no key is enrolled\n" {
		t.Errorf("keys list of none = %d, %q", code, out)
	}
	if code, _, _ := command(t, nil, "keys", "list", "--url", nowhere(t)); code != exitUnreachable {
		t.Errorf("keys list of nothing = %d", code)
	}
}
