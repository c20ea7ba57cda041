package chain_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spark-ta/spark/core/chain"
)

func TestCanonicalForm(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`null`, `null`},
		{" \t\r\n true ", `true`},
		{`[ ]`, `[]`},
		{`{ }`, `{}`},
		{`{"b":1, "a" : [1 ,2,{"y":0,"x":null}]}`, `{"a":[1,2,{"x":null,"y":0}],"b":1}`},
		{`{"z":{"b":{"d":1,"c":2},"a":3},"":0}`, `{"":0,"z":{"a":3,"b":{"c":2,"d":1}}}`},
		{`{"\u0062":1,"a":2}`, `{"a":2,"b":1}`},
		{`{"é":1,"z":2,"Z":3,"\n":4}`, `{"\n":4,"Z":3,"z":2,"é":1}`},
		{`"\u003cb\u003e\/&'"`, `"<b>/&'"`},
		{`"\u0007\u001B\b\t\n\f\r\"\\"`, `"\u0007\u001b\b\t\n\f\r\"\\"`},
		{"\"\x7f\u009b\u2028\u2029\u202a\"", `"\u007f\u009b\u2028\u2029` + "\u202a\""},
		{`"\ud83d\uDE00 \ufffd"`, "\"😀 \ufffd\""},
		{`0`, `0`},
		{`-0`, `-0`},
		{`-12.5`, `-12.5`},
		{`9223372036854775807`, `9223372036854775807`},
		{`-9223372036854775808`, `-9223372036854775808`},
		{`18446744073709551615`, `18446744073709551615`},
		{`100000000000000000000`, `100000000000000000000`},
		{`1e+21`, `1e+21`},
		{`1e-7`, `1e-7`},
		{`0.000001`, `0.000001`},
		{`5e-324`, `5e-324`},
		{`1.7976931348623157e+308`, `1.7976931348623157e+308`},
		{strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 64) + strings.Repeat("]", 64)},
	} {
		got, err := chain.Canonical([]byte(tt.in))
		if err != nil || string(got) != tt.want {
			t.Errorf("Canonical(%s) = %s, %v, want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestWhatHasNoCanonicalFormIsRefused(t *testing.T) {
	for _, tt := range []struct{ in, says string }{
		{``, "no JSON value"},
		{`nul`, "no JSON value"},
		{`NaN`, "no JSON value"},
		{`Infinity`, "no JSON value"},
		{`-Infinity`, "without digits"},
		{`truefalse`, "after the value"},
		{`1 2`, "after the value"},
		{`[1`, "neither , nor ]"},
		{`[1,]`, "no JSON value"},
		{`{"a":1,}`, "no key"},
		{`{"a" 1}`, "no :"},
		{`{a:1}`, "no key"},
		{`{"a":1`, "neither , nor }"},
		{`{"a":1,"a":1}`, "twice"},
		{`{"a":1,"b":2,"\u0061":3}`, "twice"},
		{`[{"x":{"k":1,"j":2,"k":3}}]`, "twice"},
		{`"abc`, "without an end"},
		{`"abc\"`, "without an end"},
		{`"\x41"`, "wrong escape"},
		{`"\u12"`, "wrong escape"},
		{`"\u+123"`, "wrong escape"},
		{`"\ud800"`, "wrong escape"},
		{`"\ud800\u0041"`, "wrong escape"},
		{`"\udc00\ud800"`, "wrong escape"},
		{"\"\xff\"", "UTF-8"},
		{"\"\xed\xa0\x80\"", "UTF-8"},
		{"\"a\nb\"", "control character"},
		{"\ufeff1", "no JSON value"},
		{`01`, "after the value"},
		{`+1`, "no JSON value"},
		{`1.`, "after its point"},
		{`.5`, "no JSON value"},
		{`1e`, "exponent"},
		{`-`, "without digits"},
		{`1.0`, "canonical form 1"},
		{`1e3`, "canonical form 1000"},
		{`1E+21`, "canonical form 1e+21"},
		{`1e-07`, "canonical form 1e-7"},
		{`-0.0`, "canonical form -0"},
		{`0.1000000000000000055511151231257827`, "canonical form 0.1"},
		{`18446744073709551616`, "canonical form 18446744073709552000"},
		{`1e999`, "out of range"},
		{strings.Repeat("1", 100), "too many digits"},
		{strings.Repeat("[", 66) + strings.Repeat("]", 66), "levels"},
		{strings.Repeat(`{"a":`, 100), "levels"},
	} {
		got, err := chain.Canonical([]byte(tt.in))
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("Canonical(%.80q) = %s, %v, want an error with %q", tt.in, got, err, tt.says)
		}
	}
}

// TestWhatGoWritesHasACanonicalForm: a body that encoding/json writes is never
// refused, whatever its numbers and strings are.
func TestWhatGoWritesHasACanonicalForm(t *testing.T) {
	type body struct {
		Z string
		M map[string]any
		F []float64
		G float32
		I int64
		U uint64
	}
	in := body{
		Z: "<script>\u2028\x00\xff",
		M: map[string]any{"b": true, "a": nil, "\xfe": "x"},
		F: []float64{0, math.Copysign(0, -1), 0.1, 1e20, 1e21, 1e-6, 9.999e-7, math.MaxFloat64, math.SmallestNonzeroFloat64, -1.0 / 3, 1 << 53},
		G: 1e-6, I: math.MinInt64, U: math.MaxUint64,
	}
	written, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := chain.Canonical(written)
	if err != nil {
		t.Fatalf("Canonical(%s): %v", written, err)
	}
	var back, want body
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(written, &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, want) {
		t.Errorf("Canonical(%s) = %s, which means something else", written, got)
	}
	for _, f := range in.F {
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := chain.Canonical(b); err != nil || !bytes.Equal(got, b) {
			t.Errorf("Canonical(%s) = %s, %v, want it as it was", b, got, err)
		}
	}
}

// FuzzCanonical holds the canonical form against encoding/json: it is JSON, means the
// same, and is its own canonical form.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":[true,"\u00e9\n"]}`, `[1e-7,-0,18446744073709551615]`, `{"a":{"a":{"b":1,"a":2}},"":""}`, `"\ud83d\ude00"`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := chain.Canonical(in)
		if err != nil {
			if got != nil {
				t.Fatalf("Canonical(%q) = %q with %v", in, got, err)
			}
			return
		}
		if !json.Valid(in) || !utf8.Valid(in) {
			t.Fatalf("Canonical(%q) = %q, want an error", in, got)
		}
		var was, is any
		if err := json.Unmarshal(in, &was); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &is); err != nil {
			t.Fatalf("Canonical(%q) = %q, no JSON: %v", in, got, err)
		}
		if !reflect.DeepEqual(was, is) {
			t.Fatalf("Canonical(%q) = %q, which means something else", in, got)
		}
		if again, err := chain.Canonical(got); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("Canonical(%q) = %q, %v, want it as it was", got, again, err)
		}
	})
}
