package chain_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/spark-ta/spark/core/chain"
)

const text = "plan: a\n\nrun: b\n"

// key makes a key from a seed of one repeated byte.
func key(t testing.TB, name string, seed byte) (signer, verifier string) {
	t.Helper()
	signer, verifier, err := chain.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 64)), name)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

func sign(t testing.TB, text, signer string) []byte {
	t.Helper()
	signed, err := chain.Sign(text, signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestTwoPeopleSignTheSameBytes(t *testing.T) {
	opsKey, ops := key(t, "ann@example.com", 1)
	devKey, dev := key(t, "Bob-2_x.y", 2)
	_, other := key(t, "carl", 3)
	one := sign(t, text, opsKey)
	if got, who, err := chain.Open(one, ops, dev); err != nil || got != text || !slices.Equal(who, []string{"ann@example.com"}) {
		t.Errorf("Open = %q, %v, %v, want the text signed by ann", got, who, err)
	}
	if _, _, err := chain.OpenAll(one, ops, dev); !errors.Is(err, chain.ErrUnsigned) || !strings.Contains(err.Error(), "Bob-2_x.y") {
		t.Errorf("OpenAll of one signature = %v, want ErrUnsigned by Bob", err)
	}
	both, err := chain.AddSignature(one, devKey)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(both, one) {
		t.Errorf("the first signature changed:\n%s\n%s", one, both)
	}
	if got, who, err := chain.OpenAll(both, dev, ops); err != nil || got != text || !slices.Equal(who, []string{"Bob-2_x.y", "ann@example.com"}) {
		t.Errorf("OpenAll = %q, %v, %v, want the text signed by both", got, who, err)
	}
	if _, _, err := chain.Open(both, other); !errors.Is(err, chain.ErrUnsigned) {
		t.Errorf("Open by a stranger's key = %v, want ErrUnsigned", err)
	}
	if _, _, err := chain.Open(both); !errors.Is(err, chain.ErrUnsigned) {
		t.Errorf("Open by no key = %v, want ErrUnsigned", err)
	}
	if _, _, err := chain.OpenAll(both); !errors.Is(err, chain.ErrUnsigned) {
		t.Errorf("OpenAll by no key = %v, want ErrUnsigned", err)
	}
	for i := range both {
		changed := bytes.Clone(both)
		changed[i] ^= 1
		if got, who, err := chain.OpenAll(changed, ops, dev); err == nil {
			t.Errorf("byte %d changed: OpenAll = %q by %v, want an error", i, got, who)
		}
	}
}

func TestOneKeyIsNotTwoPeople(t *testing.T) {
	annKey, ann := key(t, "ann", 1)
	bobKey, bob := key(t, "bob", 1) // the same seed
	carlKey, carl := key(t, "carl", 3)
	ann2Key, ann2 := key(t, "ann", 4)
	if err := chain.Distinct(ann, carl); err != nil {
		t.Errorf("Distinct = %v, want nil", err)
	}
	signed := sign(t, text, annKey)
	for name, tt := range map[string]struct {
		signer   string
		verifier string
		same     bool
	}{
		"the same key":               {annKey, ann, true},
		"the same key, other name":   {bobKey, bob, true},
		"another key, the same name": {ann2Key, ann2, false},
	} {
		if _, err := chain.AddSignature(signed, tt.signer); err == nil || errors.Is(err, chain.ErrSameKey) != tt.same {
			t.Errorf("%s: AddSignature = %v, want an error, ErrSameKey %t", name, err, tt.same)
		}
		if err := chain.Distinct(carl, ann, tt.verifier); err == nil || errors.Is(err, chain.ErrSameKey) != tt.same {
			t.Errorf("%s: Distinct = %v, want an error, ErrSameKey %t", name, err, tt.same)
		}
		if _, _, err := chain.Open(signed, ann, tt.verifier); err == nil || errors.Is(err, chain.ErrSameKey) != tt.same {
			t.Errorf("%s: Open = %v, want an error, ErrSameKey %t", name, err, tt.same)
		}
	}
	// Even a note that was put together without AddSignature.
	a, err := note.NewSigner(annKey)
	if err != nil {
		t.Fatal(err)
	}
	b, err := note.NewSigner(bobKey)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := note.Sign(&note.Note{Text: text}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := chain.OpenAll(forged, ann, bob); !errors.Is(err, chain.ErrSameKey) {
		t.Errorf("OpenAll of two signatures by one key = %v, want ErrSameKey", err)
	}
	// A key can be written in one way only, so two texts are two keys.
	name, hash, _ := strings.Cut(ann, "+")
	for _, other := range []string{name + "+" + hash[:20] + "\n" + hash[20:], ann + "\n", name + "+" + strings.ToUpper(hash[:8]) + hash[8:]} {
		if _, err := chain.KeyName(other); err == nil && other != ann {
			t.Errorf("KeyName(%q) = nil, want an error", other)
		}
	}
	if both, err := chain.AddSignature(signed, carlKey); err != nil {
		t.Error(err)
	} else if _, err := chain.AddSignature(both, carlKey); !errors.Is(err, chain.ErrSameKey) {
		t.Errorf("AddSignature a second time = %v, want ErrSameKey", err)
	}
}

func TestKeys(t *testing.T) {
	signer, verifier := key(t, "ann", 7)
	if again, _ := key(t, "ann", 7); again != signer {
		t.Error("the same random bytes make another key")
	}
	if got, err := chain.Public(signer); err != nil || got != verifier {
		t.Errorf("Public = %q, %v, want %q", got, err, verifier)
	}
	if name, err := chain.KeyName(verifier); err != nil || name != "ann" {
		t.Errorf("KeyName = %q, %v, want ann", name, err)
	}
	for _, name := range []string{"", "a b", "a+b", "a\nb", "a\x00", "é", "a/b", strings.Repeat("x", 65), "\u202eab", "a\u00a0b"} {
		if s, v, err := chain.GenerateKey(bytes.NewReader(make([]byte, 64)), name); err == nil || s+v != "" {
			t.Errorf("GenerateKey(%q) = %q, %v, want an error", name, v, err)
		}
	}
	if _, _, err := chain.GenerateKey(bytes.NewReader(make([]byte, 31)), "ann"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("GenerateKey with too few random bytes = %v, want io.ErrUnexpectedEOF", err)
	}
	if _, _, err := chain.GenerateKey(nil, "ann"); err == nil {
		t.Error("GenerateKey without random bytes = nil, want an error")
	}
	secret := signer[strings.LastIndex(signer, "+")+1:]
	foreign, _, err := note.GenerateKey(bytes.NewReader(make([]byte, 64)), "é") // a name that note allows
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", verifier, signer[:len(signer)-8], strings.Replace(signer, "ann", "bob", 1), signer + "A", foreign} {
		if _, err := chain.Public(bad); err == nil || strings.Contains(err.Error(), secret[:20]) {
			t.Errorf("Public(%q) = %v, want an error without the key", bad, err)
		}
		if _, err := chain.Sign(text, bad); err == nil || strings.Contains(err.Error(), secret[:20]) {
			t.Errorf("Sign by %q = %v, want an error without the key", bad, err)
		}
		if _, err := chain.AddSignature(sign(t, text, signer), bad); err == nil {
			t.Errorf("AddSignature by %q = nil, want an error", bad)
		}
	}
	for _, bad := range []string{"", "x", signer, strings.Replace(verifier, "ann", "bob", 1), verifier[:len(verifier)-4]} {
		if _, err := chain.KeyName(bad); err == nil {
			t.Errorf("KeyName(%q) = nil, want an error", bad)
		}
		if _, _, err := chain.Open(sign(t, text, signer), verifier, bad); err == nil {
			t.Errorf("Open by %q = nil, want an error", bad)
		}
	}
}

func TestWhatCannotBeSigned(t *testing.T) {
	signer, verifier := key(t, "ann", 7)
	for _, bad := range []string{"", "no newline", "\xff\n", "a\tb\n", "a\r\n", "\x1b[2J\n", strings.Repeat("x", 1<<20) + "\n"} {
		if signed, err := chain.Sign(bad, signer); err == nil {
			t.Errorf("Sign(%.40q) = %.80q, want an error", bad, signed)
		}
	}
	for _, good := range []string{"\n", "a\n\n\n", "é — not a signature\n", "x\n\n— ann abc\n"} {
		signed := sign(t, good, signer)
		if got, _, err := chain.OpenAll(signed, verifier); err != nil || got != good {
			t.Errorf("%q signed and opened is %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{"", "text\n", "text\n\nno signature\n", "text\n\n— ann !!!\n", strings.Repeat("x", 2<<20)} {
		if _, err := chain.AddSignature([]byte(bad), signer); err == nil {
			t.Errorf("AddSignature(%.40q) = nil, want an error", bad)
		}
		if _, _, err := chain.Open([]byte(bad), verifier); err == nil {
			t.Errorf("Open(%.40q) = nil, want an error", bad)
		}
	}
}

// FuzzOpen: what opens is what was signed.
func FuzzOpen(f *testing.F) {
	signer, verifier := key(f, "ann", 7)
	f.Add(sign(f, text, signer))
	f.Add([]byte("x\n\n— ann " + base64.StdEncoding.EncodeToString(make([]byte, 68)) + "\n"))
	second, other := key(f, "bob", 8)
	f.Fuzz(func(t *testing.T, signed []byte) {
		if got, _, err := chain.Open(signed, verifier); err == nil && got != text {
			t.Fatalf("Open(%q) = %q, which was never signed", signed, got)
		}
		both, err := chain.AddSignature(signed, second)
		if err != nil {
			return
		}
		if _, who, err := chain.Open(both, other); err != nil || !slices.Equal(who, []string{"bob"}) {
			t.Fatalf("after AddSignature(%q) Open = %v, %v", signed, who, err)
		}
	})
}
