package main

import (
	"fmt"
	"strings"

	"github.com/spark-ta/spark/core/wire"
)

// configurationPage returns docs/configuration.md; a test compares the two.
func configurationPage() string {
	var b strings.Builder
	b.WriteString(`# Configuration of spark-daemon

Generated from the code by ` + "`spark-daemon config docs`" + `; a test compares the two.

A flag wins over an environment variable, a variable over the configuration file,
the file over the default. ` + "`spark-daemon config print`" + ` shows what is in force and where
it comes from. A value that is not allowed stops the start with one line that names
the variable, the value and what is allowed; the exit status is then 2. Secrets have
no flag: a command line can be read by others.

| variable | flag | default | meaning |
|---|---|---|---|
`)
	for _, s := range settings() {
		flag, def := "`--"+s.flag()+"`", "–"
		if s.secret {
			flag = "none (secret)"
		}
		if s.def != "" {
			def = "`" + s.def + "`"
		}
		if s.name == wire.EnvEvalConcurrency {
			def = "number of CPUs"
		}
		usage := strings.ReplaceAll(s.usage, "|", "\\|")
		if s.later {
			usage += " (no effect in this version: said at the start when set)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.name, flag, def, usage)
	}
	b.WriteString(`
## The configuration file

` + "`SPARK_CONFIG`" + ` names a YAML file whose keys are the variables above:

` + "```yaml" + `
# spark.yaml
LOG_LEVEL: debug
ALERT_COOLDOWN_SEC: 600
NOTIFY_WEBHOOK_URL: https://hooks.example.com/spark
NOTIFY_WEBHOOK_SECRET: whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=
` + "```" + `

An unknown key, a key given twice and a value that is no plain value are errors that
name the line.

### The section hypercare

What the observer needs and no variable can hold stands in one section of that file.
All of it may be left out:

` + "```yaml" + `
` + hypercareExample + "```" + `

It is as strict as the rest: errors name the line and the key. A plan can select what
is named here, and cannot do anything else: no command, address or token comes from
Markdown.
`)
	return b.String()
}
