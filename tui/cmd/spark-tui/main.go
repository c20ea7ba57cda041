// Command spark-tui is the console of Spark: it shows a fleet live, and answers
// scripts in plain text.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
