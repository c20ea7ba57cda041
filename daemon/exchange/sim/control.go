package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// command is a control message of a client. id is the JSON to repeat.
type command struct {
	method string
	params []json.RawMessage
	id     string
}

// controlError is an error reply to a control message. The connection goes on.
type controlError struct {
	code int
	msg  string
	id   string // JSON; left out of the reply if empty
}

func (e *controlError) body() []byte {
	b := fmt.Appendf(nil, `{"code":%d,"msg":`, e.code)
	b = append(b, quoteJSON(e.msg)...)
	if e.id != "" {
		b = append(append(b, `,"id":`...), e.id...)
	}
	return append(b, '}')
}

func invalid(format string, args ...any) *controlError {
	return &controlError{code: 2, msg: "Invalid request: " + fmt.Sprintf(format, args...)}
}

const methods = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"

// idPattern is what an id in quotation marks may be.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,36}$`)

// parseCommand reads a control message.
func parseCommand(text []byte) (command, *controlError) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		var syntax *json.SyntaxError
		if !errors.As(err, &syntax) {
			return command{}, invalid("expected an object at line 1 column 1")
		}
		line, column := place(text, int(syntax.Offset))
		return command{}, &controlError{code: 3, msg: fmt.Sprintf("Invalid JSON: expected value at line %d column %d", line, column)}
	}
	line, column := place(text, len(text))
	var cmd command
	var ok bool
	if cmd.id, ok = parseID(raw["id"]); !ok {
		return command{}, invalid("request ID must be an unsigned integer")
	}
	method, ok := raw["method"]
	if !ok {
		return command{}, invalid("missing field `method` at line %d column %d", line, column)
	}
	if json.Unmarshal(method, &cmd.method) != nil || !strings.Contains(methods, "`"+cmd.method+"`") {
		return command{}, invalid("unknown variant `%.64s`, expected one of %s at line %d column %d", strings.Trim(string(method), `"`), methods, line, column)
	}
	if params, ok := raw["params"]; ok && json.Unmarshal(params, &cmd.params) != nil {
		return command{}, invalid("params must be an array")
	}
	return cmd, cmd.checkParams()
}

// parseID takes a whole number, a short word or null; without an id it is null.
func parseID(raw json.RawMessage) (string, bool) {
	if raw == nil || string(raw) == "null" {
		return "null", true
	}
	var word string
	if json.Unmarshal(raw, &word) == nil {
		return strconv.Quote(word), idPattern.MatchString(word)
	}
	_, err := strconv.ParseInt(string(raw), 10, 64)
	return string(raw), err == nil
}

// checkParams checks the number and the types of the parameters.
func (c *command) checkParams() *controlError {
	switch c.method {
	case "SUBSCRIBE", "UNSUBSCRIBE":
		if len(c.params) == 0 {
			return invalid("params must name at least one stream")
		}
		for _, p := range c.params {
			if _, ok := text(p); !ok {
				return invalid("a stream name must be a string")
			}
		}
	case "LIST_SUBSCRIPTIONS":
		if len(c.params) > 0 {
			return invalid("too many parameters")
		}
	default:
		want := 1
		if c.method == "SET_PROPERTY" {
			want = 2
		}
		if len(c.params) > want {
			return invalid("too many parameters")
		}
		if len(c.params) == 0 {
			return invalid("property name must be a string")
		}
		name, ok := text(c.params[0])
		if !ok {
			return invalid("property name must be a string")
		}
		if name != "combined" {
			return &controlError{code: 0, msg: "Unknown property", id: c.id}
		}
		if want == 2 && (len(c.params) < 2 || string(c.params[1]) != "true" && string(c.params[1]) != "false") {
			return &controlError{code: 1, msg: "Invalid value type: expected Boolean"}
		}
	}
	return nil
}

// text returns the string that a raw value is.
func text(raw json.RawMessage) (string, bool) {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// streams returns the names that the parameters hold.
func (c *command) streams() []string {
	names := make([]string, 0, len(c.params))
	for _, p := range c.params {
		if name, ok := text(p); ok {
			names = append(names, name)
		}
	}
	return names
}

// reply returns the answer to a command.
func (c *command) reply(result any) []byte {
	body, err := json.Marshal(result)
	if err != nil {
		body = []byte("null") // a result is nil, a bool or strings
	}
	return fmt.Appendf(nil, `{"result":%s,"id":%s}`, body, c.id)
}

// place turns an offset into line and column, both from 1.
func place(text []byte, offset int) (line, column int) {
	before := string(text[:min(offset, len(text))])
	line = 1 + strings.Count(before, "\n")
	return line, max(1, len(before)-strings.LastIndexByte(before, '\n')-1)
}

// quoteJSON returns a string as JSON without escaping < and >.
func quoteJSON(s string) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return []byte(`""`) // a string can always be encoded
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}
