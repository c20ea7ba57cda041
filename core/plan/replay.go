package plan

import (
	"github.com/spark-ta/spark/core/chain"
)

// ActOf returns what a person or the observer did in a record, so that it can be done
// again in a run with another plan: everything but starts, sign-offs and amendments.
func ActOf(r chain.Record) (Act, bool) {
	body, err := decode(r.Kind, r.Body)
	if err != nil || body == nil {
		return nil, false
	}
	switch b := body.(type) {
	case *checkBody:
		switch r.Kind {
		case KindTick:
			return Tick{b.Check, b.Text}, true
		case KindUntick:
			return Untick{b.Check, b.Text}, true
		case KindNote:
			return AddNote{b.Check, b.Text}, true
		case KindWaive:
			return Waive{b.Check, b.Text, at(b.Expires)}, true
		case KindRecheck:
			return Recheck{b.Check, b.Text}, true
		}
	case *decisionBody:
		if r.Kind == KindDecision {
			return Decide{ID: b.ID, Parameter: b.Parameter, From: b.From, To: b.To, Why: b.Why, ReviewAt: at(b.ReviewAt)}, true
		}
	case *incidentBody:
		switch {
		case r.Kind == KindIncident && r.Who != observer:
			return OpenIncident{b.Level, b.Title, b.Checks}, true
		case r.Kind == KindOwn:
			return ChangeIncident{ID: b.ID, Verb: "own", Owner: b.Owner, Note: b.Note}, true
		case r.Kind == KindLink:
			return ChangeIncident{ID: b.ID, Verb: "link", Checks: b.Checks, Note: b.Note}, true
		case r.Kind == KindResolve:
			return ChangeIncident{ID: b.ID, Verb: "close", Result: b.Result, Note: b.Note}, true
		}
	case *issueBody:
		return ReportIssue{b.Text, b.Minor}, true
	case *gapBody:
		return Missed{at(b.From), at(b.To), b.What}, true
	case *clockBody:
		return ClockStep{}, false // nothing follows from it
	}
	return nil, false
}

// StartOf returns the start that a record holds.
func StartOf(r chain.Record) (Start, bool) {
	body, err := decode(r.Kind, r.Body)
	b, ok := body.(*startBody)
	if err != nil || !ok {
		return Start{}, false
	}
	return Start{
		ID: b.Run, File: b.File, Text: b.Text, Version: b.Version, Profile: b.Profile, T0: at(b.T0), Rehearsal: b.Rehearsal,
		Scenario: b.Scenario, Keys: b.Keys, Commands: b.Commands,
	}, true
}

// EvidenceOf returns what a source had answered when the record's verdict was given.
func EvidenceOf(r chain.Record) (check string, o Observation, ok bool) {
	body, err := decode(r.Kind, r.Body)
	b, isVerdict := body.(*verdictBody)
	if err != nil || !isVerdict {
		return "", Observation{}, false
	}
	o = Observation{Series: decodeSeries(b.Series), Coverage: -1, Events: -1, Engine: b.Engine, Digest: b.Digest}
	if b.Coverage != nil {
		o.Coverage = *b.Coverage
	}
	if b.N != nil {
		o.Events = *b.N
	}
	if len(o.Series) == 0 && b.Verdict == NoData.String() {
		o.Err = b.Sentence
	}
	return b.Check, o, true
}
