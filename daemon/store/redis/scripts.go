package redis

import (
	"context"
	_ "embed"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed scripts/fence.lua
var fenceSource string

//go:embed scripts/acquire.lua
var acquireSource string

//go:embed scripts/renew.lua
var renewSource string

//go:embed scripts/release.lua
var releaseSource string

//go:embed scripts/create.lua
var createSource string

//go:embed scripts/activate.lua
var activateSource string

//go:embed scripts/delete.lua
var deleteSource string

//go:embed scripts/complain.lua
var complainSource string

//go:embed scripts/trigger.lua
var triggerSource string

//go:embed scripts/advance.lua
var advanceSource string

//go:embed scripts/claim.lua
var claimSource string

//go:embed scripts/finish.lua
var finishSource string

//go:embed scripts/promote.lua
var promoteSource string

//go:embed scripts/sweep.lua
var sweepSource string

// script is a script with its name.
type script struct {
	name   string
	leader bool // runs behind the fence
	source string
	lua    *goredis.Script
}

func newScript(name string, leader bool, source string) script {
	if leader {
		source = fenceSource + source
	}
	source = strings.TrimSpace(source)
	return script{name: name, leader: leader, source: source, lua: goredis.NewScript(source)}
}

// The scripts: constant after initialisation.
var (
	acquireScript  = newScript("acquire", false, acquireSource)
	renewScript    = newScript("renew", true, renewSource)
	releaseScript  = newScript("release", false, releaseSource)
	createScript   = newScript("create", false, createSource)
	activateScript = newScript("activate", false, activateSource)
	deleteScript   = newScript("delete", false, deleteSource)
	complainScript = newScript("complain", true, complainSource)
	triggerScript  = newScript("trigger", true, triggerSource)
	advanceScript  = newScript("advance", true, advanceSource)
	claimScript    = newScript("claim", false, claimSource)
	finishScript   = newScript("finish", false, finishSource)
	promoteScript  = newScript("promote", false, promoteSource)
	sweepScript    = newScript("sweep", false, sweepSource)
)

func scripts() []script {
	return []script{
		acquireScript, renewScript, releaseScript, createScript, activateScript, deleteScript, complainScript,
		triggerScript, advanceScript, claimScript, finishScript, promoteScript, sweepScript,
	}
}

type scriptName struct{}

// run runs a script and translates its error.
func (s *Store) run(ctx context.Context, sc script, keys []string, args ...any) (any, error) {
	v, err := sc.lua.Run(context.WithValue(ctx, scriptName{}, sc.name), s.client, keys, args...).Result()
	return v, translate(ctx, sc.name, err)
}

// commandName returns what a command is called in the observations.
func commandName(ctx context.Context, cmd goredis.Cmder) string {
	if name, ok := ctx.Value(scriptName{}).(string); ok {
		return name
	}
	return cmd.Name()
}
