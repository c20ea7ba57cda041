// Package dump is the text form of a store: what `spark-daemon store export` writes
// and `store import` reads. It knows types of values and nothing of what they mean;
// daemon/store/redis knows which keys there are.
//
// A file is lines of JSON. The first is the header, the last the trailer; between
// them stands one line for each key, in ascending order of the keys' names:
//
//	{"format":"spark-store","version":1,"namespace":"spark:alerts"}
//	{"key":"alert:7f3c","type":"hash","value":[["active","1"],["json","{…}"]]}
//	{"key":"alert:7f3c:events","type":"list","value":["{…}","{…}"]}
//	{"key":"alerts:index","type":"set","value":["7f3c"]}
//	{"key":"hold:webhook","type":"string","expireAt":1790000000000,"value":"…"}
//	{"key":"outbox","type":"stream","value":{"last":"5-1","entries":[["5-1","id","…"]],"groups":[…]}}
//	{"key":"outbox:open","type":"zset","value":[["7f3c:1","1790000000005"]]}
//	{"records":6,"sha256":"…"}
//
// Names are without the namespace, so a file fits a store of any layout. A text that
// is not UTF-8 is {"base64":"…"}. expireAt is in ms. Scores are the shortest decimal
// that reads back as the same number. A group of a stream is
//
//	{"name":"relay","last":"5-1","consumers":["a"],"pending":[{"id":"5-1","consumer":"a","at":1790000000000,"count":1}]}
//
// where at is when the entry was last given to the consumer, in ms, and count how
// often. What a stream counts for its own use (entries ever added, read by a group;
// since when a consumer is idle) is not kept.
//
// There is one way to write a given state: the same state gives the same bytes, and
// the reader refuses every line that the writer would have written differently. The
// trailer counts the records and holds the SHA-256 of all lines before it, so a file
// that was cut or changed is found out. What [Reader.Next] returned before an error
// must not be used: read once to the end, then again to act.
package dump

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The header's words.
const (
	Format  = "spark-store"
	Version = 1
)

// The types of values.
const (
	String = "string"
	Hash   = "hash"
	List   = "list"
	Set    = "set"
	ZSet   = "zset"
	Stream = "stream"
)

// Record is one key.
type Record struct {
	Key      string
	Type     string
	ExpireAt int64 // ms, 0 for never

	Text   string      // of a string
	Items  []string    // of a list, and of a set in ascending order
	Pairs  [][2]string // of a hash: fields and values, in ascending order of the fields
	Scores []Score     // of a sorted set, in its order
	Log    Log         // of a stream
}

// Score is a member of a sorted set.
type Score struct {
	Member string
	Score  float64
}

// Log is a stream.
type Log struct {
	Last    string // the newest id ever given
	Entries []Entry
	Groups  []Group // in ascending order of their names
}

// Entry is an entry of a stream.
type Entry struct {
	ID     string
	Fields []string // names and values in turn
}

// Group is a consumer group of a stream.
type Group struct {
	Name      string
	Last      string    // the newest id given to a consumer
	Consumers []string  // in ascending order
	Pending   []Pending // in ascending order of the ids
}

// Pending is an entry that was given to a consumer and not acknowledged.
type Pending struct {
	ID       string
	Consumer string
	At       int64 // ms
	Count    int64
}

// Sort brings what has no order of its own into the order in which it is written.
func (r *Record) Sort() {
	if r.Type == Set {
		slices.Sort(r.Items)
	}
	slices.SortFunc(r.Pairs, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	slices.SortFunc(r.Scores, compareScores)
	slices.SortFunc(r.Log.Groups, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	for _, g := range r.Log.Groups {
		slices.Sort(g.Consumers)
		slices.SortFunc(g.Pending, func(a, b Pending) int { return CompareIDs(a.ID, b.ID) })
	}
}

func compareScores(a, b Score) int {
	return cmp.Or(cmp.Compare(a.Score, b.Score), strings.Compare(a.Member, b.Member))
}

// check says why a store could not hold the record, or nil.
func (r *Record) check() error {
	n := 1
	var err error
	switch r.Type {
	case String:
	case List:
		n = len(r.Items)
	case Set:
		n = len(r.Items)
		err = ascending("member", r.Items, strings.Compare)
	case Hash:
		n = len(r.Pairs)
		err = ascending("field", r.Pairs, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	case ZSet:
		n = len(r.Scores)
		err = r.checkScores()
	case Stream:
		err = r.Log.check()
	default:
		return fmt.Errorf("unknown type %.32q", r.Type)
	}
	switch {
	case r.Key == "":
		return errors.New("no key")
	case r.ExpireAt < 0:
		return fmt.Errorf("expireAt %d is negative", r.ExpireAt)
	case n == 0:
		return fmt.Errorf("an empty %s: there is no such thing", r.Type)
	}
	return err
}

func (r *Record) checkScores() error {
	seen := make(map[string]bool, len(r.Scores))
	for _, s := range r.Scores {
		if s.Score != s.Score || seen[s.Member] {
			return fmt.Errorf("member %.64q: twice, or without a score", s.Member)
		}
		seen[s.Member] = true
	}
	return ascending("member", r.Scores, compareScores)
}

func (l *Log) check() error {
	last, err := parseID(l.Last)
	if err != nil {
		return err
	}
	for _, e := range l.Entries {
		id, err := parseID(e.ID)
		switch {
		case err != nil:
			return err
		case id == [2]uint64{} || CompareIDs(e.ID, l.Last) > 0:
			return fmt.Errorf("entry %s is beyond the stream's last id %s", e.ID, l.Last)
		case len(e.Fields) == 0 || len(e.Fields)%2 != 0:
			return fmt.Errorf("entry %s: want names and values", e.ID)
		}
	}
	if err := ascending("entry", l.Entries, func(a, b Entry) int { return CompareIDs(a.ID, b.ID) }); err != nil {
		return err
	}
	for _, g := range l.Groups {
		if err := g.check(last); err != nil {
			return fmt.Errorf("group %.64q: %w", g.Name, err)
		}
	}
	return ascending("group", l.Groups, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
}

func (g *Group) check(last [2]uint64) error {
	if _, err := parseID(g.Last); err != nil {
		return err
	}
	for _, p := range g.Pending {
		id, err := parseID(p.ID)
		if err != nil {
			return err
		}
		_, known := slices.BinarySearch(g.Consumers, p.Consumer)
		if id == [2]uint64{} || compareParts(id, last) > 0 || p.At < 0 || p.Count < 0 || !known {
			return fmt.Errorf("pending %s of %.64q is impossible", p.ID, p.Consumer)
		}
	}
	return errors.Join(
		ascending("consumer", g.Consumers, strings.Compare),
		ascending("pending", g.Pending, func(a, b Pending) int { return CompareIDs(a.ID, b.ID) }))
}

// ascending wants each element to be above the one before.
func ascending[T any](what string, list []T, compare func(a, b T) int) error {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return fmt.Errorf("%s %d is not above the one before", what, i+1)
		}
	}
	return nil
}

// CompareIDs orders ids of entries.
func CompareIDs(a, b string) int {
	x, _ := parseID(a)
	y, _ := parseID(b)
	return compareParts(x, y)
}

func compareParts(a, b [2]uint64) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
}

func parseID(id string) ([2]uint64, error) {
	a, b, _ := strings.Cut(id, "-")
	ms, err1 := strconv.ParseUint(a, 10, 64)
	n, err2 := strconv.ParseUint(b, 10, 64)
	if err := cmp.Or(err1, err2); err != nil || fmt.Sprintf("%d-%d", ms, n) != id {
		return [2]uint64{}, fmt.Errorf("%.48q is not the id of an entry", id)
	}
	return [2]uint64{ms, n}, nil
}
