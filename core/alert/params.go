package alert

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Type names a kind of alert.
type Type string

// The types that can be created.
const (
	TypeBBBreak Type = "bb_break"
	TypePrice   Type = "price"
)

// Types returns the types that can be created, in the order of the contract.
func Types() []Type { return []Type{TypeBBBreak, TypePrice} }

// Params are the checked parameters of one type: [BBBreak] or [Price].
type Params interface {
	Type() Type
	// Map returns the parameters by their outside names, normalised, defaults
	// included: what is stored and shown.
	Map() map[string]any
}

// InputError says which field of a request is wrong, and what is allowed.
type InputError struct {
	Field  string // such as "params.side"
	Reason string
}

func (e *InputError) Error() string { return e.Field + ": " + e.Reason }

func invalid(field, format string, args ...any) *InputError {
	return &InputError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// Side is which edge of a band, or which direction, counts.
type Side string

// The sides of a band.
const (
	Above Side = "above"
	Below Side = "below"
	Both  Side = "both"
)

// BBBreak fires when the close is beyond a Bollinger band.
type BBBreak struct {
	Period int     // 2…1000 candles
	StdDev float64 // > 0…10 population standard deviations
	Side   Side
}

// Type returns [TypeBBBreak].
func (BBBreak) Type() Type { return TypeBBBreak }

// Map implements [Params].
func (p BBBreak) Map() map[string]any {
	return map[string]any{"period": p.Period, "stdDev": p.StdDev, "side": string(p.Side)}
}

// Op is how a price is compared with a level.
type Op string

// The comparisons. A cross needs the close of the last closed candle on the other
// side, or equal.
const (
	OpAbove       Op = ">"
	OpBelow       Op = "<"
	OpCrosses     Op = "crosses"
	OpCrossesUp   Op = "crosses_up"
	OpCrossesDown Op = "crosses_down"
)

// Price fires when the close compares with a level.
type Price struct {
	Op    Op
	Level float64 // > 0
}

// Type returns [TypePrice].
func (Price) Type() Type { return TypePrice }

// Map implements [Params].
func (p Price) Map() map[string]any {
	return map[string]any{"op": string(p.Op), "level": p.Level}
}

// Reason returns the reason of a trigger: "price>65000" for a comparison,
// "price crosses_up 65000" for a cross.
func (p Price) Reason() string {
	level := strconv.FormatFloat(p.Level, 'f', -1, 64)
	if p.Op == OpAbove || p.Op == OpBelow {
		return "price" + string(p.Op) + level
	}
	return "price " + string(p.Op) + " " + level
}

// ParseParams checks the parameters of a type as they came in JSON (numbers are
// float64) and returns them normalised. Its error is an [*InputError].
func ParseParams(t Type, raw map[string]any) (Params, error) {
	r := reader{raw: raw}
	var p Params
	switch t {
	case TypeBBBreak:
		p = BBBreak{
			Period: r.integer("period", 20, 2, 1000),
			StdDev: r.number("stdDev", 2, 0, 10),
			Side:   Side(r.choice("side", "both", []string{"above", "below", "both"}, map[string]string{"upper": "above", "lower": "below"})),
		}
	case TypePrice:
		p = Price{
			Op:    Op(r.choice("op", "", []string{">", "<", "crosses", "crosses_up", "crosses_down"}, nil)),
			Level: r.number("level", math.NaN(), 0, math.MaxFloat64),
		}
	default:
		return nil, invalid("type", "%.32q is not one of %s", string(t), typeNames())
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return p, nil
}

func typeNames() string {
	names := make([]string, 0, len(Types()))
	for _, t := range Types() {
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}

// reader takes known parameters out of a map and remembers the first mistake.
type reader struct {
	raw   map[string]any
	known []string
	err   *InputError
}

func (r *reader) take(name string) (any, bool) {
	r.known = append(r.known, name)
	v, ok := r.raw[name]
	return v, ok
}

func (r *reader) fail(name, format string, args ...any) {
	if r.err == nil {
		r.err = invalid("params."+name, format, args...)
	}
}

// number reads a number in (low, high]; NaN as the default makes it required.
func (r *reader) number(name string, def, low, high float64) float64 {
	v, ok := r.take(name)
	if !ok {
		if math.IsNaN(def) {
			r.fail(name, "is required: a number above %v", low)
		}
		return def
	}
	f, ok := v.(float64)
	if !ok || math.IsNaN(f) || f <= low || f > high {
		if high == math.MaxFloat64 {
			r.fail(name, "%s is not a number above %v", show(v), low)
		} else {
			r.fail(name, "%s is not a number above %v and at most %v", show(v), low, high)
		}
	}
	return f
}

func (r *reader) integer(name string, def, low, high int) int {
	v, ok := r.take(name)
	if !ok {
		return def
	}
	f, ok := v.(float64)
	if !ok || f != math.Trunc(f) || f < float64(low) || f > float64(high) {
		r.fail(name, "%s is not a whole number from %d to %d", show(v), low, high)
		return def
	}
	return int(f)
}

// choice reads one of a few words; an empty default makes it required.
func (r *reader) choice(name, def string, allowed []string, synonyms map[string]string) string {
	v, ok := r.take(name)
	if !ok {
		if def == "" {
			r.fail(name, "is required: one of %s", strings.Join(allowed, ", "))
		}
		return def
	}
	s, isText := v.(string)
	if to, ok := synonyms[s]; ok {
		s = to
	}
	if !isText || !slices.Contains(allowed, s) {
		r.fail(name, "%s is not one of %s", show(v), strings.Join(allowed, ", "))
	}
	return s
}

// show writes a value as it came in JSON, cut to what fits a sentence.
func show(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%.64q", s)
	}
	text, err := json.Marshal(v)
	if err != nil { // NaN and infinities, which JSON can't carry
		text = fmt.Append(nil, v)
	}
	return fmt.Sprintf("%.64s", text)
}

// done reports unknown names before wrong values: a misspelt name is the likelier
// cause of both.
func (r *reader) done() error {
	unknown := make([]string, 0, len(r.raw))
	for name := range r.raw {
		if !slices.Contains(r.known, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return invalid("params", "unknown parameter %.64q: allowed are %s", unknown[0], strings.Join(r.known, ", "))
	}
	if r.err != nil {
		return r.err
	}
	return nil
}
