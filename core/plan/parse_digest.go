package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"reflect"
	"regexp"
	"slices"
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
	for _, c := range p.Checkpoints {
		for _, k := range c.Checks() {
			k.Digest = p.checkDigest(c, k, before)
		}
		before = c.Offset
	}
	h := sha256.New()
	canonical(h, "plan", reflect.ValueOf(*p), func(path string) bool {
		// The words of a check count here, the Markdown of the whole does not.
		return path == "plan.Text" || slices.Contains([]string{"Line", "Column", "Digest"}, lastField(path))
	})
	p.Digest = hex.EncodeToString(h.Sum(nil))
}

func lastField(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

var parameterName = regexp.MustCompile(`\$([a-z][a-z0-9_]*)`)

// checkDigest covers the check, when it is judged, and the parameters it uses.
func (p *Plan) checkDigest(c *Checkpoint, k *Check, before time.Duration) string {
	h := sha256.New()
	fmt.Fprintf(h, "at %d window %d\n", c.Offset, c.Window)
	if k.Mode == Window && k.Source.Window == 0 {
		fmt.Fprintf(h, "since %d\n", before)
	}
	if k.Kind != Auto {
		fmt.Fprintf(h, "words %q\n", k.Text) // a person judges them
	}
	canonical(h, "check", reflect.ValueOf(*k), func(path string) bool {
		return slices.Contains(wordsOnly, lastField(path))
	})
	for _, name := range p.parametersOf(k) {
		if v, ok := p.Params[name]; ok {
			canonical(h, "$"+name, reflect.ValueOf(v), func(string) bool { return false })
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// parametersOf lists the parameters that can change a check's verdict. Those of
// target= and limit= are already numbers in the source.
func (p *Plan) parametersOf(k *Check) []string {
	s := &k.Source
	var names []string
	for _, text := range []string{s.Query, s.Good, s.Total, s.Events} {
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

// canonical writes a value as lines of path=value, without fields of zero and those
// that skip names.
func canonical(h hash.Hash, path string, v reflect.Value, skip func(path string) bool) {
	if skip(path) || v.IsZero() {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if e, ok := v.Interface().(*Expect); ok {
			fmt.Fprintf(h, "%s=%q\n", path, e.Text)
			return
		}
		canonical(h, path, v.Elem(), skip)
	case reflect.Struct:
		fmt.Fprintf(h, "%s\n", path)
		for i := range v.NumField() {
			canonical(h, path+"."+v.Type().Field(i).Name, v.Field(i), skip)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fmt.Fprintf(h, "%s[%d]\n", path, i)
			canonical(h, path+"[]", v.Index(i), skip)
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		for _, k := range keys {
			fmt.Fprintf(h, "%s{%q}\n", path, k.String())
			canonical(h, path+"{}", v.MapIndex(k), skip)
		}
	case reflect.String:
		fmt.Fprintf(h, "%s=%q\n", path, v.String())
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint8, reflect.Float64:
		fmt.Fprintf(h, "%s=%v\n", path, v.Interface())
	default:
		panic("a field of a kind that has no canonical form: " + path)
	}
}
