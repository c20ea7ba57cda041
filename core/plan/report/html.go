package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"
)

//go:embed page.html
var pageText string

// pageTemplate escapes every word for the place it stands in; the functions make it
// fit to be seen.
var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"clean": seen,
	"lines": func(s string) string { return strings.TrimRight(lines(s), "\n") },
}).Parse(pageText))

// page writes a document as one file that needs no other: no script, no picture, no
// font and no address to load from.
func page(d *document) ([]byte, error) {
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, d); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return out.Bytes(), nil
}
