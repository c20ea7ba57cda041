package probe

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spark-ta/spark/core/wire"
)

// recordOf reads a line as log/slog writes it, as text (key=value) or JSON. Of a line
// that is neither, as other programs write, the whole is the message.
func recordOf(line string) wire.LogRecord {
	line = strings.TrimRight(line, "\r")
	attrs, ok := jsonAttrs(line)
	if !ok {
		attrs, ok = textAttrs(line)
	}
	msg, said := attrs["msg"]
	if !ok || !said {
		return wire.LogRecord{Message: line}
	}
	r := wire.LogRecord{Message: msg, Level: strings.ToLower(attrs["level"]), Attrs: attrs}
	delete(attrs, "msg")
	delete(attrs, "level")
	return r
}

func jsonAttrs(line string) (map[string]string, bool) {
	if !strings.HasPrefix(line, "{") {
		return nil, false
	}
	d := json.NewDecoder(strings.NewReader(line))
	d.UseNumber()
	var doc map[string]any
	if d.Decode(&doc) != nil {
		return nil, false
	}
	attrs := make(map[string]string, len(doc))
	for k, v := range doc {
		attrs[k] = fmt.Sprint(v)
	}
	return attrs, true
}

func textAttrs(line string) (map[string]string, bool) {
	attrs := map[string]string{}
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimLeft(rest, " ") {
		key, after, ok := cutText(rest, '=')
		if !ok || key == "" {
			return nil, false
		}
		value, left, _ := cutText(after, ' ')
		attrs[key], rest = value, left
	}
	return attrs, true
}

// cutText cuts a word, quoted or not, off the beginning of s, and the separator
// behind it. ok is false when the separator is missing.
func cutText(s string, sep byte) (word, rest string, ok bool) {
	if quoted, err := strconv.QuotedPrefix(s); err == nil && strings.HasPrefix(s, `"`) {
		word, _ = strconv.Unquote(quoted)
		rest = s[len(quoted):]
		if rest == "" || rest[0] != sep {
			return word, strings.TrimLeft(rest, " "), false
		}
		return word, rest[1:], true
	}
	i := strings.IndexByte(s, sep)
	if j := strings.IndexByte(s, ' '); i < 0 || j >= 0 && j < i {
		if sep == ' ' && i < 0 {
			return s, "", false
		}
		return "", s, false
	}
	return s[:i], s[i+1:], true
}
