package sim

import (
	"fmt"
	"net/http"
	"strconv"
)

// refusal is an error reply of the REST interface.
type refusal struct {
	status int
	code   int
	msg    string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.code, r.msg) }

func badRequest(code int, format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, code: code, msg: fmt.Sprintf(format, args...)}
}

// The refusals of the published list that a client of market data can meet.
func illegal(name, legal string) *refusal {
	return badRequest(-1100, "Illegal characters found in parameter '%s'; legal range is '%s'.", name, legal)
}

func tooMany(got int) *refusal {
	return badRequest(-1101, "Too many parameters; expected '0' and received '%d'.", got)
}

func duplicate() *refusal {
	return badRequest(-1101, "Duplicate values for a parameter detected.")
}

func mandatory(name string) *refusal {
	return badRequest(-1102, "Mandatory parameter '%s' was not sent, was empty/null, or malformed.", name)
}

func unread(read, sent int) *refusal {
	return badRequest(-1104, "Not all sent parameters were read; read '%d' parameter(s) but was sent '%d'.", read, sent)
}

func empty(name string) *refusal {
	return badRequest(-1105, "Parameter '%s' was empty.", name)
}

func badInterval() *refusal { return badRequest(-1120, "Invalid interval.") }
func badSymbol() *refusal   { return badRequest(-1121, "Invalid symbol.") }
func badStatus() *refusal   { return badRequest(-1122, "Invalid symbolStatus.") }

func badCombination() *refusal {
	return badRequest(-1128, "Combination of optional parameters invalid.")
}

func notValid(name string) *refusal {
	return badRequest(-1130, "Data sent for parameter '%s' is not valid.", name)
}

func twice() *refusal {
	return badRequest(-1151, "Symbol is present multiple times in the list.")
}

func badTimeUnit() *refusal {
	return badRequest(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
}

// body returns the JSON of the refusal.
func (r *refusal) body() []byte {
	b := append([]byte(`{"code":`), strconv.Itoa(r.code)...)
	b = append(b, `,"msg":`...)
	b = append(b, quoteJSON(r.msg)...)
	return append(b, '}')
}
