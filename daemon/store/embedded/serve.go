package embedded

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxConns     = 1000
	maxReplies   = 1 << 20 // bytes of replies that are held back at most
	writeTimeout = 10 * time.Second
)

// serve answers one connection until it ends.
func (e *Engine) serve(c net.Conn) {
	s := &session{engine: e, conn: c, client: newClient()}
	r := bufio.NewReaderSize(s, 64<<10)
	for {
		args, err := readRequest(r)
		if err != nil {
			if errors.Is(err, errProtocol) && s.settle() == nil {
				_, _ = io.WriteString(c, "-ERR "+err.Error()+"\r\n")
			}
			return
		}
		s.batch = e.execute(s.client, args, s.batch)
		s.unsettled++
		if s.client.out.Len() > maxReplies && s.settle() != nil {
			return
		}
		if s.client.peer.Closed() {
			_ = s.settle()
			return
		}
	}
}

// session holds replies back until what they show is on disk. Replies leave when
// the connection has nothing more to read: a pipeline shares one fsync.
type session struct {
	engine    *Engine
	conn      net.Conn
	client    *client
	batch     *batch // newest that the replies could have seen
	unsettled int    // replies held back
}

// Read implements [io.Reader]: it is asked for more only when everything read before
// has been executed.
func (s *session) Read(p []byte) (int, error) {
	if err := s.settle(); err != nil {
		return 0, err
	}
	return s.conn.Read(p)
}

// settle waits for the disk and sends the replies. If the disk refuses, so does
// every reply.
func (s *session) settle() error {
	if s.unsettled == 0 {
		return nil
	}
	out := s.client.out.Bytes()
	if err := s.engine.commit(s.batch); err != nil {
		refusal := "-MISCONF the journal cannot be written, nothing was changed: " + oneLine(err) + "\r\n"
		out = bytes.Repeat([]byte(refusal), s.unsettled)
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := s.conn.Write(out)
	s.client.out.Reset()
	s.batch, s.unsettled = nil, 0
	return err
}

func oneLine(err error) string {
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(err.Error())
}

// execute executes a command now and leaves its reply in c. It returns the newest
// batch that the reply could have seen, or last.
func (e *Engine) execute(c *client, args []string, last *batch) *batch {
	name := strings.ToUpper(args[0])
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.commands.Add(1)
	if e.broken != nil {
		return reply(c, last, "MISCONF the store is not usable: "+oneLine(e.broken))
	}
	if reason := refusal(name, args[1:], false); reason != "" {
		return reply(c, last, "ERR "+reason)
	}
	known, ok := commands[name]
	if !ok && e.machine.redis.Server().IsRegisteredCommand(name) {
		return reply(c, last, "ERR "+name+" "+notServed)
	}
	writes := known.writes
	if name == "EVAL" || name == "EVAL_RO" || name == "EVALSHA" || name == "SCRIPT" {
		var reason string
		if args, writes, reason = e.script(name, args); reason != "" {
			return reply(c, last, reason)
		}
	}
	if writes && time.Now().Before(e.resting) {
		return reply(c, last, "MISCONF the journal could not be written: try again in a second")
	}
	ms := e.now()
	if writes {
		e.record(ms, args)
	}
	e.machine.run(c, ms, args)
	if b := e.journal.newest(); b != nil {
		return b
	}
	return last
}

func reply(c *client, last *batch, text string) *batch {
	c.peer.WriteError(text)
	c.peer.Flush()
	return last
}

// script prepares a command about scripts: the text of a script is journaled once,
// so EVAL becomes SCRIPT LOAD, when it is new, and EVALSHA.
func (e *Engine) script(name string, args []string) (now []string, writes bool, refused string) {
	switch {
	case name == "SCRIPT":
		load := len(args) == 3 && strings.EqualFold(args[1], "LOAD")
		if load && scriptChance.MatchString(args[2]) {
			return nil, false, chanceRefused
		}
		return args, load || len(args) > 1 && strings.EqualFold(args[1], "FLUSH"), ""
	case name == "EVALSHA":
		if _, known := e.machine.scripts[args[min(1, len(args)-1)]]; !known && len(args) > 2 {
			return nil, false, "NOSCRIPT No matching script. Please use EVAL."
		}
		return args, len(args) > 2, ""
	case len(args) < 3:
		return args, false, "" // answered with the right number of arguments
	case scriptChance.MatchString(args[1]):
		return nil, false, chanceRefused
	}
	id := sha(args[1])
	if _, known := e.machine.scripts[id]; !known {
		if time.Now().Before(e.resting) {
			return nil, false, "MISCONF the journal could not be written: try again in a second"
		}
		load := []string{"SCRIPT", "LOAD", args[1]}
		ms := e.now()
		e.record(ms, load)
		scratch := newClient()
		e.machine.run(scratch, ms, load)
		if _, known = e.machine.scripts[id]; !known {
			text := strings.TrimPrefix(strings.TrimSpace(scratch.out.String()), "-")
			return nil, false, text
		}
	}
	sent := "EVALSHA"
	if name == "EVAL_RO" {
		sent = "EVALSHA_RO"
	}
	return append([]string{sent, id}, args[2:]...), name == "EVAL", ""
}

const chanceRefused = "ERR a script that draws lots could not be repeated from the journal"

// record puts a command into the present batch.
func (e *Engine) record(ms int64, args []string) {
	e.journal.append(ms, args)
	e.stats.records.Add(1)
	if e.journal.records >= e.every || e.journal.length() > snapshotBytes {
		select {
		case e.snapshot <- struct{}{}:
		default:
		}
	}
}

// conns are the open connections.
type conns struct {
	mu     sync.Mutex
	open   map[net.Conn]struct{} // guarded by mu
	closed bool                  // guarded by mu
}

func (s *conns) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.open) >= maxConns {
		return false
	}
	if s.open == nil {
		s.open = map[net.Conn]struct{}{}
	}
	s.open[c] = struct{}{}
	return true
}

func (s *conns) remove(c net.Conn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

func (s *conns) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.open {
		_ = c.Close()
	}
}

type counters struct {
	commands, records, syncs, snapshots atomic.Int64
}
