#!/bin/sh
# Runs the tests of the given packages. Shows go test's own line for each package as
# it ends, everything that a failing test said, and at the end what was skipped and
# why. Exits as go test does.
{
	go test -shuffle=on -v "$@" 2>&1
	echo "exit status of go test: $?"
} | awk '
	# Each test has its own buffer: verbose output of parallel tests is interleaved,
	# and the reason of a skip comes before the line that says so.
	function last(text) { gsub(/^[[:space:]]+|[[:space:]]+$/, "", text); return text }
	function show(name) { printf "%s", said[name]; delete said[name] }
	function rest(  name) { for (name in said) show(name) }

	/^=== (RUN|CONT|NAME|PAUSE) / { test = $3; next }
	/^exit status of go test: / { status = $NF; next }
	/^ *--- PASS: / { if (/^---/) passed++; delete said[$3]; test = ""; next }
	/^ *--- SKIP: / { skipped++; why[skipped] = $3 ": " ($3 in reason ? last(reason[$3]) : "no reason given"); delete said[$3]; test = ""; next }
	/^ *--- FAIL: / { if (/^---/) failed++; print; show($3); test = ""; next }
	/^-test\.shuffle / { seed = $2; next }
	/^(PASS|testing: warning: no tests to run)$/ { next }
	/^\?.*\[no test files\]$/ { next }
	/^(ok|\?) / || /^(ok|\?)\t/ { delete said; print; test = ""; next }
	/^FAIL(\t|$)/ { rest(); print; if (seed != "" && /[0-9]s$/) print "    repeat with: go test -shuffle=" seed " " $2; test = ""; next }
	{
		if (test == "") { print; next } # a build error, a panic, a data race
		said[test] = said[test] $0 "\n"
		if ($1 ~ /_test\.go:[0-9]+:$/) reason[test] = $0
		else reason[test] = reason[test] " " last($0)
	}
	END {
		rest()
		print ""
		if (skipped) print "skipped:"
		for (i = 1; i <= skipped; i++) print "  " why[i]
		printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
		exit status
	}
'
