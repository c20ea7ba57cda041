package lease

import (
	"fmt"
	"strings"
	"time"

	"github.com/spark-ta/spark/daemon/store"
)

// State is what the lock is in, for an operator.
type State string

// The states of the lock. Each is decided by [Diagnose] in this order of weight.
const (
	WrongType  State = "wrong-type"  // the key holds no string
	Free       State = "free"        // nobody holds it
	Amnesia    State = "amnesia"     // no term is stored, or the server is younger than the lease
	Immortal   State = "immortal"    // it has no time to live
	Foreign    State = "foreign"     // its value is not the newest term's holder
	DeadHolder State = "dead-holder" // its holder's heartbeat is missing
	Zombie     State = "zombie"      // it is renewed, and the holder's work stands still
	Held       State = "held"        // as it should be
)

// zombieAfter is how old the progress of a holder that renews may be.
const zombieAfter = 30 * time.Second

// Diagnosis says what the lock is in and what is safe to do.
type Diagnosis struct {
	State    State
	Sentence string
	Command  string // the safe command, "" when there is nothing to do
	Token    store.Token
	Alive    bool          // the holder has a recent heartbeat
	HeardMS  int64         // age of the holder's newest sign of life, -1 when there is none
	Left     time.Duration // of the lease; -1 for ever
	Warnings []string
}

// Diagnose judges what was seen of the lock. lease is the configured lease, which
// decides how young a server is.
func Diagnose(l store.Lock, lease time.Duration) Diagnosis {
	d := Diagnosis{Token: store.Token{Holder: l.Value}, Left: l.TTL, HeardMS: -1, Warnings: warnings(l)}
	if l.Type == "none" {
		d.Left = 0
	}
	if l.HasTerm && l.Value != "" && l.Term.Holder == l.Value {
		d.Token.Epoch = l.Term.Epoch
	}
	heard(&d, l)
	young := l.Uptime > 0 && l.Uptime < lease
	switch {
	case l.Type != "string" && l.Type != "none":
		d.State, d.Sentence = WrongType, fmt.Sprintf("the key holds a %s where the holder's name belongs; nobody can lead", l.Type)
		d.Command = resetCommand(d.Token)
	case l.Type == "none":
		free(&d, l, lease, young)
	case l.TTL < 0:
		d.State, d.Sentence = Immortal, fmt.Sprintf("%q has no time to live, so it was set by hand; nobody else can ever lead", l.Value)
		d.Command = resetCommand(d.Token)
	case !l.HasTerm:
		d.State, d.Sentence = Amnesia, fmt.Sprintf("%q is in the lock, and no term is stored: the store lost it, or the lock was set by hand; it frees itself in %s", l.Value, short(l.TTL))
		d.Command = resetCommand(d.Token)
	case d.Token.Epoch == 0:
		d.State, d.Sentence = Foreign, fmt.Sprintf("%q is in the lock, and the newest term is %q's: the lock was set by hand or by another program; it frees itself in %s", l.Value, l.Term.Holder, short(l.TTL))
		d.Command = resetCommand(d.Token)
	case !d.Alive:
		d.State, d.Sentence = DeadHolder, fmt.Sprintf("%s holds it and has not been heard of%s; it frees itself in %s", l.Value, since(d.HeardMS), short(l.TTL))
		d.Command = resetCommand(d.Token)
	case l.Term.Renewed-l.Term.Progress > zombieAfter.Milliseconds():
		d.State = Zombie
		d.Sentence = fmt.Sprintf("%s renews, and its work has stood still for %s", l.Value, short(time.Duration(l.Now-l.Term.Progress)*time.Millisecond))
		d.Command = resetCommand(d.Token)
	default:
		d.State = Held
		d.Sentence = fmt.Sprintf("%s leads since %s, epoch %d, lease %s left", l.Value,
			time.UnixMilli(l.Term.Since).UTC().Format(time.RFC3339), l.Term.Epoch, short(l.TTL))
	}
	return d
}

// free says why nobody leads. Candidates take a free lock by themselves, so there is
// no command.
func free(d *Diagnosis, l store.Lock, lease time.Duration, young bool) {
	holder, alive := member(l, l.Term.Holder)
	switch {
	case l.HasTerm && l.Term.State == "held" && l.Now < l.Term.Until && alive:
		d.State, d.Sentence = Free, fmt.Sprintf("the lock was deleted under %s, which lives and is stopping; the next leader waits for its word", holder.ID)
	case !l.HasTerm && young:
		d.State, d.Sentence = Amnesia, fmt.Sprintf("no term is stored and the server has been up for %s: candidates wait for %s more, in case it forgot a leader", short(l.Uptime), short(lease-l.Uptime))
	case candidates(l) == 0:
		d.State, d.Sentence = Free, "nobody leads, and no candidate has a recent heartbeat: start an executor"
	default:
		d.State, d.Sentence = Free, fmt.Sprintf("nobody leads, %d candidates may take it", candidates(l))
	}
}

// heard fills in what is known of the holder's life: its heartbeat, or the newest
// renewal, whichever is newer.
func heard(d *Diagnosis, l store.Lock) {
	if l.Value == "" {
		return
	}
	at := int64(0)
	if m, _ := member(l, l.Value); m != nil {
		at = m.At
	}
	if d.Token.Epoch > 0 {
		at = max(at, l.Term.Renewed)
	}
	if at > 0 {
		d.HeardMS = max(0, l.Now-at)
		d.Alive = d.HeardMS < store.AliveFor.Milliseconds()
	}
}

func member(l store.Lock, id string) (*store.Member, bool) {
	for i := range l.Members {
		if l.Members[i].ID == id {
			return &l.Members[i], l.Members[i].Alive(l.Now)
		}
	}
	return nil, false
}

func candidates(l store.Lock) (n int) {
	for _, m := range l.Members {
		if m.Alive(l.Now) && m.Phase != store.PhaseNone && m.Phase != store.PhaseDisabled && m.Phase != store.PhaseDraining {
			n++
		}
	}
	return n
}

func warnings(l store.Lock) (out []string) {
	if strings.HasPrefix(l.Eviction, "allkeys-") {
		out = append(out, fmt.Sprintf("the server's maxmemory-policy is %s: it may throw the lock and alerts away; set noeviction", l.Eviction))
	}
	if l.Control.Paused {
		out = append(out, fmt.Sprintf("the scheduler is paused by %s: a leader holds its lease and evaluates nothing", orUnknown(l.Control.By)))
	}
	return out
}

func orUnknown(s string) string {
	if s == "" {
		return "somebody"
	}
	return s
}

// resetCommand is compare-and-delete: it cannot hit a successor. The quotes keep a
// value that was set by hand from meaning anything to a shell.
func resetCommand(t store.Token) string {
	return "spark-daemon lock reset --expect '" + strings.ReplaceAll(t.Holder, "'", `'\''`) + fmt.Sprintf("@%d'", t.Epoch)
}

func since(ms int64) string {
	if ms < 0 {
		return ""
	}
	return " for " + short(time.Duration(ms)*time.Millisecond)
}

func short(d time.Duration) string {
	if d < 10*time.Second {
		return max(0, d).Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
