package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// cut says which directions of a [proxy] are black holes.
type cut uint8

const (
	cutNone cut = 0
	cutUp   cut = 1 // what the client sends does not arrive
	cutDown cut = 2 // what the server answers does not arrive
	cutBoth     = cutUp | cutDown
)

func (c cut) String() string { return [...]string{"none", "up", "down", "both"}[c] }

// proxy stands between a candidate and its server. A direction that is cut holds back
// what comes, without a sign to either side, and hands it over when it is mended: a
// network that loses packets does the same, because TCP sends them again.
type proxy struct {
	target string
	l      net.Listener

	mu    sync.Mutex
	cut   cut                   // guarded by mu
	delay time.Duration         // one way, half of it by chance; guarded by mu
	mend  chan struct{}         // closed when cut changes; guarded by mu
	conns map[net.Conn]struct{} // guarded by mu
}

func newProxy(target string) (*proxy, error) {
	l, err := listen()
	if err != nil {
		return nil, err
	}
	return &proxy{target: target, l: l, mend: make(chan struct{}), conns: map[net.Conn]struct{}{}}, nil
}

func (p *proxy) addr() string { return p.l.Addr().String() }

// run serves until ctx ends.
func (p *proxy) run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	ctx, stopAll := context.WithCancel(ctx)
	defer stopAll()
	stop := context.AfterFunc(ctx, func() {
		_ = p.l.Close()
		p.dropAll()
	})
	defer stop()
	for {
		c, err := p.l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		group.Go(func() { p.serve(ctx, c) })
	}
}

// serve carries one connection. The dial goes through at once: what is cut is the
// traffic, so a new connection opens and says nothing.
func (p *proxy) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	if p.wait(ctx, cutUp) != nil {
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns[client], p.conns[server] = struct{}{}, struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.conns, client)
		delete(p.conns, server)
		p.mu.Unlock()
	}()
	if ctx.Err() != nil {
		return
	}
	var group sync.WaitGroup
	group.Go(func() { p.carry(ctx, server, client, cutUp) })
	group.Go(func() { p.carry(ctx, client, server, cutDown) })
	group.Wait()
}

// carry copies one direction, and ends the connection with it.
func (p *proxy) carry(ctx context.Context, to, from net.Conn, direction cut) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.lag()
			if p.wait(ctx, direction) != nil {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				_ = p.wait(ctx, direction)
			}
			return
		}
	}
}

func (p *proxy) lag() {
	p.mu.Lock()
	d := p.delay
	p.mu.Unlock()
	if d > 0 {
		time.Sleep(d/2 + rand.N(d/2+1))
	}
}

// wait returns when the direction is not cut.
func (p *proxy) wait(ctx context.Context, direction cut) error {
	for {
		p.mu.Lock()
		c, mend := p.cut, p.mend
		p.mu.Unlock()
		if c&direction == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-mend:
		}
	}
}

func (p *proxy) set(c cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = c
	close(p.mend)
	p.mend = make(chan struct{})
}

func (p *proxy) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *proxy) dropAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}
