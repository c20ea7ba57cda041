package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/wire"
)

func TestQueryPrintsWhatTheEngineSays(t *testing.T) {
	tests := []struct {
		name   string
		data   string
		code   int
		out    string
		errs   string
		status int
	}{
		{name: "a vector", data: `{"status":"success","data":{"resultType":"vector","result":[
			{"metric":{"__name__":"up","job":"b","a":"x\"y"},"value":[1760140800.25,"0.30000000000000004"]},
			{"metric":{},"value":[1760140800,"+Inf"]}]}}`, out: "" +
			"TIME                      VALUE                SERIES\n" +
			"2025-10-11T00:00:00.250Z  0.30000000000000004  up{a=\"x\\\"y\", job=\"b\"}\n" +
			"2025-10-11T00:00:00Z      +Inf                 {}\n"},
		{name: "a matrix", data: `{"status":"success","data":{"resultType":"matrix","result":[
			{"metric":{"__name__":"leader_epoch"},"values":[[1760140800,"1"],[1760140815,"2"]]}]},"warnings":["thin\u001b[2J"]}`, out: "" +
			"TIME                  VALUE  SERIES\n" +
			"2025-10-11T00:00:00Z  1      leader_epoch\n" +
			"2025-10-11T00:00:15Z  2      leader_epoch\n", errs: "spark-tui: warning: thin\n"},
		{name: "a histogram", data: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"h"},"histogram":[1,{"count":"3"}]}]}}`, out: "" +
			"TIME  VALUE              SERIES\n" +
			"      [1,{\"count\":\"3\"}]  h\n"},
		{name: "a scalar", data: `{"status":"success","data":{"resultType":"scalar","result":[1760140800,"1e-05"]}}`, out: "1e-05\n"},
		{name: "a string", data: `{"status":"success","data":{"resultType":"string","result":[1,"x\u001b[31m\u202ey"]}}`, out: "x�y\n"},
		{name: "nothing", data: `{"status":"success","data":{"resultType":"vector","result":[]}}`, errs: "spark-tui: no series\n"},
		{name: "a wrong query", status: http.StatusBadRequest, data: `{"status":"error","errorType":"bad_data","error":"parse error"}`, code: exitFailed, errs: "spark-tui: refused: parse error\n"},
		{name: "an error with 200", data: `{"status":"error","error":"timeout"}`, code: exitFailed, errs: "spark-tui: refused: timeout\n"},
		{name: "no JSON", data: `<html>`, code: exitFailed, errs: "spark-tui: answer of /api/v1/query unreadable: invalid character '<' looking for beginning of value\n"},
		{name: "half a point", data: `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1]}]}}`, code: exitFailed, errs: "spark-tui: answer unreadable: a point has a time and a value, this one 1 parts\n"},
	}
	for _, tt := range tests {
		o := newObserver(t)
		o.pages["GET "+wire.PathQuery] = func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			if tt.status != 0 {
				w.WriteHeader(tt.status)
			}
			answer(w, tt.data)
		}
		code, out, errs := command(t, nil, "query", "up", "--url", o.URL)
		if code != tt.code || out != tt.out || errs != tt.errs {
			t.Errorf("%s: query = %d, want %d, (-want +got):\n%s%s", tt.name, code, tt.code, cmp.Diff(tt.out, out), cmp.Diff(tt.errs, errs))
		}
		code, out, errs = command(t, nil, "query", "up", "--json", "--url", o.URL)
		if code == exitOK && (!json.Valid([]byte(out)) || errs != "" || strings.Contains(out, "\u202e")) {
			t.Errorf("%s: query --json = %d, %q, %q", tt.name, code, out, errs)
		}
	}
	if code, out, errs := command(t, nil, "query", "up", "--url", nowhere(t)); code != exitUnreachable || out != "" || strings.Count(errs, "\n") != 1 {
		t.Errorf("query of nothing = %d, %q, %q", code, out, errs)
	}
}

func TestQueryAsksForItsTimes(t *testing.T) {
	now := time.UnixMilli(t0)
	tests := []struct {
		q    querying
		path string
		want string
	}{
		{querying{}, wire.PathQuery, "query=up"},
		{querying{at: "-1h"}, wire.PathQuery, "query=up&time=1760137200.000"},
		{querying{span: "1h", step: "15s"}, wire.PathQueryRange, "end=1760140800.000&query=up&start=1760137200.000&step=15"},
		{querying{span: "2d", at: "-1m"}, wire.PathQueryRange, "end=1760140740.000&query=up&start=1759967940.000&step=720"},
		{querying{span: "10s"}, wire.PathQueryRange, "end=1760140800.000&query=up&start=1760140790.000&step=1"},
		{querying{span: "1s", step: "250ms"}, wire.PathQueryRange, "end=1760140800.000&query=up&start=1760140799.000&step=0.25"},
	}
	for _, tt := range tests {
		path, values, err := tt.q.call("up", now)
		if err != nil || path != tt.path || values.Encode() != tt.want {
			t.Errorf("%+v asks %s?%s, %v, want %s?%s", tt.q, path, values.Encode(), err, tt.path, tt.want)
		}
	}
	o := newObserver(t)
	o.serve("GET "+wire.PathQueryRange, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
	if code, _, errs := command(t, nil, "query", `sum(rate(x{a="b"}[5m])) > 1`, "--range", "1h", "--url", o.URL); code != exitOK {
		t.Errorf("query --range = %d, %q", code, errs)
	}
	_, query, _ := strings.Cut(o.calls[0].what, "?")
	if values, err := url.ParseQuery(query); err != nil || values.Get("query") != `sum(rate(x{a="b"}[5m])) > 1` {
		t.Errorf("asked %q, %v", query, err)
	}
}

func FuzzAnswerOfPrometheus(f *testing.F) {
	f.Add(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up"},"value":[1.5,"1"]}]}}`)
	f.Add(`{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`)
	f.Add(`{"data":{"resultType":"matrix","result":[{"values":[[1e300,"\u001b[2J"]],"histograms":[{}]}]}}`)
	f.Fuzz(func(t *testing.T, body string) {
		var a prometheus
		if json.Unmarshal([]byte(body), &a) != nil {
			return
		}
		var out strings.Builder
		if err := a.print(&out, io.Discard); err == nil && strings.ContainsAny(out.String(), "\x1b\a\u202e\u009b") {
			t.Errorf("%q prints %q", body, out.String())
		}
	})
}

func FuzzPlainJSON(f *testing.F) {
	f.Add("a\u202eb\u009b31m\U000e0041 \u2028 é 漢 🙂")
	f.Fuzz(func(t *testing.T, s string) {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var before, after string
		plain := plainJSON(text)
		if err := json.Unmarshal(text, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(plain, &after); err != nil || after != before {
			t.Errorf("%q became %q, %v", before, after, err)
		}
		if strings.ContainsAny(string(plain), "\x1b\u202e\u009b\u200b\u2028\x7f") {
			t.Errorf("%q holds what a terminal obeys", plain)
		}
	})
}
