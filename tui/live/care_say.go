package live

import (
	"fmt"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

// Tone says how much the verdict matters.
func (v Verdict) Tone() Tone {
	switch v {
	case Pass:
		return Fine
	case Warn, Unknown:
		return Warning
	case Fail:
		return Failure
	}
	return Neutral
}

// Words writes the counts with the heaviest verdict first: "1 FAIL 3 PEND".
func (c Counts) Words() safetext.Text {
	text := ""
	for _, v := range Verdicts() {
		if c[v] != 0 {
			text += fmt.Sprintf(" %d %s", c[v], v.Word())
		}
	}
	if text == "" {
		return "no checks"
	}
	return clean(text[1:])
}

// Letters writes the counts in less room: "1F 3pend".
func (c Counts) Letters() safetext.Text {
	text := ""
	for _, v := range Verdicts() {
		switch {
		case c[v] == 0:
		case v == Pending:
			text += fmt.Sprintf(" %dpend", c[v])
		case v == NotApplicable:
			text += fmt.Sprintf(" %dn/a", c[v])
		default:
			text += fmt.Sprintf(" %d%c", c[v], v.Letter())
		}
	}
	if text == "" {
		return "none"
	}
	return clean(text[1:])
}

// Present returns the index of the checkpoint that needs somebody now: the first that
// is blocked, else the first that is neither closed nor to come, else the next to
// come, else the last; −1 if there is none.
func (r *Run) Present() int {
	for _, wanted := range []func(string) bool{
		func(s string) bool { return s == wire.CheckpointBlocked },
		func(s string) bool { return s != wire.CheckpointClosed && s != wire.CheckpointFuture },
		func(s string) bool { return s == wire.CheckpointFuture },
	} {
		for i := range r.Checkpoints {
			if wanted(r.Checkpoints[i].State) {
				return i
			}
		}
	}
	return len(r.Checkpoints) - 1
}

// Where says where the checkpoint stands, and shouts if somebody should come.
func (cp *Checkpoint) Where() (safetext.Text, Tone) {
	if cp.State != wire.CheckpointClosed && cp.Overdue > 0 {
		return clean(fmt.Sprintf("OVERDUE L%d", cp.Overdue)), Failure
	}
	switch cp.State {
	case wire.CheckpointFuture:
		return "later", Neutral
	case wire.CheckpointOpen:
		if cp.Late {
			return "open, late", Warning
		}
		return "open", Neutral
	case wire.CheckpointNeedsPeople:
		return "needs people", Warning
	case wire.CheckpointNeedsSignOff:
		return "needs sign-off", Warning
	case wire.CheckpointBlocked:
		return "BLOCKED", Failure
	case wire.CheckpointClosed:
		if cp.Late {
			return "closed late", Fine
		}
		return "closed", Fine
	}
	return "state unknown", Warning
}
