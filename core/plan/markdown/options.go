package markdown

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Option is one of key=value, key="a value", key='a value' or a bare word.
type Option struct {
	Key   string
	Value string
	Bare  bool
	At    int // of the key
	From  int // of the value's first character
}

var optionKey = regexp.MustCompile(`^[a-z][a-z0-9-]*`)

// ParseOptions reads options from s, which stands at the offset. What cannot be read
// is added to the document's errors. s may also be one JSON object of texts, numbers
// and true.
func (d *Document) ParseOptions(s string, at int) []Option {
	trimmed := strings.TrimLeft(s, " \t\n")
	if strings.HasPrefix(trimmed, "{") {
		return d.jsonOptions(trimmed, at+len(s)-len(trimmed))
	}
	var out []Option
	for i := 0; ; {
		for i < len(s) && strings.IndexByte(" \t\n", s[i]) >= 0 {
			i++
		}
		if i >= len(s) {
			return out
		}
		o := Option{Key: optionKey.FindString(s[i:]), At: at + i, From: at + i}
		i += len(o.Key)
		switch {
		case o.Key == "":
			d.Errorf(o.At, `key=value or key="a value" is meant here`)
			return out
		case i >= len(s) || strings.IndexByte(" \t\n", s[i]) >= 0:
			o.Bare = true
		case s[i] != '=':
			d.Errorf(at+i, "%q has no meaning behind %s: key=value is meant", s[i:i+1], o.Key)
			return out
		default:
			n, ok := d.optionValue(s[i+1:], at+i+1, &o)
			if !ok {
				return out
			}
			i += 1 + n
		}
		if slices.ContainsFunc(out, func(p Option) bool { return p.Key == o.Key }) {
			d.Errorf(o.At, "%s is stated twice", o.Key)
			continue
		}
		out = append(out, o)
	}
}

// optionValue reads a value and returns how many bytes it takes.
func (d *Document) optionValue(s string, at int, o *Option) (int, bool) {
	o.From = at
	if s == "" || s[0] != '"' && s[0] != '\'' {
		n := strings.IndexAny(s, " \t\n")
		if n < 0 {
			n = len(s)
		}
		if n == 0 {
			d.Errorf(o.At, "%s= has no value", o.Key)
			return 0, false
		}
		o.Value = s[:n]
		return n, true
	}
	o.From++
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == s[0] || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case s[i] == s[0]:
			if i+1 < len(s) && strings.IndexByte(" \t\n", s[i+1]) < 0 {
				d.Errorf(at+i+1, "a space is missing behind the value of %s", o.Key)
				return 0, false
			}
			o.Value = flat(b.String())
			return i + 1, true
		default:
			b.WriteByte(s[i])
		}
	}
	d.Errorf(at, "the value of %s does not end: close it with %c", o.Key, s[0])
	return 0, false
}

func (d *Document) jsonOptions(s string, at int) []Option {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		d.Errorf(at, "this is no JSON object: %v", err)
		return nil
	}
	if rest := strings.TrimSpace(s[dec.InputOffset():]); rest != "" {
		d.Errorf(at+int(dec.InputOffset()), "%q is left over behind the JSON object", rest)
	}
	var out []Option
	for _, key := range slices.Sorted(maps.Keys(m)) {
		o := Option{Key: key, At: at, From: at}
		if i := strings.Index(s, `"`+key+`"`); i >= 0 {
			o.At = at + i + 1
			rest := s[i+len(key)+2:]
			o.From = at + len(s) - len(strings.TrimLeft(rest, " \t:\""))
		}
		switch v := m[key].(type) {
		case string:
			o.Value = v
		case json.Number:
			o.Value = v.String()
		case bool:
			o.Bare = true
			if !v {
				continue
			}
		default:
			d.Errorf(o.At, "%s has to be a text, a number or true", key)
			continue
		}
		out = append(out, o)
	}
	return out
}

// Setter takes an option's value; an error becomes an error at the value.
type Setter func(value string) error

// Apply hands each option to the setter of its key. Options without a setter, bare
// words that need a value and values of bare words are errors.
func (d *Document) Apply(options []Option, values map[string]Setter, flags map[string]func()) {
	for _, o := range options {
		set, isValue := values[o.Key]
		flag, isFlag := flags[o.Key]
		switch {
		case isFlag && o.Bare:
			flag()
		case isFlag:
			d.Errorf(o.At, "%s takes no value", o.Key)
		case isValue && o.Bare:
			d.Errorf(o.At, "%s needs a value: %s=…", o.Key, o.Key)
		case isValue:
			if err := set(o.Value); err != nil {
				d.Errorf(o.From, "%s: %v", o.Key, err)
			}
		default:
			known := slices.AppendSeq(slices.Collect(maps.Keys(values)), maps.Keys(flags))
			d.Errorf(o.At, "%s", Unknown("option", o.Key, known))
		}
	}
}
