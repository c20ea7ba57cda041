package sample_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/observe/sample"
)

// fake is a server that answers each path with a fixed text.
func fake(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) (address string) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestRemoteAsksInParts(t *testing.T) {
	var asked []string
	address := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		from, _ := strconv.ParseFloat(r.Form.Get("start"), 64)
		to, _ := strconv.ParseFloat(r.Form.Get("end"), 64)
		step, _ := strconv.ParseFloat(r.Form.Get("step"), 64)
		n := int((to-from)/step+1e-9) + 1
		asked = append(asked, fmt.Sprint(n))
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[`)
		if len(asked) == 2 { // a series that the other parts do not have
			fmt.Fprintf(w, `{"metric":{"a":"0"},"values":[[%.1f,"1"]]},`, from)
		}
		fmt.Fprintf(w, `{"metric":{"a":"1"},"values":[[%.1f,"1"],[%.1f,"2"]]}]}}`, from, to)
	})
	r, err := sample.NewRemote(address, sample.RemoteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	from := time.Unix(1_760_000_000, 0)
	m, err := r.Range(t.Context(), "x", from, from.Add(48*time.Hour), 15*time.Second/2)
	if err != nil {
		t.Fatal(err)
	}
	// 48 h at 7.5 s are 23,041 points.
	if got := strings.Join(asked, " "); got != "11000 11000 1041" {
		t.Errorf("asked for %s points", got)
	}
	if len(m) != 2 || m[0].Labels.Get("a") != "0" || len(m[1].Points) != 6 {
		t.Fatalf("merged: %v", m)
	}
	for i, p := range m[1].Points[1:] {
		if p.T <= m[1].Points[i].T {
			t.Errorf("points are out of order: %v", m[1].Points)
		}
	}
}

func TestRemoteErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		status  int
		body    string
		trouble sample.Trouble
		msg     string
	}{
		{"syntax", 400, `{"status":"error","errorType":"bad_data","error":"parse error"}`, sample.TroubleBadData, "parse error"},
		{"execution", 422, `{"status":"error","errorType":"execution","error":"too many samples"}`, sample.TroubleExecution, "too many samples"},
		{"timeout", 200, `{"status":"error","errorType":"timeout","error":"query timed out"}`, sample.TroubleTimeout, "query timed out"},
		{"no entry", 401, `<html>who are you, bob:hunter22?</html>`, sample.TroubleUnavailable, "client error: 401"},
		{"broken", 500, ``, sample.TroubleUnavailable, "server error: 500"},
		{"no JSON", 200, `hello`, sample.TroubleUnavailable, ""},
		{"it repeats the password", 422, `{"status":"error","errorType":"execution","error":"hunter22 is no metric, nor is t0ken"}`, sample.TroubleExecution, "xxxxx is no metric, nor is xxxxx"},
		{"native histogram", 200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1","sum":"1","buckets":[]}]}]}}`, sample.TroubleExecution, "native histograms"},
		{"matrix", 200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`, sample.TroubleBadData, "not a scalar"},
	} {
		address := fake(t, func(w http.ResponseWriter, r *http.Request) {
			if u, p, _ := r.BasicAuth(); u != "bob" || p != "hunter22" {
				t.Errorf("%s: signed as %q, %q", c.name, u, p)
			}
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		})
		r, err := sample.NewRemote(strings.Replace(address, "://", "://bob:hunter22@", 1)+"/?token=t0ken", sample.RemoteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Instant(t.Context(), "x", time.Unix(1, 0))
		checkTrouble(t, c.name, err, c.trouble, c.msg)
	}
}

func checkTrouble(t *testing.T, name string, err error, want sample.Trouble, msg string) {
	t.Helper()
	e, ok := errors.AsType[*sample.QueryError](err)
	if !ok || e.Trouble != want || !strings.Contains(e.Msg, msg) {
		t.Errorf("%s: %#v, want %s with %q", name, err, want, msg)
		return
	}
	for _, secret := range []string{"hunter22", "t0ken", "bob"} {
		if strings.Contains(e.Error(), secret) {
			t.Errorf("%s: the error repeats %s: %s", name, secret, e)
		}
	}
}

func TestRemoteThatIsNotThere(t *testing.T) {
	gone := freeAddress(t)
	r, err := sample.NewRemote("http://bob:hunter22@"+gone+"/prefix?token=t0ken", sample.RemoteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Range(t.Context(), "x", time.Unix(1, 0), time.Unix(100, 0), time.Second)
	checkTrouble(t, "range", err, sample.TroubleUnavailable, gone)
	_, err = r.Info(t.Context())
	checkTrouble(t, "info", err, sample.TroubleUnavailable, gone)
	_, err = r.Series(t.Context(), nil, time.Time{}, time.Time{}, 0)
	checkTrouble(t, "series", err, sample.TroubleUnavailable, gone)
	_, err = r.LabelValues(t.Context(), "job", nil, time.Time{}, time.Time{}, 0)
	checkTrouble(t, "label values", err, sample.TroubleUnavailable, gone)

	for _, address := range []string{"", "prometheus:9090", "ftp://x", "http://bob:hunter22@ho st/", "http://bob:hunter22%zz@host"} {
		if _, err := sample.NewRemote(address, sample.RemoteOptions{}); err == nil || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("NewRemote(%q) = %v", address, err)
		}
	}
}

func TestRemoteWaitsNotForEver(t *testing.T) {
	address := fake(t, func(_ http.ResponseWriter, r *http.Request) {
		r.ParseForm() // the server sees the end of the connection once the body is read
		<-r.Context().Done()
	})
	r, err := sample.NewRemote(address, sample.RemoteOptions{Timeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Instant(t.Context(), "x", time.Unix(1, 0))
	checkTrouble(t, "timeout", err, sample.TroubleTimeout, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Instant(ctx, "x", time.Unix(1, 0))
	checkTrouble(t, "canceled", err, sample.TroubleCanceled, "")
}

// TestRemoteSignsForOneHost follows a redirect to another host without the password.
func TestRemoteSignsForOneHost(t *testing.T) {
	other := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); ok || r.Header.Get("Authorization") != "" {
			t.Error("the password went to another host")
		}
		fmt.Fprint(w, `{"status":"success","data":{"version":"2.42.0"}}`)
	})
	address := fake(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusFound) })
	r, err := sample.NewRemote(strings.Replace(address, "://", "://bob:hunter22@", 1), sample.RemoteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	src, err := r.Info(t.Context())
	if err != nil || src.Version != "2.42.0" || src.LookBack != 5*time.Minute || !src.First.IsZero() {
		t.Errorf("%+v, %v", src, err)
	}
}

func TestWarningsAreErrorsWithAnAnswer(t *testing.T) {
	address := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"5"]}]},"warnings":["a store did not answer"],"infos":["no counter"]}`)
	})
	r, err := sample.NewRemote(address, sample.RemoteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Instant(t.Context(), "x", time.Unix(1, 0))
	w, ok := errors.AsType[sample.Warnings](err)
	if !ok || len(v) != 1 || len(w) != 1 || w[0] != "a store did not answer" {
		t.Errorf("remote: %v, %v", v, err)
	}
	body := get(t, serve(t, &sample.API{Querier: r, Lister: r})+"/api/v1/query?query=x&time=1")
	if want := `200 OK {"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"5"]}]},"warnings":["a store did not answer"]}`; body != want {
		t.Errorf("API: %s, want %s", body, want)
	}

	s := openStore(t, sample.Options{})
	add(t, s, set("__name__", "x", "le", "1"), 1000, 1)
	add(t, s, set("__name__", "x", "le", "+Inf"), 1000, 1)
	commit(t, s)
	l := sample.NewLocal(s, sample.LocalOptions{})
	v, err = l.Instant(t.Context(), `histogram_quantile(1.5, x)`, time.UnixMilli(2000))
	if _, ok := errors.AsType[sample.Warnings](err); !ok || len(v) != 1 {
		t.Errorf("local: %v, %v", v, err)
	}
	if v, err = l.Instant(t.Context(), `rate(x[1m])`, time.UnixMilli(2000)); err != nil {
		t.Errorf("an info is no warning: %v, %v", v, err)
	}
}
