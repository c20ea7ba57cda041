package embedded

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// machine is the state and how commands change it. It has no clock: every command
// comes with its time. The same commands with the same times give the same state.
// It belongs to one goroutine at a time.
type machine struct {
	redis *miniredis.Miniredis
	own   *client // for commands that come from nobody

	now        int64               // ms: time of the newest command
	counted    int64               // ms: up to here times to live are counted down
	nextExpiry int64               // ms: nothing expires before; 0 when nothing does
	volatile   map[string]struct{} // keys that may have a time to live
	scripts    map[string]script   // by SHA-1

	top     *server.Peer // whose command is executed; others are calls of a script
	ttl     bool         // the script that is executed may touch times to live
	touched bool         // a time to live may have been set
}

// script is a script that the engine knows.
type script struct {
	text string
	ttl  bool // its text names something about times to live
}

// client is one connection's state in the engine, and its replies.
type client struct {
	peer *server.Peer
	out  bytes.Buffer
}

func newClient() *client {
	c := &client{}
	c.peer = server.NewPeer(bufio.NewWriter(&c.out))
	return c
}

func newMachine() (*machine, error) {
	m := &machine{
		redis: miniredis.NewMiniRedis(), own: newClient(),
		volatile: map[string]struct{}{}, scripts: map[string]script{},
	}
	c, err := m.redis.Dial() // starts it without a listener
	if err != nil {
		return nil, err
	}
	_ = c.Close()
	m.redis.Server().SetPreHook(m.hook)
	return m, nil
}

// run executes a command at a time, which is not before that of the command before,
// and leaves the reply in c.
func (m *machine) run(c *client, ms int64, args []string) {
	name := strings.ToUpper(args[0])
	m.advance(ms, m.mustCount(name, args[1:]))
	m.dispatch(c, args)
	if m.touched {
		m.touched = false
		m.findExpiry()
	}
}

// advance moves the time, and expires keys whose time to live is over.
func (m *machine) advance(ms int64, precise bool) {
	if ms > m.now {
		m.now = ms
		m.redis.SetTime(time.UnixMilli(ms).UTC())
	}
	due := m.nextExpiry != 0 && m.now >= m.nextExpiry
	if (due || precise) && m.now > m.counted {
		m.redis.FastForward(time.Duration(m.now-m.counted) * time.Millisecond)
		m.counted = m.now
		m.findExpiry()
	}
}

// findExpiry looks for the nearest end of a time to live.
func (m *machine) findExpiry() {
	m.nextExpiry = 0
	for key := range m.volatile {
		ttl := m.redis.TTL(key)
		if ttl <= 0 {
			delete(m.volatile, key)
			continue
		}
		end := m.counted + ttl.Milliseconds()
		if m.nextExpiry == 0 || end < m.nextExpiry {
			m.nextExpiry = end
		}
	}
}

// dispatch executes one command. A panic in it is answered: it would come again
// when the journal is read, so it must not end the process.
func (m *machine) dispatch(c *client, args []string) {
	m.top = c.peer
	defer func() {
		m.top, m.ttl = nil, false
		if r := recover(); r != nil {
			if !m.redis.TryLock() { // left locked by the command that panicked
				c.peer.WriteError(fmt.Sprintf("ERR internal error: %v", r))
			} else {
				c.peer.WriteError(fmt.Sprintf("ERR malformed command: %v", r))
			}
			m.redis.Unlock()
		}
		c.peer.Flush()
	}()
	name := strings.ToUpper(args[0])
	if name == "EVALSHA" || name == "EVALSHA_RO" {
		m.ttl = len(args) > 1 && m.scripts[args[1]].ttl
	}
	if touchesTTL(name, args[1:]) {
		m.noteTTL(name, args[1:])
	}
	before := len(c.flushed())
	m.redis.Server().Dispatch(c.peer, args)
	if name == "SCRIPT" && !bytes.HasPrefix(c.flushed()[before:], []byte("-")) {
		m.noteScript(args[1:])
	}
}

// noteScript follows what the engine knows of scripts.
func (m *machine) noteScript(args []string) {
	switch strings.ToUpper(args[0]) {
	case "LOAD":
		m.scripts[sha(args[1])] = script{text: args[1], ttl: scriptTTL.MatchString(args[1])}
	case "FLUSH":
		clear(m.scripts)
	}
}

func (c *client) flushed() []byte {
	c.peer.Flush()
	return c.out.Bytes()
}

// hook is called before every command, those of scripts included.
func (m *machine) hook(p *server.Peer, name string, args ...string) bool {
	if p == m.top {
		return false
	}
	reason := refusal(name, args, true)
	if _, known := commands[name]; !known && m.redis.Server().IsRegisteredCommand(name) {
		reason = name + " " + notServed
	}
	touches := touchesTTL(name, args)
	if touches && !m.ttl {
		reason = "the embedded store must find " + name + ", or the option that sets a time to live, in the script's text"
	}
	if reason != "" {
		p.WriteError("ERR " + reason)
		return true
	}
	if touches {
		m.noteTTL(name, args)
	}
	return false
}

// mustCount reports whether times to live must be counted down before a command.
func (m *machine) mustCount(name string, args []string) bool {
	if name == "EVALSHA" || name == "EVALSHA_RO" {
		return len(args) > 0 && m.scripts[args[0]].ttl
	}
	return touchesTTL(name, args)
}

// touchesTTL reports whether a command sets or reads a time to live. args are
// without its name.
func touchesTTL(name string, args []string) bool {
	return commands[name].ttl && len(args) > 0 && (name != "SET" || len(args) > 2)
}

// noteTTL remembers the keys that may have got a time to live by a command.
func (m *machine) noteTTL(name string, args []string) {
	m.touched = true
	m.volatile[args[0]] = struct{}{}
	if strings.HasPrefix(name, "RENAME") && len(args) > 1 {
		m.volatile[args[1]] = struct{}{}
	}
}

// scriptTTL finds in a script what may touch a time to live.
var scriptTTL = regexp.MustCompile(`(?i)\b(p?expire(at|time)?|p?ttl|p?setex|getex|px|ex|pxat|exat|keepttl|persist|rename(nx)?)\b`)

// scriptChance finds in a script what draws lots.
var scriptChance = regexp.MustCompile(`\brandom`)

func sha(script string) string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}

// ask executes a command for the engine itself, at the present time, and returns
// its reply.
func (m *machine) ask(args ...string) (any, error) {
	m.own.out.Reset()
	m.run(m.own, m.now, args)
	return server.ParseReply(bufio.NewReader(&m.own.out))
}
