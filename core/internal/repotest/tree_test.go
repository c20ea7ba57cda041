package repotest

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A finding is one broken rule at one place.
type finding struct {
	path string
	line int
	text string
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s", f.path, f.line, f.text) }

// A tree is a repository, read and parsed.
type tree struct {
	module  string // module path of go.mod
	series  []string
	dirs    map[string]bool
	texts   map[string]string // every tracked text file
	goFiles []*goFile         // by directory, then path
}

// A goFile is one parsed Go file.
type goFile struct {
	path    string
	dir     string // of the package, relative to the module
	test    bool   // *_test.go
	outside bool   // package x_test
	main    bool
	fset    *token.FileSet
	ast     *ast.File
	imports []imported
}

type imported struct {
	path string // import path
	rel  string // path inside the module, "" for others
	in   bool   // inside the module
	name string // local name if given
	line int
}

// maxText is the size above which a file is data and not searched.
const maxText = 4 << 20

// load reads the tree. Series are the metric names that documents may use.
func load(fsys fs.FS, series []string) (*tree, error) {
	t := &tree{series: series, dirs: map[string]bool{}, texts: map[string]string{}}
	ignored := ignore(fsys)
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p != "." && (p == ".git" || ignored(p, d.IsDir())):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			t.dirs[p] = true
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		return t.read(fsys, p, d)
	})
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(t.texts["go.mod"]) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			t.module = strings.TrimSpace(name)
		}
	}
	return t, t.parse()
}

func (t *tree) read(fsys fs.FS, p string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil || info.Size() > maxText {
		return err
	}
	b, err := fs.ReadFile(fsys, p)
	if err != nil {
		return err
	}
	if bytes.IndexByte(b, 0) < 0 && utf8.Valid(b) {
		t.texts[p] = string(b)
	}
	return nil
}

func (t *tree) parse() error {
	for p, text := range t.texts {
		if !strings.HasSuffix(p, ".go") || inTestdata(p) {
			continue
		}
		f := &goFile{path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), fset: token.NewFileSet()}
		var err error
		f.ast, err = parser.ParseFile(f.fset, p, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f.main = f.ast.Name.Name == "main"
		f.outside = f.test && strings.HasSuffix(f.ast.Name.Name, "_test")
		for _, spec := range f.ast.Imports {
			f.imports = append(f.imports, t.imported(f, spec))
		}
		t.goFiles = append(t.goFiles, f)
	}
	slices.SortFunc(t.goFiles, func(a, b *goFile) int {
		return cmp.Or(cmp.Compare(a.dir, b.dir), cmp.Compare(a.path, b.path))
	})
	return nil
}

func (t *tree) imported(f *goFile, spec *ast.ImportSpec) imported {
	im := imported{line: f.line(spec.Pos())}
	im.path, _ = strconv.Unquote(spec.Path.Value) // parsed: it is a string
	if spec.Name != nil {
		im.name = spec.Name.Name
	}
	if im.path == t.module {
		im.in, im.rel = true, "."
	} else if rel, ok := strings.CutPrefix(im.path, t.module+"/"); ok {
		im.in, im.rel = true, rel
	}
	return im
}

func (f *goFile) line(p token.Pos) int { return f.fset.Position(p).Line }

func (f *goFile) at(line int, format string, args ...any) finding {
	return finding{f.path, line, fmt.Sprintf(format, args...)}
}

// uses returns the selectors of the package with the import path, such as the
// "time.Now" of package time, whatever local name the file gave it.
func (f *goFile) uses(importPath string) []*ast.SelectorExpr {
	local := ""
	for _, im := range f.imports {
		if im.path == importPath {
			local = cmp.Or(im.name, path.Base(importPath))
		}
	}
	if local == "" {
		return nil
	}
	var found []*ast.SelectorExpr
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == local {
				found = append(found, sel)
			}
		}
		return true
	})
	return found
}

// within reports whether p is dir or lies below it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// standard reports whether an import path belongs to the standard library: its
// first element has no dot.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func inTestdata(p string) bool { return strings.Contains("/"+p, "/testdata/") }

// ignore returns a function that tells what the top .gitignore excludes. It knows
// the three forms that are used there: /dir/, /file and *.ext.
func ignore(fsys fs.FS) func(p string, dir bool) bool {
	b, err := fs.ReadFile(fsys, ".gitignore")
	if err != nil {
		return func(string, bool) bool { return false }
	}
	var patterns []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			patterns = append(patterns, line)
		}
	}
	return func(p string, dir bool) bool {
		for _, pat := range patterns {
			anchored := strings.HasPrefix(pat, "/")
			name := strings.Trim(pat, "/")
			if strings.HasSuffix(pat, "/") && !dir {
				continue
			}
			subject := p
			if !anchored {
				subject = path.Base(p)
			}
			if ok, _ := path.Match(name, subject); ok {
				return true
			}
		}
		return false
	}
}
