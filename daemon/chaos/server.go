package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// listen takes a free port below those that the system hands out for outgoing
// connections, so that a server which is restarted finds its own port free.
func listen() (net.Listener, error) {
	for range 500 {
		port := 12000 + int(nextPort.Add(1)+uint32(os.Getpid())*97)%16000
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return l, nil
		}
	}
	return nil, errors.New("no free port from 12000 to 28000")
}

var nextPort atomic.Uint32 // ports are not handed out twice in a row

func freePort() (int, error) {
	l, err := listen()
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// server is a real redis-server with an append-only file in a directory of its own.
type server struct {
	run  *runner
	dir  string
	port int
	args []string
	cmd  *exec.Cmd
	past []string // directories of earlier lives, for which the present one started empty
}

func newServer(run *runner, dir string, args ...string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return &server{run: run, dir: dir, port: port, args: args}, os.MkdirAll(dir, 0o755)
}

func (s *server) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// start returns when the server answers.
func (s *server) start(ctx context.Context) error {
	args := append([]string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--loglevel", "notice",
		"--logfile", filepath.Join(s.dir, "redis.log"), "--appendonly", "yes", "--appendfsync", "everysec",
		"--auto-aof-rewrite-percentage", "0",
	}, s.args...)
	s.cmd = exec.Command("redis-server", args...)
	if err := s.run.start(s.cmd); err != nil {
		return err
	}
	began := time.Now()
	for {
		v, err := s.do("PING")
		if err == nil && v == "PONG" {
			return nil
		}
		if time.Since(began) > 30*time.Second {
			return fmt.Errorf("redis-server on port %d does not answer: %v, %v", s.port, v, err)
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// stop sends the signal and waits for the end.
func (s *server) stop(how syscall.Signal) {
	if s.cmd != nil {
		s.run.stop(s.cmd, how)
		s.cmd = nil
	}
}

// forget ends the server and puts its data aside, so that it starts empty.
func (s *server) forget() error {
	s.stop(syscall.SIGKILL)
	old := fmt.Sprintf("%s.%d", s.dir, len(s.past))
	if err := os.Rename(s.dir, old); err != nil {
		return err
	}
	s.past = append(s.past, old)
	return os.MkdirAll(s.dir, 0o755)
}

// history is that of all its lives.
func (s *server) history() ([]entry, error) {
	var all []entry
	for _, dir := range append(append([]string(nil), s.past...), s.dir) {
		h, err := readHistory(dir)
		if err != nil {
			return nil, err
		}
		all = append(append(all, h...), entry{what: entryWipe})
	}
	return all, nil
}

// do sends one command over a connection of its own.
func (s *server) do(args ...string) (any, error) {
	c, err := dial(s.addr())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.do(args...)
}

// conn speaks to a server. It is small, and none of the clients that are looked at.
type conn struct {
	net.Conn
	r *bufio.Reader
}

func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReader(c)}, nil
}

func (c *conn) do(args ...string) (any, error) {
	_ = c.SetDeadline(time.Now().Add(60 * time.Second))
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(c.Conn, b.String()); err != nil {
		return nil, err
	}
	return c.answer()
}

func (c *conn) answer() (any, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return nil, errors.New("empty answer")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return nil, errors.New(rest)
	}
	n, err := strconv.Atoi(rest)
	if err != nil {
		return nil, err
	}
	switch {
	case kind == ':':
		return n, nil
	case n < 0:
		return nil, nil
	case kind == '$':
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return nil, err
		}
		return string(b[:n]), nil
	}
	list := make([]any, n)
	for i := range list {
		if list[i], err = c.answer(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
