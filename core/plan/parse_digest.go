package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// wordsOnly are fields of a check that cannot change its verdict: a person who mends
// a link or a graph during a run should not send the check back to pending. A field
// that is not named here counts, so that a new one is safe until somebody thinks.
var wordsOnly = []string{
	"Line", "Column", "Digest", "Text", "Runbook", "Due", "Decide", "Incident", "Graph", "Show", "ShowUnit",
}

// digest sets the digests of the plan and of its checks. They do not change when
// prose is reflowed, and a field of zero is not written, so that digests of old plans
// survive new fields.
func (p *Plan) digest() {
	before := time.Duration(0)
	b := make([]byte, 0, 2*len(p.Text)) // for all of them: most of the time was memory
	for _, c := range p.Checkpoints {
		for _, k := range c.Checks() {
			k.Digest = p.checkDigest(b, c, k, before)
		}
		before = c.Offset
	}
	p.Digest = sum(canonical(b, "plan", reflect.ValueOf(*p), func(path string) bool {
		// The words of a check count here, the Markdown of the whole does not.
		return path == "plan.Text" || slices.Contains([]string{"Line", "Column", "Digest"}, lastField(path))
	}))
}

func lastField(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

var parameterName = regexp.MustCompile(`\$([a-z][a-z0-9_]*)`)

// checkDigest covers the check, when it is judged, and the parameters it uses. It
// writes into b, which is empty.
func (p *Plan) checkDigest(b []byte, c *Checkpoint, k *Check, before time.Duration) string {
	b = fmt.Appendf(b, "at %d window %d\n", c.Offset, c.Window)
	if k.Mode == Window && k.Source.Window == 0 && k.Source.Language != SourceSLO { // which is judged from T0 on
		b = fmt.Appendf(b, "since %d\n", before)
	}
	if k.Kind != Auto {
		b = fmt.Appendf(b, "words %q\n", k.Text) // a person judges them
	}
	b = canonical(b, "check", reflect.ValueOf(*k), func(path string) bool {
		return slices.Contains(wordsOnly, lastField(path))
	})
	for _, name := range p.parametersOf(k) {
		if v, ok := p.Params[name]; ok {
			b = canonical(b, "$"+name, reflect.ValueOf(v), func(string) bool { return false })
		}
	}
	return sum(b)
}

// parametersOf lists the parameters that can change a check's verdict. Those of
// target= and limit= are already numbers in the source.
func (p *Plan) parametersOf(k *Check) []string {
	s := &k.Source
	var names []string
	for _, text := range []string{s.Query, s.Good, s.Total, s.Events, s.Baseline} {
		for _, m := range parameterName.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
	}
	for _, e := range []*Expect{s.Expect, s.WarnIf, s.FailIf} {
		if e != nil {
			_, params := e.Fields()
			names = append(names, params...)
		}
	}
	if s.Each != "" {
		names = append(names, s.Each)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// canonical appends a value as lines of path=value, without fields of zero and those
// that skip names.
func canonical(b []byte, path string, v reflect.Value, skip func(path string) bool) []byte {
	switch v.Kind() {
	case reflect.Pointer:
		if e, ok := v.Interface().(*Expect); ok {
			return strconv.AppendQuote(append(append(b, path...), '='), e.Text)
		}
		b = canonical(b, path, v.Elem(), skip)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			if f.IsZero() { // most are: their names cost nothing
				continue
			}
			if name := path + "." + v.Type().Field(i).Name; !skip(name) {
				b = append(canonical(b, name, f, skip), '\n')
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			b = append(append(b, path...), '[')
			b = canonical(append(strconv.AppendInt(b, int64(i), 10), ']'), path+"[]", v.Index(i), skip)
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		for _, k := range keys {
			b = append(append(b, path...), '{')
			b = canonical(append(strconv.AppendQuote(b, k.String()), '}'), path+"{}", v.MapIndex(k), skip)
		}
	case reflect.String:
		b = strconv.AppendQuote(append(append(b, path...), '='), v.String())
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint8:
		b = fmt.Append(append(append(b, path...), '='), v)
	case reflect.Float64:
		b = strconv.AppendFloat(append(append(b, path...), '='), v.Float(), 'g', -1, 64)
	default:
		panic("a field of a kind that has no canonical form: " + path)
	}
	return b
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
