package chain

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

const (
	maxName = 64      // bytes of a key's name
	maxNote = 1 << 20 // bytes of a note
)

// ErrSameKey means that one key should stand for two people: two verifiers, or the
// two signers of a note, have the same key, under the same name or two.
var ErrSameKey = errors.New("the same key twice")

// ErrUnsigned means that a signature is missing.
var ErrUnsigned = errors.New("not signed")

// GenerateKey makes an Ed25519 key for a person. The signer is the secret half and
// belongs to that person alone, the verifier is for everybody; both are one line of
// text. rand is crypto/rand.Reader; the same bytes make the same key. A name has 1 to
// 64 letters, digits, - . _ and @ of ASCII.
func GenerateKey(rand io.Reader, name string) (signer, verifier string, err error) {
	if err := checkName(name); err != nil {
		return "", "", err
	}
	if rand == nil {
		return "", "", errors.New("key: no source of random bytes")
	}
	signer, verifier, err = note.GenerateKey(rand, name)
	if err != nil {
		return "", "", fmt.Errorf("key: %w", err)
	}
	return signer, verifier, nil
}

func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("name %q: 1 to %d characters are allowed", name, maxName)
	}
	for _, r := range name {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("-._@", r):
		default:
			return fmt.Errorf("name %q: only letters, digits, - . _ and @ are allowed", name)
		}
	}
	return nil
}

// KeyName returns the name in a verifier. It is an error if the verifier is none.
func KeyName(verifier string) (string, error) {
	v, err := newVerifier(verifier)
	if err != nil {
		return "", err
	}
	return v.Name(), nil
}

// Public returns the verifier of a signer. Its errors do not show the signer.
func Public(signer string) (verifier string, err error) {
	s, key, err := newSigner(signer)
	if err != nil {
		return "", err
	}
	return note.NewEd25519VerifierKey(s.Name(), key)
}

// Distinct returns an error unless the verifiers are of different people:
// [ErrSameKey] if two have the same key, another one if two have the same name or one
// is no verifier.
func Distinct(verifiers ...string) error {
	_, err := distinct(verifiers)
	return err
}

func distinct(verifiers []string) ([]note.Verifier, error) {
	var out []note.Verifier
	owner := make(map[string]string) // of a public key, which is written in one way only
	names := make(map[string]bool)
	for _, text := range verifiers {
		v, err := newVerifier(text)
		if err != nil {
			return nil, err
		}
		key := strings.SplitN(text, "+", 3)[2]
		if first, ok := owner[key]; ok {
			return nil, fmt.Errorf("%w: of %s and of %s", ErrSameKey, first, v.Name())
		}
		if names[v.Name()] {
			return nil, fmt.Errorf("two keys have the name %s", v.Name())
		}
		owner[key], names[v.Name()] = v.Name(), true
		out = append(out, v)
	}
	return out, nil
}

func newVerifier(text string) (note.Verifier, error) {
	v, err := note.NewVerifier(text)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	if err := checkName(v.Name()); err != nil {
		return nil, err
	}
	// name+hash+base64 of the algorithm (1) and the key. NewVerifier accepts line breaks
	// in it and a hash in upper case.
	raw, err := base64.StdEncoding.DecodeString(strings.SplitN(text, "+", 3)[2])
	if err != nil {
		return nil, errors.New("public key: no base64")
	}
	if again, err := note.NewEd25519VerifierKey(v.Name(), raw[1:]); err != nil || again != text {
		return nil, fmt.Errorf("public key of %s: not as it was generated", v.Name())
	}
	return v, nil
}

// newSigner also returns the public key.
func newSigner(text string) (note.Signer, ed25519.PublicKey, error) {
	s, err := note.NewSigner(text)
	if err != nil {
		return nil, nil, fmt.Errorf("private key: %w", err)
	}
	if err := checkName(s.Name()); err != nil {
		return nil, nil, err
	}
	// PRIVATE+KEY+name+hash+base64 of the algorithm (1) and the seed: NewSigner has
	// checked it, and hands out no public key.
	parts := strings.SplitN(text, "+", 5)
	raw, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil {
		return nil, nil, errors.New("private key: no base64")
	}
	key, _ := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	return s, key, nil
}

// Sign returns the note of a text with one signature. The text is UTF-8 without
// control characters other than newlines, and ends in one.
func Sign(text, signer string) ([]byte, error) {
	s, _, err := newSigner(signer)
	if err != nil {
		return nil, err
	}
	if err := checkText(text); err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: text}, s)
}

func checkText(text string) error {
	switch {
	case len(text) > maxNote/2:
		return fmt.Errorf("text of %d bytes, at most %d can be signed", len(text), maxNote/2)
	case !strings.HasSuffix(text, "\n"):
		return errors.New("text does not end in a newline")
	case !utf8.ValidString(text):
		return errors.New("text is not UTF-8")
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' }):
		return errors.New("text with control characters")
	}
	return nil
}

// AddSignature adds a signature to a note over the same text, and keeps those that
// are there. It does not verify them: that is [Open]'s. [ErrSameKey] means that the
// key has signed already, under this name or another; a second key of a name that
// has signed is an error as well.
func AddSignature(signed []byte, signer string) ([]byte, error) {
	s, key, err := newSigner(signer)
	if err != nil {
		return nil, err
	}
	n, err := parseNote(signed)
	if err != nil {
		return nil, err
	}
	for _, sig := range n.UnverifiedSigs {
		as, err := note.NewEd25519VerifierKey(sig.Name, key)
		if err != nil {
			return nil, err
		}
		// The hash in a signature is over the name and the key.
		if strings.HasPrefix(as, fmt.Sprintf("%s+%08x+", sig.Name, sig.Hash)) {
			return nil, fmt.Errorf("%w: it has signed as %s", ErrSameKey, sig.Name)
		}
		if sig.Name == s.Name() {
			return nil, fmt.Errorf("another key named %s has signed", sig.Name)
		}
	}
	return note.Sign(n, s)
}

// parseNote reads a note without verifying it.
func parseNote(signed []byte) (*note.Note, error) {
	if len(signed) > maxNote {
		return nil, fmt.Errorf("note of %d bytes, at most %d are read", len(signed), maxNote)
	}
	_, err := note.Open(signed, nil)
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return unverified.Note, checkSignatures(unverified.Note)
	}
	return nil, err // never nil: nobody is known
}

// checkSignatures returns an error if a signature is written in another way than
// [note.Sign] does it: base64 can say the same bytes in several.
func checkSignatures(n *note.Note) error {
	for _, sig := range slices.Concat(n.Sigs, n.UnverifiedSigs) {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return fmt.Errorf("signature of %s: %w", sig.Name, err)
		}
	}
	return nil
}

// Open verifies a note and returns its text and the names of those among verifiers
// who have signed it, in the order of verifiers. It is an error if a signature of one
// of them is false, if none has signed ([ErrUnsigned]), or if two verifiers are of
// the same person (see [Distinct]). Signatures of others do not count.
func Open(signed []byte, verifiers ...string) (text string, who []string, err error) {
	known, err := distinct(verifiers)
	if err != nil {
		return "", nil, err
	}
	if len(signed) > maxNote {
		return "", nil, fmt.Errorf("note of %d bytes, at most %d are read", len(signed), maxNote)
	}
	n, err := note.Open(signed, note.VerifierList(known...))
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return "", nil, fmt.Errorf("%w by anybody known", ErrUnsigned)
	}
	if err == nil {
		err = checkSignatures(n)
	}
	if err != nil {
		return "", nil, err
	}
	for _, v := range known {
		if slices.ContainsFunc(n.Sigs, func(s note.Signature) bool { return s.Name == v.Name() && s.Hash == v.KeyHash() }) {
			who = append(who, v.Name())
		}
	}
	return n.Text, who, nil
}

// OpenAll is [Open] for a note that is only worth something if every one of the
// verifiers, at least one, has signed it: otherwise [ErrUnsigned].
func OpenAll(signed []byte, verifiers ...string) (text string, who []string, err error) {
	text, who, err = Open(signed, verifiers...)
	if err != nil {
		return "", nil, err
	}
	for _, v := range verifiers {
		if name, err := KeyName(v); err != nil || !slices.Contains(who, name) {
			return "", nil, fmt.Errorf("%w by %s", ErrUnsigned, strconv.Quote(name))
		}
	}
	return text, who, nil
}
