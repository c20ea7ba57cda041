package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/daemon/store/dump"
)

// Exported says what [Store.Export] wrote.
type Exported struct {
	dump.Summary
	NotMoved []string // names of the lock and the registry, when they were there
	Foreign  []string // keys under the namespace that are not Spark's; left out
	Unknown  []string // keys of a type that has no text form; left out
	Changed  bool     // the store was written to meanwhile
}

// moved reports whether a key goes into a file. The lock and the registry are of
// processes that live now; a marker of an import is not data.
func (k kind) moved() bool {
	return k != kindForeign && k != kindLock && k != kindMembers && k != kindImport
}

// Export writes everything but the lock and the registry, in the form of package
// dump. What is written while it reads may be in the file or not, each key whole;
// Changed then says so. progress, which may be nil, is told of keys done and of all.
func (s *Store) Export(ctx context.Context, w io.Writer, progress func(done, all int)) (Exported, error) {
	var out Exported
	if n, err := s.client.Exists(ctx, s.importing()).Result(); err != nil || n > 0 {
		return out, cmp.Or(translate(ctx, "export", err), ErrImportUnfinished)
	}
	before := s.positions(ctx)
	names, err := s.names(ctx, &out)
	if err != nil {
		return out, err
	}
	d, err := dump.NewWriter(w, s.keys.namespace)
	if err != nil {
		return out, err
	}
	done := 0
	for batch := range slices.Chunk(names, readBatch) {
		records, err := s.readRecords(ctx, batch, &out)
		if err != nil {
			return out, err
		}
		for _, r := range records {
			if err := d.Write(r); err != nil {
				return out, err
			}
		}
		if done += len(batch); progress != nil {
			progress(done, len(names))
		}
	}
	out.Changed = before != s.positions(ctx)
	out.Summary, err = d.Close()
	return out, err
}

// ErrImportUnfinished means that the store holds a part of what was to be imported.
var ErrImportUnfinished = errors.New("an import into this store was not finished: run it again, with --replace")

// named is a key with its name.
type named struct{ name, key string }

// names lists the keys to be written, in the order of their names.
func (s *Store) names(ctx context.Context, out *Exported) ([]named, error) {
	var list []named
	places := s.places()
	for _, root := range s.roots() {
		err := s.scan(ctx, root, func(_ context.Context, keys []string) error {
			for _, key := range keys {
				switch p, _ := whatIs(places, key); {
				case p.kind == kindForeign:
					out.Foreign = append(out.Foreign, key)
				case !p.kind.moved():
					out.NotMoved = append(out.NotMoved, nameOf(places, key))
				default:
					list = append(list, named{nameOf(places, key), key})
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b named) int { return strings.Compare(a.name, b.name) })
	for _, l := range []*[]string{&out.Foreign, &out.NotMoved} {
		slices.Sort(*l)
		*l = slices.Compact(*l)
	}
	return slices.Compact(list), nil
}

// positions is where the two streams stand that every change of an alert and every
// trigger moves; watermarks may move without them.
func (s *Store) positions(ctx context.Context) string {
	var b strings.Builder
	for _, key := range []string{s.keys.changes(), s.keys.outbox()} {
		if info, err := s.client.XInfoStream(ctx, key).Result(); err == nil {
			b.WriteString(info.LastGeneratedID + " ")
		}
	}
	marks, _ := s.client.HGetAll(ctx, s.keys.watermark()).Result()
	return b.String() + fmt.Sprint(marks)
}

// readRecords reads keys. One that has gone is left out.
func (s *Store) readRecords(ctx context.Context, batch []named, out *Exported) ([]dump.Record, error) {
	types := make([]*goredis.StatusCmd, len(batch))
	ends := make([]*goredis.Cmd, len(batch))
	_, err := s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, n := range batch {
			types[i] = p.Type(ctx, n.key)
			ends[i] = p.Do(ctx, "PEXPIRETIME", n.key)
		}
		return nil
	})
	if err != nil && !unknownCommand(err) {
		return nil, translate(ctx, "export", err)
	}
	reads := make([]func() (dump.Record, error), len(batch))
	_, err = s.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, n := range batch {
			reads[i] = readValue(ctx, p, n.key, types[i].Val())
		}
		return nil
	})
	if err != nil && !errors.Is(err, goredis.Nil) {
		return nil, translate(ctx, "export", err)
	}
	records := make([]dump.Record, 0, len(batch))
	for i, n := range batch {
		if reads[i] == nil {
			if t := types[i].Val(); t == dump.Stream {
				reads[i] = func() (dump.Record, error) { return s.readStream(ctx, n.key) }
			} else if t != "none" {
				out.Unknown = append(out.Unknown, n.key+" ("+t+")")
			}
		}
		if reads[i] == nil {
			continue
		}
		r, err := reads[i]()
		if errors.Is(err, goredis.Nil) || strings.HasPrefix(fmt.Sprint(err), "ERR no such key") {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, translate(ctx, "export of "+n.name, err)
		}
		r.Key, r.Type = n.name, types[i].Val()
		if r.ExpireAt, err = s.expiry(ctx, n.key, ends[i]); err != nil {
			return nil, err
		}
		r.Sort()
		if r.Type == dump.Stream || len(r.Items)+len(r.Pairs)+len(r.Scores) > 0 || r.Type == dump.String {
			records = append(records, r)
		}
	}
	return records, nil
}

func unknownCommand(err error) bool { return goredis.HasErrorPrefix(err, "ERR unknown command") }

// expiry is when a key ends, ms, 0 for never. Servers before Redis 7 cannot say that
// exactly; there it is reckoned from what is left.
func (s *Store) expiry(ctx context.Context, key string, cmd *goredis.Cmd) (int64, error) {
	if at, err := cmd.Int64(); !unknownCommand(err) {
		return max(0, at), translate(ctx, "export", err)
	}
	left, err := s.client.PTTL(ctx, key).Result()
	if err != nil || left <= 0 {
		return 0, translate(ctx, "export", err)
	}
	now, err := s.client.Time(ctx).Result()
	return now.Add(left).UnixMilli(), translate(ctx, "export", err)
}

// readValue sends what reads a value, and returns what takes the answer: nil for a
// type that is read otherwise, or not at all.
func readValue(ctx context.Context, p goredis.Pipeliner, key, typ string) func() (dump.Record, error) {
	switch typ {
	case dump.String:
		cmd := p.Get(ctx, key)
		return func() (r dump.Record, err error) { r.Text, err = cmd.Result(); return r, err }
	case dump.List:
		cmd := p.LRange(ctx, key, 0, -1)
		return func() (r dump.Record, err error) { r.Items, err = cmd.Result(); return r, err }
	case dump.Set:
		cmd := p.SMembers(ctx, key)
		return func() (r dump.Record, err error) { r.Items, err = cmd.Result(); return r, err }
	case dump.Hash:
		cmd := p.HGetAll(ctx, key)
		return func() (r dump.Record, err error) {
			fields, err := cmd.Result()
			for f, v := range fields {
				r.Pairs = append(r.Pairs, [2]string{f, v})
			}
			return r, err
		}
	case dump.ZSet:
		cmd := p.ZRangeWithScores(ctx, key, 0, -1)
		return func() (r dump.Record, err error) {
			members, err := cmd.Result()
			for _, z := range members {
				m, _ := z.Member.(string)
				r.Scores = append(r.Scores, dump.Score{Member: m, Score: z.Score})
			}
			return r, err
		}
	}
	return nil
}

// readStream reads a stream in pages.
func (s *Store) readStream(ctx context.Context, key string) (r dump.Record, err error) {
	info, err := s.client.XInfoStream(ctx, key).Result()
	if err != nil {
		return r, err
	}
	r.Log.Last = cmp.Or(info.LastGeneratedID, streamStart)
	for from := "-"; ; {
		v, err := s.client.Do(ctx, "XRANGE", key, from, r.Log.Last, "COUNT", scanCount).Result()
		if err != nil {
			return r, err
		}
		page, _ := v.([]any)
		for _, item := range page {
			e, err := rawEntry(item)
			if err != nil {
				return r, err
			}
			r.Log.Entries = append(r.Log.Entries, e)
			from = "(" + e.ID
		}
		if len(page) < scanCount {
			break
		}
	}
	groups, err := s.client.XInfoGroups(ctx, key).Result()
	if err != nil {
		return r, err
	}
	for _, g := range groups {
		group, err := s.readGroup(ctx, key, g, r.Log.Last)
		if err != nil {
			return r, err
		}
		r.Log.Groups = append(r.Log.Groups, group)
	}
	return r, nil
}

// rawEntry reads an entry with its fields in their order, which the client's own
// type does not keep.
func rawEntry(item any) (dump.Entry, error) {
	pair, _ := item.([]any)
	if len(pair) != 2 {
		return dump.Entry{}, fmt.Errorf("unexpected entry %.80q", fmt.Sprint(item))
	}
	id, _ := pair[0].(string)
	fields, _ := pair[1].([]any)
	return dump.Entry{ID: id, Fields: texts(fields)}, nil
}

func (s *Store) readGroup(ctx context.Context, key string, g goredis.XInfoGroup, last string) (dump.Group, error) {
	out := dump.Group{Name: g.Name, Last: g.LastDeliveredID}
	if !strings.Contains(out.Last, "-") { // the embedded engine keeps it as it was given
		out.Last += "-0"
	}
	consumers, err := s.client.XInfoConsumers(ctx, key, g.Name).Result()
	if err != nil {
		return out, err
	}
	for _, c := range consumers {
		out.Consumers = append(out.Consumers, c.Name)
	}
	for from := "-"; ; {
		page, err := s.readPending(ctx, key, g.Name, from, last)
		if err != nil {
			return out, err
		}
		for _, p := range page {
			if !slices.Contains(out.Consumers, p.Consumer) {
				out.Consumers = append(out.Consumers, p.Consumer)
			}
			from = nextID(p.ID)
		}
		out.Pending = append(out.Pending, page...)
		if len(page) < pendingPage {
			return out, nil
		}
	}
}

const pendingPage = 100

// readPending reads a page of what is pending. The server says for how long, not
// since when; where its clock went on while it answered, it is asked again.
func (s *Store) readPending(ctx context.Context, key, group, from, to string) (page []dump.Pending, err error) {
	for range 20 {
		v, err := s.run(ctx, pendingScript, []string{key}, group, from, to, pendingPage)
		if err != nil {
			return nil, err
		}
		list, _ := v.([]any)
		if len(list) != 3 {
			return nil, fmt.Errorf("pending: unexpected answer %.80q", fmt.Sprint(v))
		}
		now, _ := list[0].(string)
		items, _ := list[1].([]any)
		page = page[:0]
		for _, item := range items {
			f, _ := item.([]any)
			if len(f) != 4 {
				return nil, fmt.Errorf("pending: unexpected answer %.80q", fmt.Sprint(item))
			}
			idle, _ := f[2].(int64)
			count, _ := f[3].(int64)
			t := texts(f)
			page = append(page, dump.Pending{ID: t[0], Consumer: t[1], At: max(0, number(now)-idle), Count: count})
		}
		if now == list[2] {
			break
		}
	}
	return page, nil
}

// nextID is the id right after an entry's.
func nextID(id string) string {
	ms, n, _ := splitID(id)
	if n == math.MaxUint64 {
		return strconv.FormatUint(ms+1, 10) + "-0"
	}
	return strconv.FormatUint(ms, 10) + "-" + strconv.FormatUint(n+1, 10)
}
