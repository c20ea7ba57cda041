package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Expect is a condition on the series of an observation:
//
//	or    = and { "or" and }
//	and   = term { "and" term }
//	term  = [ "not" ] ( "(" or ")" | ("any" | "all") "(" or ")" | "has" "(" field ")" | cmp )
//	cmp   = operand ("==" | "!=" | "<" | "<=" | ">" | ">=" | "contains") operand
//	      | ("==" | …) operand                     the field "value" is meant
//	operand = number with unit | "text" | word | field | $parameter | "len" "(" field ")" | "series"
//
// A word is a field when the series has a field of that name, else a text, so that
// aof_last_write_status == ok reads as it is meant. All series must satisfy, and at
// least one must exist; any(…) and all(…) ask about all series at once. A comparison
// with a field that a series lacks is not satisfied, whatever the operator, and the
// evaluation names the field; one that says nothing of the answer, such as 1 == 1, is
// no condition. What is not a number is not known either.
type Expect struct {
	Text string
	root node
}

// Outcome of an expectation for one series.
type outcome struct {
	ok      bool
	missing string // a field that was asked for and is not there
}

// scene is what a condition is evaluated against.
type scene struct {
	series []Series
	at     int
	params map[string]Value
}

type node interface {
	eval(s *scene) outcome
}

type (
	orNode  struct{ terms []node }
	andNode struct{ terms []node }
	notNode struct{ term node }
	anyNode struct{ term node }
	allNode struct{ term node }
	hasNode struct{ field string }
	cmpNode struct {
		left, right operand
		op          string
	}
)

type operandKind uint8

const (
	constant operandKind = iota
	word
	parameter
	length
	seriesCount
)

type operand struct {
	kind operandKind
	name string
	v    Value
}

func (n orNode) eval(s *scene) outcome {
	var out outcome
	for _, t := range n.terms {
		o := t.eval(s)
		if o.ok {
			return outcome{ok: true}
		}
		if out.missing == "" {
			out.missing = o.missing
		}
	}
	return out
}

func (n andNode) eval(s *scene) outcome {
	out := outcome{ok: true}
	for _, t := range n.terms {
		if o := t.eval(s); !o.ok && out.worse(o) {
			return o
		}
	}
	return out
}

// worse keeps o when it is the first that is not satisfied, and reports whether it
// settles a conjunction: what is false is false, whatever is missing beside it.
func (out *outcome) worse(o outcome) bool {
	if out.ok {
		*out = o
	}
	return o.missing == ""
}

func (n notNode) eval(s *scene) outcome {
	o := n.term.eval(s)
	if o.missing != "" {
		return o // what is not known is not the opposite either
	}
	return outcome{ok: !o.ok}
}

func (n anyNode) eval(s *scene) outcome {
	var out outcome
	for i := range s.series {
		o := n.term.eval(&scene{s.series, i, s.params})
		if o.ok {
			return outcome{ok: true}
		}
		if out.missing == "" {
			out.missing = o.missing
		}
	}
	return out
}

func (n allNode) eval(s *scene) outcome {
	out := outcome{ok: len(s.series) > 0}
	for i := range s.series {
		if o := n.term.eval(&scene{s.series, i, s.params}); !o.ok && out.worse(o) {
			return o
		}
	}
	return out
}

func (n hasNode) eval(s *scene) outcome {
	_, ok := s.series[s.at].Fields[n.field]
	return outcome{ok: ok}
}

// value resolves an operand; ok is false when a field that can only be a field is
// missing.
func (o operand) value(s *scene) (Value, bool) {
	fields := s.series[s.at].Fields
	switch o.kind {
	case word:
		if v, ok := fields[o.name]; ok {
			return v, true
		}
		if o.name == FieldValue || strings.Contains(o.name, ".") {
			return Value{}, false
		}
		return Text(o.name), true
	case parameter:
		v, ok := s.params[o.name]
		return v, ok
	case length:
		v, ok := fields[o.name]
		return Number(float64(len(v.Text))), ok && v.IsText
	case seriesCount:
		return Number(float64(len(s.series))), true
	}
	return o.v, true
}

// answers reports whether the operand says something of the answer.
func (o operand) answers(s *scene) bool {
	if o.kind == word {
		_, ok := s.series[s.at].Fields[o.name]
		return ok
	}
	return o.kind == length || o.kind == seriesCount
}

func (n cmpNode) eval(s *scene) outcome {
	l, lok := n.left.value(s)
	r, rok := n.right.value(s)
	switch {
	case !lok:
		return outcome{missing: n.left.name}
	case !rok:
		return outcome{missing: n.right.name}
	case !n.left.answers(s) && !n.right.answers(s):
		// Two texts would be compared, and state != held would hold without a state.
		if n.left.kind == word {
			return outcome{missing: n.left.name}
		}
		return outcome{missing: n.right.name}
	case l.isNaN() || r.isNaN():
		if n.left.kind == word {
			return outcome{missing: n.left.name}
		}
		return outcome{missing: n.right.name}
	}
	if n.op == "contains" {
		return outcome{ok: l.IsText && strings.Contains(strings.ToLower(l.String()), strings.ToLower(r.String()))}
	}
	if l.IsText != r.IsText {
		// A number is compared with a word: one of the words was meant as a field
		// that is not there.
		if l.IsText && n.left.kind == word {
			return outcome{missing: n.left.name}
		}
		if r.IsText && n.right.kind == word {
			return outcome{missing: n.right.name}
		}
		return outcome{ok: n.op == "!="}
	}
	if l.IsText {
		switch n.op {
		case "==":
			return outcome{ok: l.Text == r.Text}
		case "!=":
			return outcome{ok: l.Text != r.Text}
		}
		return outcome{}
	}
	a, b := l.Num, r.Num
	switch n.op {
	case "==":
		return outcome{ok: a == b}
	case "!=":
		return outcome{ok: a != b}
	case "<":
		return outcome{ok: a < b}
	case "<=":
		return outcome{ok: a <= b}
	case ">":
		return outcome{ok: a > b}
	}
	return outcome{ok: a >= b}
}

// satisfied evaluates the condition for every series. It returns the indexes of the
// series that miss it, and a field that was missing, unless a series misses it for
// certain: it is satisfied when there is neither. Without series it is not satisfied, and "series" are missing.
func (e *Expect) satisfied(series []Series, params map[string]Value) (misses []int, missing string) {
	if len(series) == 0 {
		return nil, "series"
	}
	all := outcome{ok: true}
	certain := false
	for i := range series {
		if o := e.root.eval(&scene{series, i, params}); !o.ok {
			misses = append(misses, i)
			certain = all.worse(o) || certain
		}
	}
	if certain {
		return misses, ""
	}
	return misses, all.missing
}

// Fields lists the words and parameters of a condition, for the lint.
func (e *Expect) Fields() (words, params []string) {
	add := func(o operand) {
		switch o.kind {
		case word, length:
			words = append(words, o.name)
		case parameter:
			params = append(params, o.name)
		}
	}
	leaves(e.root, func(n node) {
		switch n := n.(type) {
		case hasNode:
			words = append(words, n.field)
		case cmpNode:
			add(n.left)
			add(n.right)
		}
	})
	slices.Sort(words)
	slices.Sort(params)
	return slices.Compact(words), slices.Compact(params)
}

// leaves calls visit for each comparison and each has(…) of a condition, in its order.
func leaves(n node, visit func(node)) {
	switch n := n.(type) {
	case orNode:
		for _, t := range n.terms {
			leaves(t, visit)
		}
	case andNode:
		for _, t := range n.terms {
			leaves(t, visit)
		}
	case notNode:
		leaves(n.term, visit)
	case anyNode:
		leaves(n.term, visit)
	case allNode:
		leaves(n.term, visit)
	default:
		visit(n)
	}
}

// Constants lists the values that a condition compares with, for the lint.
func (e *Expect) Constants() []Value {
	var out []Value
	leaves(e.root, func(n node) {
		switch n := n.(type) {
		case cmpNode:
			for _, o := range []operand{n.left, n.right} {
				if o.kind == constant {
					out = append(out, o.v)
				}
			}
		}
	})
	return out
}

// ParseExpect reads a condition. Errors name the column, from 1.
func ParseExpect(text string) (*Expect, error) {
	toks, err := lexExpect(text)
	if err != nil {
		return nil, err
	}
	p := expectParser{toks: toks}
	root, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.text != "" {
		return nil, fmt.Errorf("column %d: %q is left over", t.column, t.text)
	}
	return &Expect{Text: strings.TrimSpace(text), root: root}, nil
}

type expectToken struct {
	text   string
	quoted bool
	column int
}

func lexExpect(s string) ([]expectToken, error) {
	var out []expectToken
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == ' ' || c == '\t':
			i++
		case c == '"':
			j := strings.IndexByte(s[i+1:], '"')
			if j < 0 {
				return nil, fmt.Errorf("column %d: a text without its closing quote", i+1)
			}
			out = append(out, expectToken{s[i+1 : i+1+j], true, i + 1})
			i += j + 2
		case strings.HasPrefix(s[i:], "==") || strings.HasPrefix(s[i:], "!=") || strings.HasPrefix(s[i:], "<=") || strings.HasPrefix(s[i:], ">="):
			out = append(out, expectToken{s[i : i+2], false, i + 1})
			i += 2
		case c == '<' || c == '>' || c == '(' || c == ')':
			out = append(out, expectToken{s[i : i+1], false, i + 1})
			i++
		case isWordByte(c):
			j := i
			for j < len(s) && isWordByte(s[j]) {
				j++
			}
			out = append(out, expectToken{s[i:j], false, i + 1})
			i = j
		default:
			return nil, fmt.Errorf("column %d: %q has no meaning here", i+1, string(c))
		}
	}
	return out, nil
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || strings.IndexByte("_.-%$/:", c) >= 0
}

type expectParser struct {
	toks []expectToken
	i    int
}

// maxDepth bounds nesting, so that a hostile plan cannot exhaust the stack.
const maxDepth = 50

func (p *expectParser) peek() expectToken {
	if p.i < len(p.toks) {
		return p.toks[p.i]
	}
	end := 1
	if n := len(p.toks); n > 0 {
		end = p.toks[n-1].column + len(p.toks[n-1].text)
	}
	return expectToken{column: end}
}

func (p *expectParser) accept(text string) bool {
	if t := p.peek(); !t.quoted && t.text == text && p.i < len(p.toks) {
		p.i++
		return true
	}
	return false
}

func (p *expectParser) or(depth int) (node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("column %d: nested too deeply", p.peek().column)
	}
	first, err := p.and(depth)
	if err != nil {
		return nil, err
	}
	terms := []node{first}
	for p.accept("or") {
		t, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
	}
	if len(terms) == 1 {
		return first, nil
	}
	return orNode{terms}, nil
}

func (p *expectParser) and(depth int) (node, error) {
	first, err := p.term(depth)
	if err != nil {
		return nil, err
	}
	terms := []node{first}
	for p.accept("and") {
		t, err := p.term(depth)
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
	}
	if len(terms) == 1 {
		return first, nil
	}
	return andNode{terms}, nil
}

func (p *expectParser) term(depth int) (node, error) {
	switch {
	case p.accept("not"):
		if depth > maxDepth {
			return nil, fmt.Errorf("column %d: nested too deeply", p.peek().column)
		}
		t, err := p.term(depth + 1)
		return notNode{t}, err
	case p.accept("("):
		return p.closed(depth)
	case p.call("any"):
		t, err := p.closed(depth)
		return anyNode{t}, err
	case p.call("all"):
		t, err := p.closed(depth)
		return allNode{t}, err
	case p.call("has"):
		f := p.peek()
		p.i++
		if f.text == "" || f.text == ")" || !p.accept(")") {
			return nil, fmt.Errorf("column %d: has(field) is meant", f.column)
		}
		return hasNode{f.text}, nil
	}
	return p.cmp()
}

// call accepts a name with its opening parenthesis.
func (p *expectParser) call(name string) bool {
	if p.i+1 < len(p.toks) && !p.toks[p.i].quoted && p.toks[p.i].text == name && p.toks[p.i+1].text == "(" && !p.toks[p.i+1].quoted {
		p.i += 2
		return true
	}
	return false
}

func (p *expectParser) closed(depth int) (node, error) {
	n, err := p.or(depth + 1)
	if err != nil {
		return nil, err
	}
	if !p.accept(")") {
		return nil, fmt.Errorf("column %d: a closing parenthesis is missing", p.peek().column)
	}
	return n, nil
}

var comparisons = []string{"==", "!=", "<", "<=", ">", ">=", "contains"}

func (p *expectParser) cmp() (node, error) {
	left := operand{kind: word, name: FieldValue}
	if t := p.peek(); t.quoted || !slices.Contains(comparisons, t.text) {
		var err error
		if left, err = p.operand(); err != nil {
			return nil, err
		}
	}
	op := p.peek()
	if op.quoted || !slices.Contains(comparisons, op.text) {
		return nil, fmt.Errorf("column %d: a comparison (%s) is missing", op.column, strings.Join(comparisons, " "))
	}
	p.i++
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	if left.fixed() && right.fixed() {
		return nil, fmt.Errorf("column %d: the comparison asks nothing of the answer: name a field", op.column)
	}
	return cmpNode{left, right, op.text}, nil
}

// fixed reports whether the operand is the same whatever the answer.
func (o operand) fixed() bool { return o.kind == constant || o.kind == parameter }

var keywords = []string{"and", "or", "not", "(", ")", "any", "all", "has", "contains", "==", "!=", "<", "<=", ">", ">="}

func (p *expectParser) operand() (operand, error) {
	if p.call("len") {
		f := p.peek()
		p.i++
		if f.text == "" || !p.accept(")") {
			return operand{}, fmt.Errorf("column %d: len(field) is meant", f.column)
		}
		return operand{kind: length, name: f.text}, nil
	}
	t := p.peek()
	switch {
	case p.i >= len(p.toks):
		return operand{}, fmt.Errorf("column %d: a value is missing", t.column)
	case t.quoted:
		p.i++
		return operand{kind: constant, v: Text(t.text)}, nil
	case slices.Contains(keywords, t.text):
		return operand{}, fmt.Errorf("column %d: a value is missing before %q", t.column, t.text)
	}
	p.i++
	switch {
	case t.text == "series":
		return operand{kind: seriesCount, name: t.text}, nil
	case strings.HasPrefix(t.text, "$"):
		return operand{kind: parameter, name: t.text[1:]}, nil
	case isDigit(t.text[0]) || len(t.text) > 1 && (t.text[0] == '-' || t.text[0] == '.') && (isDigit(t.text[1]) || t.text[1] == '.'):
		// "2 s" is written apart as well as together.
		text := t.text
		if n := p.peek(); !n.quoted && p.i < len(p.toks) && n.text != "" {
			if _, unit := units[n.text]; unit {
				if _, err := strconv.ParseFloat(text, 64); err == nil {
					text += n.text
					p.i++
				}
			}
		}
		v, err := ParseValue(text)
		if err != nil {
			return operand{}, fmt.Errorf("column %d: %w", t.column, err)
		}
		return operand{kind: constant, v: v}, nil
	}
	return operand{kind: word, name: t.text}, nil
}

// Resolve replaces parameters by their values, for the words that people read.
func (e *Expect) Resolve(params map[string]Value) string {
	return parameterName.ReplaceAllStringFunc(e.Text, func(name string) string {
		if v, ok := params[name[1:]]; ok {
			return v.String()
		}
		return name
	})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
