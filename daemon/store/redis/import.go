package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/dump"
)

// Errors of [Store.Import] that say that nothing was written.
var (
	// ErrNotEmpty means that the store holds something already.
	ErrNotEmpty = errors.New("the store is not empty")
	// ErrInUse means that processes work with the store.
	ErrInUse = errors.New("the store is in use")
)

// ImportOptions of [Store.Import].
type ImportOptions struct {
	Replace  bool                // delete what is there
	Progress func(done, all int) // told of keys done and of all; may be nil
}

// Imported says what [Store.Import] wrote.
type Imported struct {
	dump.Summary
	Namespace string // of the store that the file came from
	Replaced  int    // keys deleted first
	Epoch     int64  // of the term afterwards: the file's, or the store's when that is higher
}

// Import reads a file of [Store.Export]. The whole file is checked before anything
// is written. It refuses a store in which processes are alive ([ErrInUse]), and
// without Replace one that is not empty ([ErrNotEmpty]).
//
// When it fails or ctx ends, what it wrote into an empty store is taken away again.
// Where it replaced something the store is left incomplete, and marked so, until an
// import succeeds. The term's epoch is never lowered.
func (s *Store) Import(ctx context.Context, file io.ReadSeeker, o ImportOptions) (Imported, error) {
	out, err := s.verify(file)
	if err != nil {
		return out, err
	}
	if err := s.nobodyHere(ctx); err != nil {
		return out, err
	}
	var present Exported
	old, err := s.names(ctx, &present)
	if err != nil {
		return out, err
	}
	unfinished := slices.Contains(present.NotMoved, "import")
	if (len(old) > 0 || unfinished) && !o.Replace {
		return out, fmt.Errorf("%w: it holds %d keys", ErrNotEmpty, len(old))
	}
	term, err := s.client.HGet(ctx, s.keys.term(), "epoch").Result()
	if err != nil && !errors.Is(err, goredis.Nil) && !goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return out, translate(ctx, "import", err)
	}
	out.Replaced = len(old)
	err = s.replace(ctx, file, old, number(term), o, &out)
	if err != nil {
		err = s.undo(ctx, file, len(old) > 0 || unfinished, err)
	}
	return out, err
}

// verify reads the file to its end.
func (s *Store) verify(file io.ReadSeeker) (Imported, error) {
	var out Imported
	d, err := dump.NewReader(file)
	if err != nil {
		return out, err
	}
	places := s.places()
	for line := 2; ; line++ {
		r, err := d.Next()
		if errors.Is(err, io.EOF) {
			out.Namespace, out.Summary = d.Namespace, d.Summary
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if _, p, err := keyOf(places, r.Key); err != nil || !p.kind.moved() {
			return out, fmt.Errorf("line %d: %.100q is not the name of a key that is moved", line, r.Key)
		}
	}
}

// nobodyHere wants no process to be alive and nobody to lead.
func (s *Store) nobodyHere(ctx context.Context) error {
	l, err := s.Lock(ctx)
	if err != nil {
		return err
	}
	for _, m := range l.Members {
		if m.Alive(l.Now) {
			return fmt.Errorf("%w: %s was alive %d ms ago; stop every process of the fleet, then wait %s", ErrInUse, m.ID, l.Now-m.At, store.AliveFor)
		}
	}
	if l.Type != "none" {
		return fmt.Errorf("%w: %s holds %.100q; it is given up when its time is over (%s), or by spark-daemon lock reset", ErrInUse, l.Key, l.Value, l.TTL)
	}
	return nil
}

func (s *Store) replace(ctx context.Context, file io.ReadSeeker, old []named, epoch int64, o ImportOptions, out *Imported) error {
	if err := s.elect.Set(ctx, s.importing(), "spark-daemon store import", 0).Err(); err != nil {
		return translate(ctx, "import", err)
	}
	if err := s.remove(ctx, old); err != nil {
		return err
	}
	w := &loader{store: s, places: s.places()}
	if err := w.load(ctx, file, out.Records, o.Progress); err != nil {
		return err
	}
	text, err := s.client.HGet(ctx, s.keys.term(), "epoch").Result()
	if out.Epoch = number(text); out.Epoch < epoch {
		err, out.Epoch = s.elect.HSet(ctx, s.keys.term(), "epoch", epoch).Err(), epoch
	}
	if err != nil && !errors.Is(err, goredis.Nil) && !goredis.HasErrorPrefix(err, "WRONGTYPE") {
		return translate(ctx, "import", err)
	}
	return translate(ctx, "import", s.elect.Del(ctx, s.importing()).Err())
}

func (s *Store) remove(ctx context.Context, list []named) error {
	for part := range slices.Chunk(list, readBatch) {
		keys := make([]string, len(part))
		for i, n := range part {
			keys[i] = n.key
		}
		if err := translate(ctx, "import", s.elect.Unlink(ctx, keys...).Err()); err != nil {
			return err
		}
	}
	return nil
}

// undoTime is how long taking away what was written may take.
const undoTime = 5 * time.Minute

// undo takes away what an import wrote, unless it replaced something, and returns why
// the import failed with what is left.
func (s *Store) undo(ctx context.Context, file io.ReadSeeker, replaced bool, why error) error {
	if replaced {
		return fmt.Errorf("%w; the store is incomplete and marked so: run the same import again, with --replace", why)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if err := errors.Join(s.removeNames(ctx, file), translate(ctx, "import", s.elect.Del(ctx, s.importing()).Err())); err != nil {
		return fmt.Errorf("%w; what was written could not be taken away again (%v): run the same import again, with --replace", why, err)
	}
	return fmt.Errorf("%w; nothing was left behind", why)
}

func (s *Store) removeNames(ctx context.Context, file io.ReadSeeker) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d, err := dump.NewReader(file)
	if err != nil {
		return err
	}
	places := s.places()
	list := make([]named, 0, readBatch)
	for {
		r, err := d.Next()
		if err == nil {
			key, _, _ := keyOf(places, r.Key)
			list = append(list, named{key: key})
		}
		if len(list) == cap(list) || err != nil {
			if err := s.remove(ctx, list); err != nil {
				return err
			}
			list = list[:0]
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// loader writes records through the client that sends nothing twice: a list would
// grow.
type loader struct {
	store    *Store
	places   []place
	commands [][]any
	size     int
}

const (
	loadCommands = 500     // in one pipeline
	loadBytes    = 1 << 20 // of arguments in one pipeline, about
	loadMany     = 500     // elements in one command
	absentField  = "-"     // of an entry that is there only to be pending
)

func (w *loader) load(ctx context.Context, file io.ReadSeeker, all int, progress func(done, all int)) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d, err := dump.NewReader(file)
	if err != nil {
		return err
	}
	for done := 1; ; done++ {
		r, err := d.Next()
		if errors.Is(err, io.EOF) {
			return w.flush(ctx)
		}
		if err != nil {
			return err
		}
		if err := w.record(ctx, &r); err != nil {
			return fmt.Errorf("%s: %w", r.Key, err)
		}
		if progress != nil && (done%readBatch == 0 || done == all) {
			progress(done, all)
		}
	}
}

func (w *loader) record(ctx context.Context, r *dump.Record) error {
	key, _, err := keyOf(w.places, r.Key)
	if err != nil {
		return err
	}
	switch r.Type {
	case dump.String:
		err = w.put(ctx, "SET", key, r.Text)
	case dump.List:
		err = putMany(ctx, w, "RPUSH", key, r.Items, func(v string) []any { return []any{v} })
	case dump.Set:
		err = putMany(ctx, w, "SADD", key, r.Items, func(v string) []any { return []any{v} })
	case dump.Hash:
		err = putMany(ctx, w, "HSET", key, r.Pairs, func(p [2]string) []any { return []any{p[0], p[1]} })
	case dump.ZSet:
		err = putMany(ctx, w, "ZADD", key, r.Scores, func(z dump.Score) []any { return []any{strconv.FormatFloat(z.Score, 'g', -1, 64), z.Member} })
	case dump.Stream:
		err = w.stream(ctx, key, r.Log)
	}
	if err == nil && r.ExpireAt > 0 {
		err = w.put(ctx, "PEXPIREAT", key, r.ExpireAt)
	}
	return err
}

func putMany[T any](ctx context.Context, w *loader, command, key string, list []T, args func(T) []any) error {
	for part := range slices.Chunk(list, loadMany) {
		c := make([]any, 2, 2+2*len(part))
		c[0], c[1] = command, key
		for _, v := range part {
			c = append(c, args(v)...)
		}
		if err := w.put(ctx, c...); err != nil {
			return err
		}
	}
	return nil
}

// stream writes entries, groups and what is pending in them. An entry that is
// pending and gone, or only the newest id, is there for a moment.
func (w *loader) stream(ctx context.Context, key string, l dump.Log) error {
	entries := make(map[string][]string, len(l.Entries))
	for _, e := range l.Entries {
		entries[e.ID] = e.Fields
	}
	absent := map[string]bool{}
	note := func(id string) {
		if _, ok := entries[id]; !ok && id != streamStart {
			absent[id] = true
		}
	}
	note(l.Last)
	for _, g := range l.Groups {
		for _, p := range g.Pending {
			note(p.ID)
		}
	}
	gone := slices.SortedFunc(maps.Keys(absent), dump.CompareIDs)
	ids := slices.AppendSeq(slices.Clone(gone), maps.Keys(entries))
	slices.SortFunc(ids, dump.CompareIDs)
	for _, id := range ids {
		fields := entries[id]
		if absent[id] {
			fields = []string{absentField, absentField}
		}
		c := []any{"XADD", key, id}
		for _, f := range fields {
			c = append(c, f)
		}
		if err := w.put(ctx, c...); err != nil {
			return err
		}
	}
	if err := w.groups(ctx, key, l.Groups, len(ids) == 0); err != nil {
		return err
	}
	for _, id := range gone {
		if err := w.put(ctx, "XDEL", key, id); err != nil {
			return err
		}
	}
	return nil
}

func (w *loader) groups(ctx context.Context, key string, groups []dump.Group, empty bool) error {
	var list [][]any
	if empty && len(groups) == 0 { // the only way to make a stream without an entry
		list = append(list, []any{"XGROUP", "CREATE", key, "-", "0", "MKSTREAM"}, []any{"XGROUP", "DESTROY", key, "-"})
	}
	for _, g := range groups {
		list = append(list, []any{"XGROUP", "CREATE", key, g.Name, g.Last, "MKSTREAM"})
		for _, c := range g.Consumers {
			list = append(list, []any{"XGROUP", "CREATECONSUMER", key, g.Name, c})
		}
		for _, p := range g.Pending {
			list = append(list, []any{"XCLAIM", key, g.Name, p.Consumer, 0, p.ID, "TIME", p.At, "RETRYCOUNT", p.Count, "FORCE", "JUSTID"})
		}
	}
	for _, c := range list {
		if err := w.put(ctx, c...); err != nil {
			return err
		}
	}
	return nil
}

// put sends a command, at the latest with the next flush.
func (w *loader) put(ctx context.Context, args ...any) error {
	w.commands = append(w.commands, args)
	for _, a := range args {
		if text, ok := a.(string); ok {
			w.size += len(text)
		}
		w.size += 16
	}
	if len(w.commands) < loadCommands && w.size < loadBytes {
		return nil
	}
	return w.flush(ctx)
}

func (w *loader) flush(ctx context.Context) error {
	if len(w.commands) == 0 {
		return nil
	}
	_, err := w.store.elect.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for _, c := range w.commands {
			p.Do(ctx, c...)
		}
		return nil
	})
	w.commands, w.size = w.commands[:0], 0
	return translate(ctx, "import", err)
}
