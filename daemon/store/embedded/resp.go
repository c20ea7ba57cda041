package embedded

import (
	"bufio"
	"errors"
	"io"
	"strconv"
)

// Limits of a request.
const (
	maxArgs    = 1 << 20
	maxArg     = 64 << 20
	maxRequest = 128 << 20
)

// errProtocol ends a connection that does not speak as it should.
var errProtocol = errors.New("protocol error: want an array of bulk strings")

// readRequest reads one command: an array of strings. Empty arrays are skipped, as
// Redis does.
func readRequest(r *bufio.Reader) ([]string, error) {
	for {
		n, err := readLength(r, '*', maxArgs)
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			continue
		}
		args := make([]string, 0, min(n, 64))
		total := 0
		for range n {
			size, err := readLength(r, '$', maxArg)
			if err != nil {
				return nil, noEOF(err)
			}
			if total += size; size < 0 || total > maxRequest {
				return nil, errProtocol
			}
			arg := make([]byte, size+2)
			if _, err := io.ReadFull(r, arg); err != nil {
				return nil, noEOF(err)
			}
			if arg[size] != '\r' || arg[size+1] != '\n' {
				return nil, errProtocol
			}
			args = append(args, string(arg[:size]))
		}
		if args[0] == "" {
			return nil, errProtocol
		}
		return args, nil
	}
}

// readLength reads a line of a kind and a number, such as "*3\r\n".
func readLength(r *bufio.Reader, kind byte, most int) (int, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			return 0, errProtocol
		}
		if len(line) > 0 {
			return 0, noEOF(err)
		}
		return 0, err
	}
	if len(line) < 4 || line[0] != kind || line[len(line)-2] != '\r' {
		return 0, errProtocol
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	if err != nil || n > most {
		return 0, errProtocol
	}
	return n, nil
}

// noEOF names the end of input in the middle of a request for what it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
