package livetest

import (
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// Hypercare returns an observer's answer at T+15m and some, with every verdict and
// every kind of thing that people have to deal with: a key check that fails, one that
// nobody could measure, a breach that recovered, a late manual item, a waiver, an
// open incident, a proposed decision. The figures contradict nowhere.
func Hypercare(now time.Time) wire.Hypercare {
	t0 := now.Add(-22 * time.Minute)
	at := func(d time.Duration) int64 { return t0.Add(d).UnixMilli() }
	run := &wire.HypercareRun{
		ID: "run-1", PlanID: "spark-48h", Title: "48 hours after a deployment", PlanDigest: "sha256:5f0e…", Version: "v1.4.0", Profile: "compose",
		State: wire.RunRunning, T0: at(0), At: now.UnixMilli(), EndsAt: at(48 * time.Hour), Seq: 214, Head: "9c1f22ab", Verdict: wire.VerdictFail,
		Checkpoints: checkpoints(at), SLOs: objectives(at), Incidents: []wire.Incident{
			{
				ID: "i1", Level: 2, Title: "node-c does not answer", OpenedAt: at(17 * time.Minute), OpenedBy: "observer", Checks: []string{"leader.count"},
				Notes: []wire.Note{{At: at(19 * time.Minute), Who: "kim", Role: "operations-lead", Text: "the host is up, the container restarts"}},
			},
			{
				ID: "i0", Level: 1, Title: "slow start of node-b", OpenedAt: at(2 * time.Minute), OpenedBy: "kim", Owner: "kim", ClosedAt: at(9 * time.Minute),
				ClosedBy: "kim", Result: "the image was pulled, the next start was fast",
			},
		},
		Decisions: []wire.Decision{
			{
				ID: "d2", Check: "alerts.cooldown", State: "proposed", At: at(20 * time.Minute), Parameter: "ALERT_COOLDOWN_SEC", From: "300", To: "180",
				Why: "41% of all matches are suppressed by the cooldown", Figures: "412 of 1,004 matches in the last 15 minutes",
			},
			{
				ID: "d1", State: "decided", At: at(12 * time.Minute), Who: "kim", Parameter: "NOTIFY_RATE_LIMIT", From: "30", To: "20",
				Why: "the receiver answers 429", ReviewAt: at(4 * time.Hour),
			},
		},
		Escalations: []wire.Escalation{{At: at(20 * time.Minute), Level: 1, Checkpoint: "T+0", Text: "overdue since 10 minutes: ops.briefed"}},
		Gaps:        []wire.Gap{{From: at(8 * time.Minute), To: at(9 * time.Minute), What: "the observer was restarted"}},
		UserIssues:  []wire.UserIssue{{At: at(18 * time.Minute), Who: "kim", Text: "the chart of DOGEUSDT has no volume", Minor: true}},
		SignOffs:    []wire.SignOff{{At: at(6 * time.Minute), Checkpoint: "T+0", Role: "operations-lead", Who: "kim", Decision: "close", Comment: "but for the briefing", Stale: true}},
		Exit: []wire.Criterion{
			{Title: "every checkpoint is closed", Text: "0 of 7"}, {Title: "no key check fails or is unknown", Text: "log.fatal fails, sse.slo is unknown"},
			{Title: "at most 2 open waivers", Met: true, Text: "1"}, {Title: "no open incident of level 2 or 3", Text: "i1"},
			{Title: "budgets are left", Met: true, Text: "the least is 83%"}, {Title: "fewer than two issues by users", Met: true, Text: "1, minor"},
		},
	}
	for i := range run.Checkpoints {
		cp := &run.Checkpoints[i]
		cp.Counts = count(cp.Sections)
		add(&run.Counts, cp.Counts)
	}
	return wire.Hypercare{
		OK: true, Now: now.UnixMilli(), Run: run,
		Plan: wire.PlanInfo{ID: "spark-48h", Title: run.Title, Digest: run.PlanDigest, Checkpoints: 7, Checks: 58},
		Observer: wire.ObserverState{Source: "local", Targets: []wire.TargetState{
			{URL: "http://node-a:4001/metrics", Instance: "node-a", Up: true}, {URL: "http://node-b:4001/metrics", Instance: "node-b", Up: true},
			{URL: "http://node-c:4001/metrics", Instance: "node-c", AgeMS: 300_000, Error: "connection refused"},
		}, Rounds: 88, LastRoundAt: now.UnixMilli(), Series: 512, Samples: 45_056, JournalSeq: 214},
	}
}

func count(sections []wire.Section) (n wire.Counts) {
	for _, s := range sections {
		for _, c := range s.Checks {
			switch c.Verdict {
			case wire.VerdictPass:
				n.Pass++
			case wire.VerdictWarn:
				n.Warn++
			case wire.VerdictFail:
				n.Fail++
			case wire.VerdictPending:
				n.Pending++
			case wire.VerdictWaived:
				n.Waived++
			case wire.VerdictNotApplicable:
				n.NotApplicable++
			default:
				n.Unknown++
			}
		}
	}
	return n
}

func add(to *wire.Counts, n wire.Counts) {
	to.Pass += n.Pass
	to.Warn += n.Warn
	to.Fail += n.Fail
	to.Unknown += n.Unknown
	to.Pending += n.Pending
	to.Waived += n.Waived
	to.NotApplicable += n.NotApplicable
}

func objectives(at func(time.Duration) int64) []wire.SLO {
	f := func(v float64) *float64 { return &v }
	now := at(22 * time.Minute)
	return []wire.SLO{
		{
			ID: "sse.slo", Title: "SSE availability", Target: 0.995, Value: nil, Events: 0, At: now, Verdict: wire.VerdictUnknown,
			Burns: []wire.Burn{{Tier: "page", LongMS: 1_800_000, Limit: 9.6}, {Tier: "ticket", LongMS: 10_800_000, Limit: 3.2}, {Tier: "slow", LongMS: 43_200_000, Limit: 1.4}},
		},
		{
			ID: "eval.slo", Title: "Alert latency", Target: 0.95, Value: f(0.9987), Events: 23_040, Used: f(0.17), Forecast: f(0.37), Coverage: f(0.996), AllowedTo: f(1.02), At: now,
			Verdict: wire.VerdictPass, Show: "P95 0.4s",
			Burns: []wire.Burn{{Tier: "page", LongMS: 1_800_000, Rate: f(0.4), Limit: 9.6}, {Tier: "ticket", LongMS: 10_800_000, Rate: f(0.03), Limit: 3.2}, {Tier: "slow", LongMS: 43_200_000, Rate: f(0.03), Limit: 1.4}},
		},
		{
			ID: "notify.slo", Title: "Notification success", Target: 0.98, Value: f(0.9612), Events: 310, Used: f(1.34), Forecast: f(2.9), Coverage: f(0.98), AllowedTo: f(0.42), At: now,
			Verdict: wire.VerdictWarn,
			Burns:   []wire.Burn{{Tier: "page", LongMS: 1_800_000, Rate: f(11.2), Limit: 9.6, Firing: true}, {Tier: "ticket", LongMS: 10_800_000, Rate: f(1.9), Limit: 3.2}},
		},
	}
}

func checkpoints(at func(time.Duration) int64) []wire.Checkpoint {
	cp := func(id, title string, opens, window, grace time.Duration, state, verdict string, sections ...wire.Section) wire.Checkpoint {
		return wire.Checkpoint{
			ID: id, Title: title, OpensAt: at(opens), DueAt: at(opens + window), GraceAt: at(opens + window + grace), State: state, Verdict: verdict, Sections: sections,
		}
	}
	later := func(id, title string, opens time.Duration, checks ...string) wire.Checkpoint {
		var sec wire.Section
		sec.Title = "Stability checks"
		for _, c := range checks {
			sec.Checks = append(sec.Checks, wire.Check{ID: c, Text: c + " as the plan words it", Kind: "auto", Verdict: wire.VerdictPending, Sentence: "not judged yet"})
		}
		return cp(id, title, opens, time.Hour, 30*time.Minute, wire.CheckpointFuture, wire.VerdictPending, sec)
	}
	first := cp("T+0", "Deployment complete", 0, 5*time.Minute, 5*time.Minute, wire.CheckpointNeedsPeople, wire.VerdictPending, immediate(at))
	first.Late, first.Overdue = true, 1
	first.SignOff, first.Signed = []string{"operations-lead"}, []string{"operations-lead"}
	second := cp("T+15m", "Fifteen minutes", 15*time.Minute, 10*time.Minute, 5*time.Minute, wire.CheckpointBlocked, wire.VerdictFail, metrics(at), functional(at))
	second.SignOff = []string{"operations-lead"}
	return []wire.Checkpoint{
		first, second,
		later("T+1h", "One hour", time.Hour, "eval.completing", "alerts.errors", "notify.working", "sse.stable", "cpu.executor", "memory.executor", "redis.memory"),
		later("T+4h", "Four hours", 4*time.Hour, "memory.trend", "leader.holds", "alerts.cooldown", "sse.reconnect"),
		later("T+12h", "Next business day", 12*time.Hour, "grafana.reviewed", "notify.rate", "log.spikes", "followers.idle"),
		later("T+24h", "One day", 24*time.Hour, "redis.aof", "sse.leaks", "history.grows", "notify.duplicates"),
		later("T+48h", "Two days", 48*time.Hour, "slo.all", "incidents.none", "users.feedback", "ready"),
	}
}

func immediate(at func(time.Duration) int64) wire.Section {
	return wire.Section{
		Title: "Immediate checks", Commands: []string{"docker ps | grep spark", "curl http://localhost:4001/health"},
		Checks: []wire.Check{
			{
				ID: "health.all", Text: "Health endpoints returning 200 OK", Kind: "auto", Mode: "point", Source: "http", Key: true, Verdict: wire.VerdictPass, Fixed: true,
				Sentence: "3 of 3 answer 200 within 12 ms", Value: "3 of 3", Threshold: "== 200 within 1s", JudgedAt: at(3 * time.Minute), Command: "curl http://localhost:4001/health",
				Attempts: []wire.Attempt{
					{N: 1, At: at(time.Minute), Verdict: wire.VerdictFail, Sentence: "node-b: connection refused"},
					{N: 2, At: at(2 * time.Minute), Verdict: wire.VerdictFail, Sentence: "node-b: HTTP 503, starting"},
					{N: 3, At: at(3 * time.Minute), Verdict: wire.VerdictPass, Sentence: "3 of 3 answer 200 within 12 ms"},
				},
			},
			{
				ID: "grafana.data", Text: "Grafana dashboard showing data", Kind: "manual", Verdict: wire.VerdictPass, Sentence: "ticked by kim", Role: "operations-lead",
				Tick: &wire.Note{At: at(4 * time.Minute), Who: "kim", Role: "operations-lead", Text: "all panels, 03:46"},
			},
			{
				ID: "ops.briefed", Text: "Operations team briefed", Kind: "manual", Verdict: wire.VerdictPending, Sentence: "waits for operations-lead", Role: "operations-lead",
				Evidence: "note", DueAt: at(10 * time.Minute),
			},
			{
				ID: "redis.aof", Text: "Redis AOF file size reasonable", Kind: "auto", Verdict: wire.VerdictNotApplicable, NotApplicable: "the embedded store has no AOF",
				Sentence: "not applicable",
			},
		},
	}
}

func metrics(at func(time.Duration) int64) wire.Section {
	f := func(v float64) *float64 { return &v }
	return wire.Section{
		Title: "Metrics validation", Commands: []string{"curl -s http://localhost:4001/metrics | grep alerts_active", "curl -s http://localhost:4001/metrics | grep leader_elected_total"},
		Checks: []wire.Check{
			{
				ID: "log.fatal", Text: "No critical errors in logs", Kind: "auto", Mode: "invariant", Source: "log", Key: true, Unwaivable: true, Verdict: wire.VerdictFail,
				Sentence: "node-c wrote 4 fatal records since T0, the first at 03:59: store refused the write", Value: "4", Threshold: "== 0", N: f(4), Coverage: f(1),
				From: at(0), To: at(22 * time.Minute), JudgedAt: at(22 * time.Minute), Engine: "local", Digest: "sha256:77aa10",
				Query: `sum(increase(log_records_total{level="error"}[15m]))`, Graph: `sum by (instance) (log_records_total{level="error"})`,
				Command: `docker logs executor-1 | grep "fatal"`, Runbook: "runbooks/redis-loss.md", Rechecks: 4, Flag: "retrying until green",
				Episodes: []wire.Episode{
					{From: at(17 * time.Minute), Verdict: wire.VerdictFail, Sentence: "4 fatal records on node-c", Incident: "i1"},
				},
				Attempts: []wire.Attempt{
					{N: 1, At: at(17 * time.Minute), Verdict: wire.VerdictFail, Sentence: "1 fatal record"},
					{N: 2, At: at(19 * time.Minute), Verdict: wire.VerdictFail, Sentence: "3 fatal records", Reason: "the container was restarted"},
				},
				Notes: []wire.Note{{At: at(20 * time.Minute), Who: "kim", Role: "operations-lead", Text: "disk of node-c is full"}},
			},
			{
				ID: "sse.slo", Text: "SSE availability ≥ 99.5%", Kind: "auto", Mode: "window", Source: "slo", Key: true, Verdict: wire.VerdictUnknown,
				Sentence: "no sample of spark_canary_stream in the last 22 minutes: the canary has no gateway", Threshold: ">= 99.5%", Coverage: f(0.41),
				From: at(0), To: at(22 * time.Minute), JudgedAt: at(22 * time.Minute), Query: "avg_over_time(spark_canary_stream[22m])", Graph: "spark_canary_stream",
				Engine: "local", Runbook: "runbooks/sse-overload.md",
			},
			{
				ID: "leader.count", Text: "Leader election completed (only 1 instance)", Kind: "auto", Mode: "invariant", Source: "promql", Key: true,
				Verdict: wire.VerdictFail, Recovered: true, Sentence: "two leaders for 45 s at 04:01, one since then", Value: "1", Threshold: "== 1", N: f(88), Coverage: f(0.989),
				From: at(0), To: at(22 * time.Minute), JudgedAt: at(22 * time.Minute), Query: "sum(leader_is_leader)", Graph: "sum(leader_is_leader)", Engine: "local",
				Episodes: []wire.Episode{{From: at(17 * time.Minute), To: at(17*time.Minute + 45*time.Second), Verdict: wire.VerdictFail, Sentence: "two leaders: node-a, node-c"}},
			},
			{
				ID: "notify.rate", Text: "Notification delivery rate > 98%", Kind: "auto", Mode: "window", Source: "promql", Verdict: wire.VerdictWarn, Thin: true,
				Sentence: "96.1% of 310 deliveries succeeded, 98% are wanted; the interval reaches from 93.4% to 97.8%", Value: "96.1%", Threshold: ">= 98%", N: f(310), Low: f(0.934), High: f(0.978),
				Coverage: f(0.98), From: at(7 * time.Minute), To: at(22 * time.Minute), JudgedAt: at(22 * time.Minute), Query: "sum(rate(notifications_sent_total[15m]))",
				Graph: "sum by (channel) (rate(notifications_sent_total[5m]))", Engine: "local", Runbook: "runbooks/notify-failures.md",
			},
			{
				ID: "alerts.active", Text: "`alerts_active` metric visible in Grafana", Kind: "auto", Mode: "point", Source: "promql", Verdict: wire.VerdictPass,
				Sentence: "alerts_active is 1198 on 3 of 3 instances", Value: "1198", Threshold: "exists", N: f(3), JudgedAt: at(16 * time.Minute), Query: "alerts_active",
				Graph: "alerts_active", Engine: "local", From: at(15 * time.Minute), To: at(16 * time.Minute), Fixed: true,
			},
		},
	}
}

func functional(at func(time.Duration) int64) wire.Section {
	return wire.Section{
		Title: "Functional tests",
		Checks: []wire.Check{
			{
				ID: "alert.create", Text: "Create test alert via UI (`/alerts` page)", Kind: "manual", Verdict: wire.VerdictPending, Sentence: "waits for development-lead",
				Role: "development-lead", DueAt: at(25 * time.Minute),
			},
			{
				ID: "notify.test", Text: "Test notification (Telegram/Webhook if configured)", Kind: "command", Verdict: wire.VerdictWaived, Original: wire.VerdictFail,
				Sentence: "the receiver is in maintenance", Command: "curl -X POST http://localhost:4001/notify/test -H 'Content-Type: application/json' -d '{}'", Role: "operations-lead",
				Waiver: &wire.Waiver{
					At: at(18 * time.Minute), Who: "kim", Role: "operations-lead", Reason: "the receiver's owner announced maintenance until 06:00", Expires: at(4 * time.Hour), Original: wire.VerdictFail,
				},
			},
		},
	}
}
