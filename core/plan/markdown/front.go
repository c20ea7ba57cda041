package markdown

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFront bounds what YAML has to read.
const maxFront = 32 << 10

// splitFront takes the front matter and returns the offset of what follows it.
func (d *Document) splitFront() (body int) {
	const mark = "---\n"
	if !strings.HasPrefix(d.Text, mark) {
		return 0
	}
	d.hasDash, d.frontAt = true, len(mark)
	for i := 1; i < len(d.lines); i++ {
		line, _, _ := strings.Cut(d.Text[d.lines[i]:], "\n")
		if strings.TrimRight(line, " \t") == "---" {
			d.front = d.Text[d.frontAt:d.lines[i]]
			return min(d.lines[i]+len(line)+1, len(d.Text))
		}
	}
	d.Errorf(0, "the front matter does not end: close it with a line of three dashes")
	return len(d.Text)
}

// Scalar is a value of the front matter as it is written, with its place.
type Scalar struct {
	Text         string
	Quoted       bool
	line, column int
}

// UnmarshalYAML keeps what is written instead of what YAML makes of it: 1e3 and
// 0x10 mean something else to people.
func (s *Scalar) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return &yaml.TypeError{Errors: []string{"line " + strconv.Itoa(n.Line) + ": one value is meant here, no list and no map"}}
	}
	*s = Scalar{n.Value, n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0, n.Line, n.Column}
	return nil
}

// At returns the offset of a scalar in Text.
func (d *Document) At(s Scalar) int { return d.frontOffset(s.line, s.column) }

func (d *Document) frontOffset(line, column int) int {
	return d.Offset(line+1, column) // the front matter begins on the file's second line
}

// DecodeFront decodes the front matter into v, a pointer to a struct with yaml tags.
// Unknown keys, duplicate keys, wrong types, aliases and a second document are errors.
func (d *Document) DecodeFront(v any) {
	if len(d.errs) > 0 && d.front == "" {
		return // the file was not even split
	}
	switch {
	case !d.hasDash:
		d.Errorf(0, "front matter is missing: begin with a line of three dashes, kind: and id:, and another such line")
		return
	case len(d.front) > maxFront:
		d.Errorf(0, "the front matter has %d KiB, at most %d are read", len(d.front)>>10, maxFront>>10)
		return
	}
	var root yaml.Node
	if err := decodeYAML(d.front, &root); err != nil {
		d.yamlError(err, &root, v)
		return
	}
	if n := alias(&root); n != nil {
		d.Errorf(d.frontOffset(n.Line, n.Column), "anchors and aliases are not read: write the value out")
		return
	}
	if err := decodeYAML(d.front, v); err != nil {
		d.yamlError(err, &root, v)
	}
}

// decodeYAML keeps a fault of the library from ending the process: the file may come
// from a request.
func decodeYAML(text string, v any) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the front matter cannot be read")
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	dec.KnownFields(true)
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the front matter is empty")
		}
		return err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("the front matter holds a second document")
	}
	return nil
}

func alias(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return n
	}
	for _, c := range n.Content {
		if a := alias(c); a != nil {
			return a
		}
	}
	return nil
}

var (
	yamlLine    = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	yamlUnknown = regexp.MustCompile(`^field (.*) not found in type `)
	yamlType    = regexp.MustCompile("^cannot unmarshal !!\\w+ (?:`(.*)` )?into (.*)$")
)

// yamlError says a library's error in the words of a plan, at the key that it is
// about.
func (d *Document) yamlError(err error, root *yaml.Node, v any) {
	texts := []string{err.Error()}
	if te := (*yaml.TypeError)(nil); errors.As(err, &te) {
		texts = te.Errors
	}
	for _, s := range texts {
		m := yamlLine.FindStringSubmatch(strings.ReplaceAll(s, "\n", " "))
		if m == nil {
			d.Errorf(d.frontAt, "%s", strings.TrimPrefix(s, "yaml: "))
			continue
		}
		line, _ := strconv.Atoi(m[1])
		at := d.frontOffset(line, 1)
		if u := yamlUnknown.FindStringSubmatch(m[2]); u != nil {
			if n := find(root, line, u[1]); n != nil {
				at = d.frontOffset(n.Line, n.Column)
			}
			d.Errorf(at, "%s", Unknown("key", u[1], fields(reflect.TypeOf(v))))
			continue
		}
		text := m[2]
		if t := yamlType.FindStringSubmatch(m[2]); t != nil {
			if n := find(root, line, t[1]); n != nil {
				at = d.frontOffset(n.Line, n.Column)
			}
			text = strconv.Quote(t[1]) + " is " + wanted(t[2])
		}
		d.Errorf(at, "%s", text)
	}
}

// wanted says what a Go type means in a file.
func wanted(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"):
		return "no list: write [a, b]"
	case strings.HasPrefix(goType, "map"), strings.Contains(goType, "."):
		return "no map: write { key: value }"
	case strings.HasPrefix(goType, "int"):
		return "no whole number"
	}
	return "no " + strings.TrimPrefix(goType, "*")
}

// find returns the node with the value on a line.
func find(n *yaml.Node, line int, value string) *yaml.Node {
	if n.Kind == yaml.ScalarNode && n.Line == line && strings.HasPrefix(n.Value, strings.TrimSuffix(value, "...")) {
		return n
	}
	for _, c := range n.Content {
		if f := find(c, line, value); f != nil {
			return f
		}
	}
	return nil
}

// fields lists the keys of a struct and of the structs in it.
func fields(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" {
			continue
		}
		out = append(append(out, name), fields(f.Type)...)
	}
	return out
}
