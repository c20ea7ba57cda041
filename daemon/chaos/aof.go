package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The names of Spark's keys that the histories are about. They are written down here
// once more on purpose: this program sees the store from outside.
const (
	sparkLock    = "spark:alerts:scheduler:lock"
	sparkTerm    = "{spark:alerts:scheduler:lock}:term"
	sparkMembers = "{spark:alerts:scheduler:lock}:executors"
	sparkEvents  = ":events" // suffix of an alert's history
	peerEffects  = "chaos:effects"
	peerTerm     = "chaos:term"
	roundKey     = "chaos:round"
)

// readHistory reads the append-only files in a server's directory: what the server did,
// in its own order, the removal of keys whose time was over included.
func readHistory(dir string) ([]entry, error) {
	names, err := appendOnlyFiles(dir)
	if err != nil {
		return nil, err
	}
	var out []entry
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		out, err = appendHistory(out, bufio.NewReaderSize(f, 1<<20))
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return out, nil
}

// appendOnlyFiles lists the increments that the manifest names, oldest first.
func appendOnlyFiles(dir string) ([]string, error) {
	dir = filepath.Join(dir, "appendonlydir")
	data, err := os.ReadFile(filepath.Join(dir, "appendonly.aof.manifest"))
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) == 6 && f[0] == "file" && f[4] == "type" && f[5] == "i" {
			names = append(names, filepath.Join(dir, f[1]))
		}
	}
	return names, nil
}

// appendHistory reads commands until the end; a torn one is the end too.
func appendHistory(out []entry, r *bufio.Reader) ([]entry, error) {
	for {
		cmd, err := readCommand(r)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return out, nil
		case err != nil:
			return out, err
		}
		if e, ok := parseCommand(cmd); ok {
			out = append(out, e...)
		}
	}
}

func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readHead(r, '*')
	if err != nil {
		return nil, err
	}
	cmd := make([]string, n)
	for i := range cmd {
		size, err := readHead(r, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		cmd[i] = string(b[:size])
	}
	return cmd, nil
}

func readHead(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	line = strings.TrimRight(line, "\r\n")
	if strings.HasPrefix(line, "#") { // an annotation
		return readHead(r, kind)
	}
	if line == "" || line[0] != kind {
		return 0, fmt.Errorf("%.40q where %q begins", line, kind)
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 || n > 1<<28 {
		return 0, fmt.Errorf("%.40q: not a length", line)
	}
	return n, nil
}

// parseCommand returns what a command means, false when it is none of ours.
func parseCommand(cmd []string) ([]entry, bool) {
	if len(cmd) == 0 {
		return nil, false
	}
	name := strings.ToUpper(cmd[0])
	switch {
	case name == "FLUSHALL", name == "FLUSHDB":
		return []entry{{what: entryWipe}}, true
	case len(cmd) < 2:
		return nil, false
	case name == "DEL" || name == "UNLINK":
		for _, k := range cmd[1:] {
			if k == sparkLock {
				return []entry{{what: entryLock}}, true
			}
		}
	case name == "SET" && len(cmd) >= 3 && cmd[1] == sparkLock:
		return []entry{{what: entryLock, lock: cmd[2]}}, true
	case name == "SET" && len(cmd) >= 3 && cmd[1] == roundKey:
		n, err := strconv.Atoi(cmd[2])
		return []entry{{what: entryRound, round: n}}, err == nil
	case (name == "HSET" || name == "HMSET") && cmd[1] == sparkTerm:
		return parseTerm(cmd[2:])
	case name == "LPUSH" && strings.HasSuffix(cmd[1], sparkEvents):
		return parseEvents(cmd[2:])
	case name == "RPUSH" && cmd[1] == peerEffects:
		return parsePeer(cmd[2:])
	}
	return nil, false
}

// parseTerm takes a write that names a nonce for a grant.
func parseTerm(pairs []string) ([]entry, bool) {
	f := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		f[pairs[i]] = pairs[i+1]
	}
	if f["nonce"] == "" {
		return nil, false
	}
	epoch, err := strconv.ParseInt(f["epoch"], 10, 64)
	return []entry{{what: entryGrant, token: token{f["holder"], epoch, f["nonce"]}}}, err == nil
}

func parseEvents(values []string) (out []entry, ok bool) {
	for _, v := range values {
		var e struct{ Reason string }
		if json.Unmarshal([]byte(v), &e) != nil {
			continue
		}
		if t, id, ok := parseEffect(e.Reason); ok {
			out = append(out, entry{what: entryEffect, token: t, id: id})
		}
	}
	return out, len(out) > 0
}

func parsePeer(values []string) (out []entry, ok bool) {
	for _, v := range values {
		kind, rest, _ := strings.Cut(v, " ")
		t, id, ok := parseEffect(rest)
		if !ok {
			continue
		}
		out = append(out, entry{what: kind, token: t, id: id})
	}
	return out, len(out) > 0
}
