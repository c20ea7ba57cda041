package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
)

var formats = []string{report.Markdown, report.HTML, report.JSON}

func TestTheSameJournalGivesTheSameBytes(t *testing.T) {
	a, b := story(t, false), story(t, false)
	if a.head != b.head {
		t.Fatalf("two runs of the story end in %v and %v", a.head, b.head)
	}
	for _, f := range formats {
		got := write(t, f, a.records, a.head.Seq)
		if again := write(t, f, b.records, b.head.Seq); !bytes.Equal(got, again) {
			t.Errorf("%s: written twice, it differs", f)
		}
		golden(t, "story."+f+".golden", got)
	}
}

func TestAReportOfAnEarlierRecordIsThatOfThen(t *testing.T) {
	c := story(t, false)
	m, lines := &plan.Machine{}, report.NewTimeline()
	for _, r := range c.records {
		if err := m.Apply(r); err != nil {
			t.Fatal(err)
		}
		lines.Add(r)
		f := formats[r.Seq%3]
		now, err := report.Write(f, m.State(), time.UnixMilli(r.At).UTC(), lines)
		if err != nil || !bytes.Contains(now, []byte(r.Hash)) {
			t.Fatalf("%s of record %d does not name its hash: %v", f, r.Seq, err)
		}
		if r.Seq < c.head.Seq && bytes.Contains(now, []byte(c.head.Hash)) {
			t.Fatalf("%s of record %d knows the head of the end", f, r.Seq)
		}
	}
	// What was written when the first hour was opened.
	seq := int64(slices.IndexFunc(c.records, func(r chain.Record) bool {
		return r.Kind == plan.KindOpen && strings.Contains(string(r.Body), "T+1h")
	}) + 1)
	golden(t, "story-hour-one.md.golden", write(t, report.Markdown, c.records, seq))
	if then := write(t, report.Markdown, slices.Clone(c.records[:seq]), seq); !bytes.Equal(then, write(t, report.Markdown, c.records, seq)) {
		t.Error("the report depends on records that came later")
	}
}

func TestTheReportHasEverything(t *testing.T) {
	c := story(t, false)
	md := string(write(t, report.Markdown, c.records, c.head.Seq))
	for _, want := range []string{
		"## Exit criteria", "## Service level objectives", "## Checkpoints", "### T+15m First quarter hour", "## Incidents",
		"## Tuning decisions", "## Waivers", "## Escalations", "## Issues that users reported", "## Gaps in what was observed",
		"## Changes of the plan", "## Timeline", "## Signatures", "## Evidence", "## Journal",
		"passed on attempt 2", "warn (recovered)", "pass (thin)", "waived (was fail)", "**unknown**", "not applicable: there is no Grafana",
		"the old leader was paused", "pass: 12 %, as expected", "the observer restarted", "+ expect: used_memory < 200MB",
		"action leader.resign, target executor-1", "statement: spark hypercare closing 1", "— grace ", "spark-daemon journal verify FILE",
		fmt.Sprintf("spark-tui verify FILE --seq %d --head %s", c.head.Seq, c.head.Hash), strings.Repeat("d1", 32),
		"- [x] Every health endpoint answers", "- [ ] Redis stays small",
	} {
		if !strings.Contains(md, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(md, "REHEARSAL") {
		t.Error("a run that was no rehearsal is marked as one")
	}
}

func TestThePlanInAReportIsStillThePlan(t *testing.T) {
	c := story(t, false)
	var f report.File
	if err := json.Unmarshal(write(t, report.JSON, c.records, c.head.Seq), &f); err != nil {
		t.Fatal(err)
	}
	p, err := plan.Parse("copy.md", []byte(f.Plan))
	if err != nil {
		t.Fatalf("the copy cannot be read: %v", err)
	}
	if want := c.m.State().Plan.Digest; p.Digest != want {
		t.Errorf("the copy has digest %s, the plan %s", p.Digest, want)
	}
	if f.Run.Seq != c.head.Seq || f.Report.Head != c.head.Hash || len(f.Timeline) == 0 || f.Report.Note == "" || f.Report.Outcome == "" {
		t.Errorf("report %+v of run at %d with %d lines", f.Report, f.Run.Seq, len(f.Timeline))
	}
	_, verified, err := chain.OpenAll([]byte(f.Report.Note), c.m.State().Keys[0].Verifier, c.m.State().Keys[1].Verifier)
	if err != nil || len(verified) != 2 {
		t.Errorf("the note in the report is signed by %v: %v", verified, err)
	}
}

func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	c := story(t, false)
	var act *plan.ActError
	_, err := report.Write("pdf", c.m.State(), c.now, nil)
	if !errors.As(err, &act) || !errors.Is(err, plan.ErrInvalid) || act.Field != "format" {
		t.Fatalf("Write(pdf): %#v", err)
	}
	for _, f := range formats {
		if !strings.Contains(err.Error(), f) {
			t.Errorf("%q does not name %s", err, f)
		}
		if _, err := report.Write(f, &plan.State{}, c.now, nil); !errors.Is(err, plan.ErrConflict) {
			t.Errorf("Write(%s) of no run: %v", f, err)
		}
		if _, err := report.Write(f, c.m.State(), c.now, nil); err != nil {
			t.Errorf("Write(%s) without a timeline: %v", f, err)
		}
	}
}

func TestARehearsalIsMarkedEverywhere(t *testing.T) {
	c := story(t, true)
	md := string(write(t, report.Markdown, c.records, c.head.Seq))
	head, _, _ := strings.Cut(md, "## ")
	if strings.Count(head, "REHEARSAL") < 2 || !strings.Contains(head, "two-leaders") {
		t.Errorf("the first lines do not warn:\n%s", head)
	}
	body, _, _ := strings.Cut(md, "\n## REHEARSAL: The plan with its boxes ticked")
	for l := range strings.Lines(body) {
		if strings.HasPrefix(l, "#") && !strings.Contains(l, "# REHEARSAL: ") {
			t.Errorf("heading %q is not marked", l)
		}
	}
	page := string(write(t, report.HTML, c.records, c.head.Seq))
	for _, want := range []string{`<body class="watermark">`, `<p class="rehearsal">`, "<h1>REHEARSAL: ", "<h2>REHEARSAL: Exit", "<title>REHEARSAL: "} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	var f report.File
	if err := json.Unmarshal(write(t, report.JSON, c.records, c.head.Seq), &f); err != nil || !f.Report.Rehearsal || !f.Run.Rehearsal {
		t.Errorf("JSON: %+v, %v", f.Report, err)
	}
}

// The elements and attributes of a page. None of them loads anything.
var (
	elements   = strings.Fields("html head meta title style body h1 h2 h3 section p b code pre table thead tbody tr th td ul li div")
	attributes = strings.Fields("lang charset name content http-equiv class data-label style")
)

// skeleton is the page without its words: what text must not be able to change. It fails
// the test on a page that is not well-formed or refers to something.
func skeleton(t testing.TB, page []byte) string {
	t.Helper()
	var out strings.Builder
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Strict = true
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out.String()
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if !slices.Contains(elements, tok.Name.Local) {
				t.Fatalf("the page has an element %s", tok.Name.Local)
			}
			out.WriteString("<" + tok.Name.Local)
			for _, a := range tok.Attr {
				if !slices.Contains(attributes, a.Name.Local) {
					t.Fatalf("the page has an attribute %s", a.Name.Local)
				}
				if a.Value != "short" { // depends on how long a text is
					out.WriteString(" " + a.Name.Local)
				}
			}
			out.WriteString(">\n")
		case xml.EndElement:
			out.WriteString("</" + tok.Name.Local + ">\n")
		}
	}
}

func TestThePageStandsAlone(t *testing.T) {
	c := story(t, true)
	page := write(t, report.HTML, c.records, c.head.Seq)
	skeleton(t, page)
	style, _, _ := strings.Cut(string(page), "</style>")
	for _, bad := range []string{"url(", "@import", " src", "href", "script", "//"} {
		if strings.Contains(style, bad) {
			t.Errorf("the head of the page refers to something by %q", bad)
		}
	}
	for _, want := range []string{"prefers-color-scheme: dark", "@media print", "break-inside: avoid", "break-before: page", "default-src 'none'", "width=device-width"} {
		if !strings.Contains(style, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// tags renders Markdown as GitHub does and returns its elements.
func tags(t testing.TB, md []byte) string {
	t.Helper()
	var out bytes.Buffer
	g := goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote), goldmark.WithRendererOptions(html.WithUnsafe()))
	if err := g.Convert(md, &out); err != nil {
		t.Fatal(err)
	}
	var names strings.Builder
	for part := range strings.SplitSeq(out.String(), "<") {
		if name, _, ok := strings.Cut(part, ">"); ok && !strings.HasPrefix(name, "!--") {
			names.WriteString(strings.Fields(name)[0] + "\n")
		}
	}
	return names.String()
}

// hostile are texts that would be something else in a careless report.
var hostile = []string{
	`<script>alert(1)</script><img src=x onerror="alert(1)">`,
	"[click](https://evil.example) ![x](https://evil.example/x.png) <https://evil.example>",
	"https://evil.example www.evil.example mail me@evil.example",
	"a | b | c\n| --- | --- |\n# heading\n- [x] done\n```\nfence\n```",
	"`code` **bold** _it_ ~~gone~~ $x$ &lt;b&gt; &amp; :smile: [^1] \\| \\\\| `|`",
	"1. one 2) two --- === > quote",
	"\x1b[31mred\x1b[0m \x9b2J \u202egnihsif \u200b\ufeff \r\n\x00 \x07",
	"</td></tr></table></body></html><!-- ", "--> {{.Title}} ' \" ;}", strings.Repeat("`", 40),
}

func TestNothingFromOutsideIsMarkup(t *testing.T) {
	told := func(text string) *course {
		c := &course{t: t, now: t0}
		c.answer = func(now time.Time, e plan.Evaluate) plan.Observation {
			switch e.Check.ID {
			case "health.all":
				return plan.Observation{Err: text, Query: text, Engine: text, Digest: text, Coverage: -1, Events: -1}
			case "redis.size":
				return plan.Observation{Series: []plan.Series{{Name: text, Fields: map[string]plan.Value{"used_memory": plan.Text(text)}}}, Coverage: 1, Events: -1}
			}
			return answers(now, e)
		}
		c.do("ada", "", plan.Start{ID: "r-1", File: "plan.md", Text: read(t, "plan.md"), Version: "v1", Profile: "compose", T0: t0})
		c.until(time.Minute)
		c.do("ada", "ops", plan.Tick{Check: "ops.briefed", Evidence: text})
		c.do("ada", "ops", plan.Untick{Check: "ops.briefed", Reason: text})
		c.do("ada", "ops", plan.AddNote{Check: "health.all", Text: text})
		c.do("ada", "ops", plan.Waive{Check: "health.all", Reason: text + " and twenty letters of it", Expires: t0.Add(9 * time.Hour)})
		id := c.do("ada", "ops", plan.OpenIncident{Level: 2, Title: text, Checks: []string{"health.all"}})
		c.do("ada", "ops", plan.ChangeIncident{ID: id, Verb: "own", Owner: text, Note: text})
		c.do("ada", "ops", plan.ChangeIncident{ID: id, Verb: "close", Result: text, Note: text})
		c.do("ada", "ops", plan.Decide{Parameter: "P", From: text, To: text, Why: text})
		c.do("ada", "ops", plan.ReportIssue{Text: text})
		c.do("ada", "ops", plan.Missed{From: t0, To: c.now, What: text})
		c.append("ada", "ops", "action-done", encode(t, map[string]any{"action": text, "note": text}))
		c.append("ada", "ops", "odd", []byte(`"no object"`))
		c.until(62 * time.Minute)
		c.do("ada", "ops", plan.Sign{Checkpoint: "T+1h", Role: "operations-lead", Decision: plan.DecisionNoGo, Comment: text})
		return c
	}
	c := told("nothing")
	wantMD := tags(t, write(t, report.Markdown, c.records, c.head.Seq))
	wantHTML := skeleton(t, write(t, report.HTML, c.records, c.head.Seq))
	for _, text := range hostile {
		c := told(text)
		md, page, data := write(t, report.Markdown, c.records, c.head.Seq), write(t, report.HTML, c.records, c.head.Seq), write(t, report.JSON, c.records, c.head.Seq)
		if got := tags(t, md); got != wantMD {
			t.Errorf("%q changes the Markdown: %s", text, firstDifference(got, wantMD))
		}
		if got := skeleton(t, page); got != wantHTML {
			t.Errorf("%q changes the page: %s", text, firstDifference(got, wantHTML))
		}
		for f, out := range map[string][]byte{"md": md, "html": page, "json": data} {
			if i := bytes.IndexFunc(out, func(r rune) bool {
				return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\u200b' || r == '\ufeff'
			}); i >= 0 {
				t.Errorf("%s of %q has a control character at byte %d: %q", f, text, i, out[i:min(len(out), i+12)])
			}
		}
		if !json.Valid(data) {
			t.Errorf("%q breaks the JSON", text)
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d is %q after %q, want %q", i, g[i], g[max(0, i-4):i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

func TestTheMachineAndItsJournalAgree(t *testing.T) {
	c := story(t, false)
	_, _, lines := replay(t, c.records, c.head.Seq)
	for _, f := range formats {
		live, err := report.Write(f, c.m.State(), c.now, lines)
		if err != nil {
			t.Fatal(err)
		}
		if replayed := write(t, f, c.records, c.head.Seq); !bytes.Equal(live, replayed) {
			t.Errorf("%s of the machine differs from that of its journal: %s", f, firstDifference(string(live), string(replayed)))
		}
	}
}
