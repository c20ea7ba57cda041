package repotest

import "testing"

func TestEachPackageHasOneComment(t *testing.T) {
	harvest(t, checkPackageComments, []plant{
		{"none", map[string]string{
			"core/a/a.go":          "package a\n",
			"core/a/b.go":          "// A stray remark.\n\npackage a\n",
			"core/a/a_test.go":     "// Package a is not described by its test.\npackage a\n",
			"daemon/cmd/d/main.go": "package main\n",
		}, []string{
			"core/a/a.go:1: package a has no package comment",
			"daemon/cmd/d/main.go:1: package main has no package comment",
		}},
		{"two", map[string]string{
			"core/a/a.go": "// Package a is one.\npackage a\n",
			"core/a/b.go": "\n// Package a is another.\npackage a\n",
		}, []string{"core/a/b.go:2: package a has a second package comment, the first is in core/a/a.go"}},
		{"of something else", map[string]string{
			"core/a/a.go": "// Package b was copied.\npackage a\n",
		}, []string{`core/a/a.go:1: the comment of package a begins with "Package a"`}},
		{"only tests", map[string]string{
			"core/a/a_test.go": "package a_test\n",
			"core/b/b_test.go": "// Package b has rules.\npackage b_test\n",
		}, []string{"core/a/a_test.go:1: package a_test has no package comment"}},
		{"files of one folder around those of another", map[string]string{
			"core/a/a.go":   "// Package a is one.\npackage a\n",
			"core/a/b/b.go": "// Package b is one.\npackage b\n",
			"core/a/c.go":   "package a\n",
		}, nil},
		{"commands and test data", map[string]string{
			"daemon/cmd/d/main.go":       "// Spark-daemon runs.\npackage main\n",
			"daemon/cmd/d/testdata/x.go": "package x\n",
		}, nil},
	})
}

func TestCoreReadsNoClock(t *testing.T) {
	harvest(t, checkClock, []plant{
		{"by any name, called or not", map[string]string{
			"core/a/a.go": "package a\nimport clock \"time\"\nimport \"context\"\n" +
				"var now = clock.Now\n" +
				"func f(ctx context.Context) { clock.Sleep(1); context.WithTimeout(ctx, clock.Second) }\n",
		}, []string{
			"core/a/a.go:4: core reads no clock: time.Now",
			"core/a/a.go:5: core reads no clock: time.Sleep",
			"core/a/a.go:5: core reads no clock: context.WithTimeout",
		}},
		{"tests, other trees, time that is given", map[string]string{
			"core/a/a.go":      "package a\nimport \"time\"\nfunc f(t time.Time) time.Time { return t.Add(time.Second).UTC() }\n",
			"core/a/a_test.go": "package a\nimport \"time\"\nvar now = time.Now()\n",
			"daemon/d.go":      "package daemon\nimport \"time\"\nvar now = time.Now()\n",
		}, nil},
	})
}

func TestNoInitAndNoBackground(t *testing.T) {
	harvest(t, checkHabits, []plant{
		{"faults", map[string]string{
			"daemon/a/a.go":      "package a\nimport \"context\"\nfunc init() {}\nvar x = context.Background()\nvar y = context.TODO()\n",
			"daemon/a/a_test.go": "package a\nimport \"context\"\nvar x = context.Background()\nfunc init() {}\n",
		}, []string{
			"daemon/a/a.go:3: no init functions: the wiring decides what runs when",
			"daemon/a/a.go:4: no context.Background below main: take ctx as the first argument",
			"daemon/a/a.go:5: no context.TODO below main: take ctx as the first argument",
			"daemon/a/a_test.go:4: no init functions: the wiring decides what runs when",
		}},
		{"main, methods, values that are given", map[string]string{
			"daemon/cmd/d/main.go": "package main\nimport \"context\"\nfunc main() { _ = context.Background() }\n",
			"daemon/a/a.go":        "package a\nimport \"context\"\ntype T int\nfunc (T) init() {}\nfunc f(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }\n",
		}, nil},
	})
}

func TestNoTestSleeps(t *testing.T) {
	const bubble = "package a\nimport (\n\"testing\"\n\"testing/synctest\"\n\"time\"\n)\n" +
		"func TestA(t *testing.T) {\n\tsynctest.Test(t, func(t *testing.T) { time.Sleep(time.Hour) })\n"
	harvest(t, checkSleep, []plant{
		{"asleep", map[string]string{"daemon/a/a_test.go": "package a\nimport \"time\"\nfunc wait() { time.Sleep(time.Second) }\n"}, []string{
			"daemon/a/a_test.go:3: a test must not sleep: use a synctest bubble or wait for the event",
		}},
		{"beside the bubble", map[string]string{"daemon/a/a_test.go": bubble + "\ttime.Sleep(1)\n}\n"}, []string{
			"daemon/a/a_test.go:9: a test must not sleep: use a synctest bubble or wait for the event",
		}},
		{"in the bubble, or no test", map[string]string{
			"daemon/a/a_test.go": bubble + "}\n",
			"daemon/a/a.go":      "package a\nimport \"time\"\nfunc wait() { time.Sleep(time.Second) }\n",
		}, nil},
	})
}
