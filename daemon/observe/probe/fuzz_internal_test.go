package probe

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spark-ta/spark/core/wire"
)

func FuzzInfo(f *testing.F) {
	for _, s := range []string{"a:1\r\n", "# x\ndb0:keys=1,expires=0\n", "p:9%\n", "a:NaN\nb:0x1\nc:1e999\n", "m:a=b=c,d\n", ":\n:::\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found := fields{}
		parseInfo(found, text)
		for name, v := range found {
			if name == "" || strings.ContainsAny(name, " \r\n:=,") || !utf8.ValidString(name) {
				t.Errorf("%q gave the name %q", text, name)
			}
			if !v.IsText && (math.IsNaN(v.Num) || math.IsInf(v.Num, 0)) {
				t.Errorf("%q gave %s = %v", text, name, v.Num)
			}
			if v.IsText && !strings.Contains(text, v.Text) {
				t.Errorf("%q gave %s = %q", text, name, v.Text)
			}
		}
	})
}

func FuzzMatch(f *testing.F) {
	for _, s := range []string{`"a"`, `level=error and not "b" or (c~d)`, `level>=warn`, "# c\nx=\"\\\"\"", `not(a=b)`, `android=1`, `notx=1`, `or=1`, `((a=b))`} {
		f.Add(s)
	}
	record := wire.LogRecord{Level: "error", Message: "a b", Instance: "i", Attrs: map[string]string{"c": "d"}}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMatch(text)
		if err != nil {
			return
		}
		again, err := ParseMatch(m.String())
		if err != nil && len(m.String()) <= maxMatch && !strings.Contains(err.Error(), "nested") {
			t.Fatalf("%q written as %q: %v", text, m, err)
		}
		if err == nil && (again.String() != m.String() || again.Matches(record) != m.Matches(record)) {
			t.Errorf("%q written as %q is another expression, %q", text, m, again)
		}
	})
}

func FuzzFlatten(f *testing.F) {
	for _, s := range []string{`{"a":{"b":[1,true,"x",null]}}`, `[]`, `1`, `"x"`, `{"":{"":1}}`, `{"a.b":1,"a":{"b":2}}`, `[[[[1]]]]`, `{"a":1e999}`, `{"len":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		found := fields{}
		if ok := flattenInto(found, doc); ok != json.Valid(doc) {
			t.Fatalf("flatten(%q) = %v, want %v", doc, ok, !ok)
		}
		if len(found) > maxFields {
			t.Errorf("%d fields", len(found))
		}
		for name, v := range found {
			if name != "body" && !strings.HasPrefix(name, "body.") || !printable(name) || strings.Contains(name, " ") {
				t.Errorf("%q gave the name %q", doc, name)
			}
			if !v.IsText && (math.IsNaN(v.Num) || math.IsInf(v.Num, 0)) {
				t.Errorf("%q gave %s = %v", doc, name, v.Num)
			}
		}
	})
}

func TestFlattenIsBounded(t *testing.T) {
	list := "[" + strings.Repeat(`{"t":1,"o":2},`, 999) + `{"t":1,"o":2}]`
	found := fields{}
	if !flattenInto(found, []byte(list)) || len(found) != maxElements+1 || found["body.len"] != Number(1000) {
		t.Errorf("a list of 1000 gave %d fields, len %v; want %d and 1000", len(found), found["body.len"], maxElements+1)
	}
	found = fields{}
	if !flattenInto(found, []byte(strings.Repeat("[", 200)+strings.Repeat("]", 200))) || len(found) > maxDepth+1 {
		t.Errorf("200 lists in each other gave %d fields", len(found))
	}
}

func FuzzRequest(f *testing.F) {
	for _, s := range []string{"GET /health", "HEAD /x?y=%20\nA: b", "# c\nGET /", "GET //x", "GET /%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRequest(text)
		if err != nil {
			return
		}
		if r.Method != "GET" && r.Method != "HEAD" || !strings.HasPrefix(r.Path, "/") || strings.HasPrefix(r.Path, "//") || !printable(r.Path) {
			t.Errorf("%q gave %+v", text, r)
		}
		for name, values := range r.Header {
			if name == "Host" || name == "Authorization" || name == "Cookie" || !token(name) || !printable(strings.Join(values, "")) {
				t.Errorf("%q gave the header %q: %q", text, name, values)
			}
		}
	})
}

func TestRecordOf(t *testing.T) {
	for line, want := range map[string]string{
		`time=x level=INFO msg="became leader" epoch=7 holder="a b"`: "info|became leader|epoch=7,holder=a b,time=x",
		`{"time":"x","level":"ERROR","msg":"y","n":1234567}` + "\r":  "error|y|n=1234567,time=x",
		`level=WARN msg=x "key with space"=1 empty=""`:               "warn|x|empty=,key with space=1",
		`1:M 25 Nov 2026 08:22:01.000 * Ready to accept connections`: "|1:M 25 Nov 2026 08:22:01.000 * Ready to accept connections|",
		`a=b c`:         "|a=b c|",
		`{"msg":`:       `|{"msg":|`,
		`{"level":"x"}`: `|{"level":"x"}|`,
		``:              "||",
	} {
		r := recordOf(line)
		var attrs []string
		for _, k := range slices.Sorted(maps.Keys(r.Attrs)) {
			attrs = append(attrs, k+"="+r.Attrs[k])
		}
		if got := r.Level + "|" + r.Message + "|" + strings.Join(attrs, ","); got != want {
			t.Errorf("recordOf(%s) = %s, want %s", line, got, want)
		}
	}
}

// FuzzRecord: what slog has written is read back, whatever the values are.
func FuzzRecord(f *testing.F) {
	f.Add("msg", "key", "value")
	f.Add("a b=c", "k", "\"\n")
	f.Add("", "x", "")
	f.Fuzz(func(t *testing.T, msg, key, value string) {
		if !utf8.ValidString(msg) || !utf8.ValidString(key) || !utf8.ValidString(value) || key == "" || key == "time" || key == "level" || key == "msg" {
			t.Skip()
		}
		var text, doc bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info(msg, key, value)
		slog.New(slog.NewJSONHandler(&doc, nil)).Info(msg, key, value)
		for _, line := range []string{text.String(), doc.String()} {
			r := recordOf(strings.TrimSuffix(line, "\n"))
			if r.Message != msg || r.Level != "info" || r.Attrs[key] != value {
				t.Errorf("%s was read as %+v", line, r)
			}
		}
		_ = recordOf(msg + key + "=" + value)
	})
}
