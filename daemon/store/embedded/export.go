package embedded

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// export returns a snapshot: a file's contents whose records, executed at the
// present time, rebuild the present state.
func (m *machine) export() ([]byte, error) {
	x := &exporter{machine: m, out: []byte(snapHead)}
	x.begin()
	for _, id := range slices.Sorted(maps.Keys(m.scripts)) {
		x.put("SCRIPT", "LOAD", m.scripts[id].text)
	}
	m.advance(m.now, true)
	keys, err := x.list("KEYS", "*")
	if err != nil {
		return nil, err
	}
	slices.Sort(keys)
	for _, key := range keys {
		if err := x.key(key); err != nil {
			return nil, fmt.Errorf("snapshot of %q: %w", key, err)
		}
	}
	x.out = appendRecord(x.out, m.now, []string{snapshotEnd, strconv.Itoa(x.records)})
	x.end()
	return x.out, nil
}

// exporter writes records, in frames of a bounded size.
type exporter struct {
	machine *machine
	out     []byte
	start   int // of the present frame
	records int
}

const (
	exportFrame = 1 << 20 // bytes after which a frame is ended
	exportMany  = 500     // elements in one record
)

func (x *exporter) begin() {
	x.start = len(x.out)
	x.out = append(x.out, make([]byte, frameHead)...)
}

func (x *exporter) end() { sealFrame(x.out[x.start:], int64(x.start)) }

func (x *exporter) put(args ...string) {
	x.out = appendRecord(x.out, x.machine.now, args)
	x.records++
	if len(x.out)-x.start > exportFrame {
		x.end()
		x.begin()
	}
}

// many puts a command with many elements, in parts.
func (x *exporter) many(name, key string, elements []string) {
	for part := range slices.Chunk(elements, exportMany) {
		x.put(append([]string{name, key}, part...)...)
	}
}

// list asks for a list of strings.
func (x *exporter) list(args ...string) ([]string, error) {
	v, err := x.machine.ask(args...)
	if err != nil {
		return nil, err
	}
	items, _ := v.([]any)
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = fmt.Sprint(item)
	}
	return out, nil
}

// key writes one key.
func (x *exporter) key(key string) error {
	v, err := x.machine.ask("TYPE", key)
	if err != nil {
		return err
	}
	switch kind := fmt.Sprint(v); kind {
	case "string":
		text, err := x.machine.ask("GET", key)
		if err != nil {
			return err
		}
		x.put("SET", key, fmt.Sprint(text))
	case "hash":
		err = x.elements("HSET", key, "HGETALL", key)
	case "list":
		err = x.elements("RPUSH", key, "LRANGE", key, "0", "-1")
	case "set":
		err = x.elements("SADD", key, "SMEMBERS", key)
	case "zset":
		var pairs []string
		pairs, err = x.list("ZRANGE", key, "0", "-1", "WITHSCORES")
		for i := 0; i+1 < len(pairs); i += 2 {
			pairs[i], pairs[i+1] = pairs[i+1], pairs[i]
		}
		x.many("ZADD", key, pairs)
	case "stream":
		err = x.stream(key)
	default:
		err = fmt.Errorf("type %s", kind)
	}
	if err != nil {
		return err
	}
	left, err := x.machine.ask("PTTL", key)
	if err != nil {
		return err
	}
	if ms, _ := left.(int); ms > 0 {
		x.put("PEXPIRE", key, strconv.Itoa(ms))
	}
	return nil
}

func (x *exporter) elements(write, key string, read ...string) error {
	items, err := x.list(read...)
	if err != nil {
		return err
	}
	x.many(write, key, items)
	return nil
}

// stream writes a stream: entries, then groups, what is pending in them, and at
// last it takes away entries that were there only to be pending, or to set the
// newest id.
func (x *exporter) stream(key string) error {
	entries, err := x.entries(key)
	if err != nil {
		return err
	}
	info, err := x.list("XINFO", "STREAM", key)
	if err != nil {
		return err
	}
	groups, err := x.groups(key)
	if err != nil {
		return err
	}
	absent := map[string]bool{}
	for _, g := range groups {
		for _, p := range g.pending {
			if _, ok := entries[p[0]]; !ok {
				absent[p[0]] = true
			}
		}
	}
	if last := field(info, "last-generated-id"); last != "" && last != "<nil>" {
		if _, ok := entries[last]; !ok {
			absent[last] = true
		}
	}
	ids := slices.SortedFunc(maps.Keys(entries), compareIDs)
	ids = append(ids, slices.Collect(maps.Keys(absent))...)
	slices.SortFunc(ids, compareIDs)
	for _, id := range ids {
		values := entries[id]
		if absent[id] {
			values = []string{"-", "-"}
		}
		x.put(append([]string{"XADD", key, id}, values...)...)
	}
	if len(ids) == 0 && len(groups) == 0 {
		x.put("XGROUP", "CREATE", key, "-", "0", "MKSTREAM")
		x.put("XGROUP", "DESTROY", key, "-")
	}
	for _, g := range groups {
		x.group(key, g)
	}
	for _, id := range slices.SortedFunc(maps.Keys(absent), compareIDs) {
		x.put("XDEL", key, id)
	}
	return nil
}

func (x *exporter) group(key string, g group) {
	x.put("XGROUP", "CREATE", key, g.name, g.delivered, "MKSTREAM")
	for _, c := range g.consumers {
		x.put("XGROUP", "CREATECONSUMER", key, g.name, c)
	}
	for _, p := range g.pending {
		idle, _ := strconv.ParseInt(p[2], 10, 64)
		x.put("XCLAIM", key, g.name, p[1], "0", p[0], "TIME", strconv.FormatInt(x.machine.now-idle, 10),
			"RETRYCOUNT", p[3], "FORCE", "JUSTID")
	}
}

func (x *exporter) entries(key string) (map[string][]string, error) {
	v, err := x.machine.ask("XRANGE", key, "-", "+")
	if err != nil {
		return nil, err
	}
	items, _ := v.([]any)
	entries := make(map[string][]string, len(items))
	for _, item := range items {
		pair, _ := item.([]any)
		if len(pair) != 2 {
			return nil, fmt.Errorf("entry %v", item)
		}
		values, _ := pair[1].([]any)
		list := make([]string, len(values))
		for i, v := range values {
			list[i] = fmt.Sprint(v)
		}
		entries[fmt.Sprint(pair[0])] = list
	}
	return entries, nil
}

// group is a consumer group; pending holds id, consumer, idle ms, count.
type group struct {
	name, delivered string
	consumers       []string
	pending         [][]string
}

func (x *exporter) groups(key string) ([]group, error) {
	infos, err := x.tables("XINFO", "GROUPS", key)
	if err != nil {
		return nil, err
	}
	groups := make([]group, 0, len(infos))
	for _, info := range infos {
		g := group{name: field(info, "name"), delivered: field(info, "last-delivered-id")}
		consumers, err := x.tables("XINFO", "CONSUMERS", key, g.name)
		if err != nil {
			return nil, err
		}
		for _, c := range consumers {
			g.consumers = append(g.consumers, field(c, "name"))
		}
		if g.pending, err = x.tables("XPENDING", key, g.name, "-", "+", strconv.Itoa(1<<30)); err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b group) int { return strings.Compare(a.name, b.name) })
	return groups, nil
}

// tables asks for a list of lists.
func (x *exporter) tables(args ...string) ([][]string, error) {
	v, err := x.machine.ask(args...)
	if err != nil {
		return nil, err
	}
	items, _ := v.([]any)
	out := make([][]string, len(items))
	for i, item := range items {
		row, _ := item.([]any)
		for _, cell := range row {
			out[i] = append(out[i], fmt.Sprint(cell))
		}
	}
	return out, nil
}

// field finds a value in a list of names and values.
func field(list []string, name string) string {
	for i := 0; i+1 < len(list); i += 2 {
		if list[i] == name {
			return list[i+1]
		}
	}
	return ""
}

// compareIDs orders the ids of entries.
func compareIDs(a, b string) int {
	part := func(id string) (ms, n uint64) {
		left, right, _ := strings.Cut(id, "-")
		ms, _ = strconv.ParseUint(left, 10, 64)
		n, _ = strconv.ParseUint(right, 10, 64)
		return ms, n
	}
	am, an := part(a)
	bm, bn := part(b)
	switch {
	case am != bm && am < bm, am == bm && an < bn:
		return -1
	case am == bm && an == bn:
		return 0
	}
	return 1
}
