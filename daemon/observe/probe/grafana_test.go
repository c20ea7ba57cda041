package probe_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/observe/probe"
)

func TestParseDashboards(t *testing.T) {
	if got, err := probe.ParseDashboards("# ours\nspark-overview spark_slo\n"); err != nil || fmt.Sprint(got) != "[spark-overview spark_slo]" {
		t.Errorf("ParseDashboards = %v, %v", got, err)
	}
	for _, text := range []string{"../../admin", "a?b", strings.Repeat("a ", 30)} {
		if got, err := probe.ParseDashboards(text); err == nil {
			t.Errorf("ParseDashboards(%q) = %v, want an error", text, got)
		}
	}
}

const board = `{"dashboard":{"templating":{"list":[
	{"name":"ds","current":{"value":"prom"}},
	{"name":"instance","current":{"value":["executor-1","executor-2"]}},
	{"name":"inst","current":{"value":"$__all"}}]},
  "panels":[
	{"title":"text","type":"text"},
	{"title":"alerts","type":"timeseries","datasource":{"type":"prometheus","uid":"${ds}"},"targets":[{"refId":"A","expr":"alerts_active{instance=~\"$instance\",i=~\"$inst\"}[$__interval]"}]},
	{"title":"row","type":"row","panels":[
		{"title":"empty\u001b[31m` + secret + `","type":"stat","datasource":"old","targets":[{"expr":"nothing"},{"expr":"hidden","hide":true}]}]},
	{"title":"bad","type":"stat","targets":[{"refId":"A","datasource":{"uid":"prom"},"expr":"bad("}]}]}}`

// grafana answers as the server does, and keeps the queries.
func grafana(t *testing.T, queries *[]string) *http.ServeMux {
	mux := http.NewServeMux()
	say := func(path, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+secret {
				w.WriteHeader(401)
				_, _ = io.WriteString(w, `{"message":"Unauthorized `+secret+`"}`)
				return
			}
			_, _ = io.WriteString(w, text)
		})
	}
	mux.HandleFunc("/api/health", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"commit":"x","database":"ok","version":"11.2.0"}`)
	})
	say("/api/search", `[{"uid":"spark","title":"Spark"}]`)
	say("/api/dashboards/uid/spark", board)
	say("/api/alertmanager/grafana/api/v2/alerts", `[{"status":{"state":"active"}},{"status":{"state":"suppressed"}}]`)
	mux.HandleFunc("POST /api/ds/query", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			From, To string
			Queries  []struct {
				RefID, Expr string
				Datasource  struct{ UID string }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Queries) != 1 {
			t.Errorf("query with %d queries, %v", len(in.Queries), err)
			return
		}
		q := in.Queries[0]
		*queries = append(*queries, fmt.Sprintf("%s-%s %s %s %s", in.From, in.To, q.RefID, q.Datasource.UID, q.Expr))
		switch {
		case strings.HasPrefix(q.Expr, "alerts"):
			_, _ = io.WriteString(w, `{"results":{"A":{"status":200,"frames":[{"data":{"values":[[1,2],[null,0]]}}]}}}`)
		case q.Expr == "nothing":
			_, _ = io.WriteString(w, `{"results":{"Q0":{"frames":[{"data":{"values":[[1,2],[null,null]]}},{"data":{"values":[]}}]}}}`)
		default:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"message":"parse error \u001b[2J"}`)
		}
	})
	return mux
}

func TestGrafanaFields(t *testing.T) {
	var queries []string
	srv := serve(t, grafana(t, &queries).ServeHTTP)
	g := probe.Grafana{Limits: limits(), Client: &http.Client{}, URL: srv.URL + "/", Token: secret}
	got := g.Look(t.Context(), nil, time.UnixMilli(7200_000))[0]
	same(t, got, map[string]any{
		"health": 1.0, "version": "11.2.0", "dashboards": 1.0, "panels": 3.0, "panels_with_data": 1.0,
		"empty": "empty***, bad", "firing": 1.0,
	})
	failed(t, got, `panel "bad": status 400 parse error`)
	want := []string{
		`3600000-7200000 A prom alerts_active{instance=~"executor-1|executor-2",i=~".*"}[$__interval]`,
		`3600000-7200000 Q0 old nothing`,
		`3600000-7200000 A prom bad(`,
	}
	if strings.Join(queries, "\n") != strings.Join(want, "\n") {
		t.Errorf("queries\n%s\nwant\n%s", strings.Join(queries, "\n"), strings.Join(want, "\n"))
	}
	missing := g.Look(t.Context(), []string{"missing", "spark"}, time.UnixMilli(7200_000))[0]
	failed(t, missing, "dashboard missing: status 404")
	if missing.Fields["dashboards"] != probe.Number(1) {
		t.Errorf("fields = %+v, want the other dashboard", missing.Fields)
	}
}

func TestGrafanaFailures(t *testing.T) {
	var queries []string
	srv := serve(t, grafana(t, &queries).ServeHTTP)
	g := probe.Grafana{Limits: limits(), Client: &http.Client{}, URL: srv.URL}
	refused := g.Look(t.Context(), nil, time.Now())[0]
	failed(t, refused, "search: status 401 Unauthorized ***")
	same(t, refused, map[string]any{"health": 1.0, "version": "11.2.0", "dashboards": 0.0})

	for body, reason := range map[string]string{"<html>\x1b[2J": "not what Grafana", strings.Repeat(" ", 9<<20): "too large"} {
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		g.URL = srv.URL
		failed(t, g.Look(t.Context(), nil, time.Now())[0], reason)
	}
	g.Timeout = short
	g.URL = serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }).URL
	failed(t, g.Look(t.Context(), nil, time.Now())[0], "no answer within")
	g.Timeout = 0
	g.URL = "http://user:" + secret + "@127.0.0.1:1"
	gone := g.Look(t.Context(), nil, time.Now())[0]
	failed(t, gone, "refused")
	same(t, gone, map[string]any{"health": 0.0})
}
