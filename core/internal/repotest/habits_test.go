package repotest

import (
	"go/ast"
	"slices"
	"strings"
)

// checkPackageComments wants one package comment for each package, the commands
// and packages that are only tests included: the design has one place.
func checkPackageComments(t *tree) []finding {
	var out []finding
	for i := 0; i < len(t.goFiles); {
		j := i
		for j < len(t.goFiles) && t.goFiles[j].dir == t.goFiles[i].dir {
			j++
		}
		out = append(out, packageComment(t.goFiles[i:j])...)
		i = j
	}
	return out
}

// packageComment judges the files of one directory.
func packageComment(files []*goFile) []finding {
	code := slices.DeleteFunc(slices.Clone(files), func(f *goFile) bool { return f.test })
	if len(code) == 0 {
		code = files
	}
	var out []finding
	var first *goFile
	for _, f := range code {
		switch doc := f.ast.Doc; {
		case doc == nil || strings.TrimSpace(doc.Text()) == "":
		case first != nil:
			out = append(out, f.at(f.line(doc.Pos()), "package %s has a second package comment, the first is in %s", f.ast.Name.Name, first.path))
		default:
			first = f
			name := strings.TrimSuffix(f.ast.Name.Name, "_test")
			if !f.main && !strings.HasPrefix(doc.Text(), "Package "+name+" ") && !strings.HasPrefix(doc.Text(), "Package "+f.ast.Name.Name+" ") {
				out = append(out, f.at(f.line(doc.Pos()), "the comment of package %s begins with %q", name, "Package "+name))
			}
		}
	}
	if first == nil {
		out = append(out, code[0].at(code[0].line(code[0].ast.Name.Pos()), "package %s has no package comment", code[0].ast.Name.Name))
	}
	return out
}

// clocks are the names by which code reads the clock, waits, or depends on the
// machine's time zone.
var clocks = map[string][]string{
	"time":    {"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "NewTimer", "NewTicker", "Tick", "Local", "LoadLocation"},
	"context": {"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause"},
}

// checkClock is the other half of wall 1: in core time is an argument.
func checkClock(t *tree) []finding {
	var out []finding
	for _, f := range t.goFiles {
		if f.test || !within(f.dir, "core") {
			continue
		}
		for _, pkg := range []string{"time", "context"} {
			for _, sel := range f.uses(pkg) {
				if slices.Contains(clocks[pkg], sel.Sel.Name) {
					out = append(out, f.at(f.line(sel.Pos()), "core reads no clock: %s.%s", pkg, sel.Sel.Name))
				}
			}
		}
	}
	return out
}

// checkHabits forbids init functions everywhere, and contexts from nowhere except
// in commands and tests.
func checkHabits(t *tree) []finding {
	var out []finding
	for _, f := range t.goFiles {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				out = append(out, f.at(f.line(fn.Pos()), "no init functions: the wiring decides what runs when"))
			}
		}
		if f.test || f.main {
			continue
		}
		for _, sel := range f.uses("context") {
			if sel.Sel.Name == "Background" || sel.Sel.Name == "TODO" {
				out = append(out, f.at(f.line(sel.Pos()), "no context.%s below main: take ctx as the first argument", sel.Sel.Name))
			}
		}
	}
	return out
}

// checkSleep forbids time.Sleep in tests. Inside a call of synctest.Test it is
// allowed: there it moves the bubble's clock and takes no time.
func checkSleep(t *tree) []finding {
	var out []finding
	for _, f := range t.goFiles {
		if !f.test {
			continue
		}
		var bubbles []*ast.CallExpr
		for _, sel := range f.uses("testing/synctest") {
			if sel.Sel.Name == "Test" {
				bubbles = append(bubbles, callOf(f.ast, sel))
			}
		}
		for _, sel := range f.uses("time") {
			inBubble := slices.ContainsFunc(bubbles, func(c *ast.CallExpr) bool {
				return c != nil && c.Pos() <= sel.Pos() && sel.End() <= c.End()
			})
			if sel.Sel.Name == "Sleep" && !inBubble {
				out = append(out, f.at(f.line(sel.Pos()), "a test must not sleep: use a synctest bubble or wait for the event"))
			}
		}
	}
	return out
}

// callOf returns the call whose function is sel, or nil.
func callOf(file *ast.File, sel *ast.SelectorExpr) *ast.CallExpr {
	var call *ast.CallExpr
	ast.Inspect(file, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok && c.Fun == sel {
			call = c
		}
		return call == nil
	})
	return call
}
