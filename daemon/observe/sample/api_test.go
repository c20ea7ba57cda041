package sample_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/daemon/observe/sample"
)

// serve returns the address of an API.
func serve(t testing.TB, api *sample.API) string {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, h := range api.Routes() {
		mux.Handle(pattern, h)
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// small is a store with a few round numbers, and the API over it.
func small(t testing.TB) string {
	t.Helper()
	s := openStore(t, sample.Options{})
	for i := range 40 {
		for k, job := range []string{"a", "b\"<"} {
			if err := s.Add(s.Series(set("__name__", "x", "job", job)), int64(i)*15_000+500, float64(i*(k+1))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	l := sample.NewLocal(s, sample.LocalOptions{})
	return serve(t, &sample.API{Querier: l, Lister: l, Raw: l})
}

func TestAPIAnswers(t *testing.T) {
	base := small(t)
	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{`query?query=1%2B1&time=100`, 200, `{"status":"success","data":{"resultType":"scalar","result":[100,"2"]}}`},
		{`query?query=("hi")&time=100.5`, 200, `{"status":"success","data":{"resultType":"string","result":[100.500,"hi"]}}`},
		{`query?query=x&time=1970-01-01T00:01:40Z`, 200, `{"status":"success","data":{"resultType":"vector","result":[` +
			`{"metric":{"__name__":"x","job":"a"},"value":[100,"6"]},{"metric":{"__name__":"x","job":"b\"\u003c"},"value":[100,"12"]}]}}`},
		{`query?query=x&time=100&limit=1`, 200, `{"status":"success","data":{"resultType":"vector","result":[` +
			`{"metric":{"__name__":"x","job":"a"},"value":[100,"6"]}]},"warnings":["results truncated due to limit"]}`},
		{`query?query=x{job="a"}[30s]&time=100`, 200, `{"status":"success","data":{"resultType":"matrix","result":[` +
			`{"metric":{"__name__":"x","job":"a"},"values":[[75.500,"5"],[90.500,"6"]]}]}}`},
		{`query?query=x{job="a"}/0&time=100`, 200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[100,"+Inf"]}]}}`},
		{`query?query=y&time=100`, 200, `{"status":"success","data":{"resultType":"vector","result":[]}}`},
		{`query?query=sort_desc(x)&time=100`, 200, `{"status":"success","data":{"resultType":"vector","result":[` +
			`{"metric":{"__name__":"x","job":"b\"\u003c"},"value":[100,"12"]},{"metric":{"__name__":"x","job":"a"},"value":[100,"6"]}]}}`},
		{`query?query=1e-7*1&time=0`, 200, `{"status":"success","data":{"resultType":"scalar","result":[0,"1e-07"]}}`},
		{`query_range?query=x{job="a"}&start=100&end=160&step=30s`, 200, `{"status":"success","data":{"resultType":"matrix","result":[` +
			`{"metric":{"__name__":"x","job":"a"},"values":[[100,"6"],[130,"8"],[160,"10"]]}]}}`},
		{`query_range?query=1&start=100&end=101&step=0.5`, 200, `{"status":"success","data":{"resultType":"matrix","result":[` +
			`{"metric":{},"values":[[100,"1"],[100.500,"1"],[101,"1"]]}]}}`},
		{`series?match[]=x{job="a"}&match[]=x{job=~"a|c"}`, 200, `{"status":"success","data":[{"__name__":"x","job":"a"}]}`},
		{`series?match[]=x&start=1000`, 200, `{"status":"success","data":[]}`},
		{`series?match[]=x&limit=1`, 200, `{"status":"success","data":[{"__name__":"x","job":"a"}],"warnings":["results truncated due to limit"]}`},
		{`series?match[]=x&limit=2`, 200, `{"status":"success","data":[{"__name__":"x","job":"a"},{"__name__":"x","job":"b\"\u003c"}]}`},
		{`labels`, 200, `{"status":"success","data":["__name__","job"]}`},
		{`labels?match[]=y`, 200, `{"status":"success","data":[]}`},
		{`label/job/values`, 200, `{"status":"success","data":["a","b\"\u003c"]}`},
		{`label/__name__/values?match[]=x&end=0`, 200, `{"status":"success","data":[]}`},
		{`status/buildinfo`, 200, `{"status":"success","data":{"version":"3.16.0","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":""}}`},

		{`query?query=sum(&time=100`, 400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: unclosed left parenthesis"}`},
		{`query?query=x&time=noon`, 400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"time\": cannot parse \"noon\" to a valid timestamp"}`},
		{`query?query=x&limit=-1`, 400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"limit\": limit must be a non-negative number"}`},
		{`query?query=x&timeout=soon`, 400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"timeout\": cannot parse \"soon\" to a valid duration"}`},
		{`query?query=x*on(job)group_left()x*on()x&time=100`, 422, `"errorType":"execution"`},
		{`query_range?query=x&start=100&end=0&step=1`, 400, `end timestamp must not be before start time`},
		{`query_range?query=x&start=0&end=100&step=0`, 400, `zero or negative query resolution step widths are not accepted`},
		{`query_range?query=x&start=0&end=11001&step=1`, 400, `exceeded maximum resolution of 11,000 points per timeseries`},
		{`query_range?query=x[5m]&start=0&end=100&step=1`, 400, `invalid expression type \"range vector\" for range query`},
		{`query_range?query=x&end=100&step=1`, 400, `start and end are needed`},
		{`series`, 400, `no match[] parameter provided`},
		{`series?match[]=x{`, 400, `invalid parameter \"match[]\"`},
	} {
		u, err := url.Parse(base + "/api/v1/" + c.path)
		if err != nil {
			t.Fatal(err)
		}
		u.RawQuery = strings.NewReplacer(`"`, "%22", "<", "%3C", " ", "%20").Replace(u.RawQuery)
		res, err := http.Get(u.String())
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		whole := strings.HasPrefix(c.want, `{"status"`)
		if res.StatusCode != c.status || whole && string(body) != c.want || !strings.Contains(string(body), c.want) || !json.Valid(body) {
			t.Errorf("%s:\n%d %s\nwant\n%d %s", c.path, res.StatusCode, body, c.status, c.want)
		}
	}
}

func TestAPITakesForms(t *testing.T) {
	base := small(t)
	res, err := http.PostForm(base+"/api/v1/query", url.Values{"query": {`sum(x)`}, "time": {"100"}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if want := `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[100,"18"]}]}}`; string(body) != want {
		t.Errorf("POST query: %s, want %s", body, want)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodDelete, base+"/api/v1/series", nil)
	res, err = http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, POST" {
		t.Errorf("DELETE: %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
}

// TestAPITimesOut asks for more than can be computed in a nanosecond.
func TestAPITimesOut(t *testing.T) {
	base := small(t)
	res, err := http.Get(base + "/api/v1/query_range?query=" + url.QueryEscape(`count_over_time((x*x*x)[1h:1s])`) + "&start=0&end=10000&step=1&timeout=0.000000001")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), `"errorType":"timeout"`) {
		t.Errorf("a query out of time: %d %s", res.StatusCode, body)
	}
}

// TestAPIOverRemote puts an API on top of an API: what a console sees is the same,
// however far away the samples are.
func TestAPIOverRemote(t *testing.T) {
	near := small(t)
	r, err := sample.NewRemote(near, sample.RemoteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	far := serve(t, &sample.API{Querier: r, Lister: r, Raw: r})
	for _, path := range []string{
		`query?query=x&time=100`, `query?query=1&time=100`, `query?query=x[1m]&time=100`,
		`query_range?query=sum(x)&start=0&end=600&step=15`, `query_range?query=sort(x)&start=0&end=600&step=15`,
		`series?match[]=x`, `labels`, `label/job/values`, `status/buildinfo`,
		`query?query=nope(x)&time=100`, `query?query=x%2Bon()x&time=100`, `series?match[]=x&limit=1`,
	} {
		a, b := get(t, near+"/api/v1/"+path), get(t, far+"/api/v1/"+path)
		b = strings.Replace(b, "prometheus at "+strings.TrimPrefix(near, "http://")+": ", "", 1)
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s (-near +far):\n%s", path, diff)
		}
	}
}

func get(t *testing.T, u string) string {
	t.Helper()
	res, err := http.Get(u)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Status + " " + string(body)
}

func TestPromtool(t *testing.T) {
	bin, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	s := openStore(t, sample.Options{})
	fill(t, s)
	l := sample.NewLocal(s, sample.LocalOptions{})
	base := serve(t, &sample.API{Querier: l, Lister: l, Raw: l})
	from, to := at(0).Format(time.RFC3339), at(2*time.Hour).Format(time.RFC3339)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"instant", "--time=" + to, base, `sum by (job) (up)`}, "{job=\"executor\"} => 3 @[1760007204]\n{job=\"gateway\"} => 1 @[1760007204]\n"},
		{[]string{"instant", "--time=" + to, base, `1+1`}, "scalar: 2 @[1760007204]\n"},
		{[]string{"range", "--start=1760003600", "--end=1760003660", "--step=30s", base, `min(up)`}, "{} =>\n1 @[1760003600]\n1 @[1760003630]\n1 @[1760003660]\n"},
		{[]string{"series", "--start=" + from, "--end=" + to, "--match=up{job=\"gateway\"}", base}, "{__name__=\"up\", instance=\"gateway-1:3000\", job=\"gateway\"}\n"},
		{[]string{"labels", "--start=" + from, "--end=" + to, base, "job"}, "executor\ngateway\n"},
	} {
		out, err := exec.CommandContext(t.Context(), bin, append([]string{"query"}, c.args...)...).CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("promtool query %s: %v\n%s\nwant\n%s", strings.Join(c.args, " "), err, out, c.want)
		}
	}
	if out, err := exec.CommandContext(t.Context(), bin, "query", "instant", base, "sum(").CombinedOutput(); err == nil {
		t.Errorf("promtool query of nonsense: %s, want a refusal", out)
	}
}

// FuzzAPIParameters wants an answer that is JSON, whatever is asked.
func FuzzAPIParameters(f *testing.F) {
	s := openStore(f, sample.Options{})
	if err := s.Add(s.Series(set("__name__", "x")), 500, 1); err != nil {
		f.Fatal(err)
	}
	if err := s.Commit(); err != nil {
		f.Fatal(err)
	}
	l := sample.NewLocal(s, sample.LocalOptions{Timeout: time.Second, MaxSamples: 1000})
	mux := http.NewServeMux()
	for pattern, h := range (&sample.API{Querier: l, Lister: l, Raw: l}).Routes() {
		mux.Handle(pattern, h)
	}
	for _, seed := range []string{
		"query=x&time=1e3", "query=x&start=0&end=10&step=1", "match[]=x&start=-1&end=1e99", "query=1&time=NaN&timeout=1e300",
		"query=x&time=9223372036854775807", "query=x&limit=99999999999999999999", "step=1h&start=2006-01-02T15:04:05Z&end=now", "query=%ff;&time=Inf",
		"query=x&start=-9e12&end=9e12&step=9e9",
	} {
		for _, path := range []string{"query", "query_range", "series", "labels", "label/x/values"} {
			f.Add(path, seed)
		}
	}
	f.Fuzz(func(t *testing.T, path, raw string) {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.URL.Path, req.URL.RawQuery = "/api/v1/"+path, raw
		if p := req.URL.EscapedPath(); strings.Contains(p, "..") || strings.Contains(p, "//") {
			return // the mux redirects
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, req)
		switch w.Code {
		case http.StatusNotFound, http.StatusMovedPermanently, http.StatusTemporaryRedirect: // the mux
		case http.StatusInternalServerError:
			t.Errorf("%s?%s: %s", path, raw, w.Body)
		default:
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s?%s: no JSON: %s", path, raw, w.Body)
			}
		}
	})
}
