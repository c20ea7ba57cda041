package hypercare

import (
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// exit fills a page with the conditions of the exit, who signed, and the statement
// under which the leads sign.
func (s *Screen) exit(p *page) {
	r := s.run().Run
	met := 0
	for _, c := range r.Exit {
		if c.Met {
			met++
		}
	}
	p.head(ui.Say("Exit: %d of %d criteria met", met, len(r.Exit)))
	criteria(p, r.Exit)
	p.head("Signatures under the closing statement")
	signed := 0
	for _, so := range r.SignOffs {
		if so.Checkpoint == "" {
			s.signature(p, so)
			signed++
		}
	}
	if signed == 0 {
		p.text(ui.Dim, "none yet: two leads sign, each with a key of their own."+s.hint(" O shows what they sign and how."))
	}
	if s.closing != nil {
		s.statement(p, s.closing)
	}
	p.head(ui.Say("Issues that users reported: %d", len(r.UserIssues)))
	for _, n := range r.UserIssues {
		p.text(ui.Plain, s.remark(n))
	}
	p.head("Words under checkpoints")
	for _, so := range r.SignOffs {
		if so.Checkpoint != "" {
			s.signature(p, so)
		}
	}
	p.head(ui.Say("Times in which the observer did not look: %d", len(r.Gaps)))
	for _, g := range r.Gaps {
		p.text(ui.Warn, ui.Say("%s for %s: %s", s.at(g.From), long(g.To.Sub(g.From)), g.What))
	}
	if r.Amendments > 0 {
		p.head(ui.Say("The plan was changed %d times during the run; the report has the differences", r.Amendments))
	}
}

func criteria(p *page, list []live.Criterion) {
	for _, c := range list {
		word, style := safetext.Text("[x] MET      "), ui.Good
		if !c.Met {
			word, style = "[ ] NOT MET  ", ui.Warn
		}
		p.row(part{style | ui.Bold, word}, part{ui.Plain, c.Title})
		for _, line := range ui.Wrap(c.Text, p.w-14) {
			p.row(part{ui.Dim, "             " + line})
		}
	}
}

func (s *Screen) signature(p *page, so live.SignOff) {
	text := ui.Say("%s %s (%s): %s", s.at(so.At), so.Who, so.Role, so.Decision)
	if so.Checkpoint != "" {
		text = ui.Say("%s %s", so.Checkpoint, text)
	}
	if so.Signed {
		text += ui.Say(", signed with %s", so.Key)
	}
	if so.Comment != "" {
		text += ": " + so.Comment
	}
	style := ui.Plain
	if so.Stale {
		style = ui.Warn
		text += " (STALE: something happened afterwards)"
	}
	p.text(style, text)
}

// signCommand is the command that signs: the key stays with its owner, so the
// console does not do it.
func (s *Screen) signCommand() safetext.Text {
	url := safetext.Text("")
	if s.picture != nil {
		url = s.picture.URL
	}
	return ui.Say("spark-tui sign --url %s --role operations-lead --decision close", url)
}

func (s *Screen) statement(p *page, c *live.Closing) {
	p.head("Closing statement")
	if c.Ready {
		p.text(ui.Good|ui.Bold, "READY: nothing but signatures is missing.")
	} else {
		p.text(ui.Warn|ui.Bold, "NOT READY. Missing:")
		for _, e := range c.Exit {
			if !e.Met {
				p.text(ui.Warn, ui.Say("- %s: %s", e.Title, e.Text))
			}
		}
	}
	p.fact("journal", ui.Dim, ui.Say("record %d, head %s", c.Seq, c.Head))
	p.text(ui.Plain, c.Statement)
	if c.Note != "" {
		p.head("Signed so far")
		p.text(ui.Dim, c.Note)
	}
	p.head("How to sign")
	p.text(ui.Plain, "This console holds no key. Each lead signs these bytes with their own, on their own machine (y copies the command; spark-tui keys makes a key):")
	p.text(ui.Info, s.signCommand())
	p.text(ui.Dim, "with --role development-lead for the other, and --decision no-go to refuse. A signature is stale once anything but a signature happens after it.")
}

// reported fills a page with the report.
func (s *Screen) reported(p *page) {
	if s.report == nil {
		text := safetext.Text("the report was not read: r reads it")
		if s.waiting != "" {
			text = "reading the report"
		}
		p.text(ui.Dim, text)
		return
	}
	for _, l := range ui.Wrap(s.report.Text, p.w-1) {
		style := ui.Plain
		if len(l) > 0 && l[0] == '#' {
			style = ui.Title
		}
		p.row(part{style, l})
	}
}
