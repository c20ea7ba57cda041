package redis

import (
	"context"
	_ "embed"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed scripts/fence.lua
var fenceSource string

//go:embed scripts/clock.lua
var clockSource string

//go:embed scripts/acquire.lua
var acquireSource string

//go:embed scripts/renew.lua
var renewSource string

//go:embed scripts/release.lua
var releaseSource string

//go:embed scripts/verify.lua
var verifySource string

//go:embed scripts/reset.lua
var resetSource string

//go:embed scripts/resign.lua
var resignSource string

//go:embed scripts/beat.lua
var beatSource string

//go:embed scripts/control.lua
var controlSource string

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

//go:embed scripts/pending.lua
var pendingSource string

//go:embed scripts/aside.lua
var asideSource string

//go:embed scripts/disown.lua
var disownSource string

//go:embed scripts/enlist.lua
var enlistSource string

//go:embed scripts/refield.lua
var refieldSource string

//go:embed scripts/requeue.lua
var requeueSource string

//go:embed scripts/unqueue.lua
var unqueueSource string

//go:embed scripts/forget.lua
var forgetSource string

//go:embed scripts/pickout.lua
var pickoutSource string

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
	acquireScript  = newScript("acquire", false, clockSource+acquireSource)
	renewScript    = newScript("renew", true, clockSource+renewSource)
	verifyScript   = newScript("verify", true, clockSource+verifySource)
	releaseScript  = newScript("release", false, clockSource+releaseSource)
	resetScript    = newScript("reset", false, clockSource+resetSource)
	resignScript   = newScript("resign", false, clockSource+resignSource)
	beatScript     = newScript("beat", false, clockSource+beatSource)
	controlScript  = newScript("control", false, clockSource+controlSource)
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
	pendingScript  = newScript("pending", false, clockSource+pendingSource)
	asideScript    = newScript("aside", false, asideSource)
	disownScript   = newScript("disown", false, disownSource)
	enlistScript   = newScript("enlist", false, enlistSource)
	refieldScript  = newScript("refield", false, refieldSource)
	requeueScript  = newScript("requeue", false, requeueSource)
	unqueueScript  = newScript("unqueue", false, unqueueSource)
	forgetScript   = newScript("forget", false, forgetSource)
	pickoutScript  = newScript("pickout", false, pickoutSource)
)

func scripts() []script {
	return []script{
		acquireScript, renewScript, verifyScript, releaseScript, resetScript, resignScript, beatScript, controlScript, createScript, activateScript, deleteScript, complainScript,
		triggerScript, advanceScript, claimScript, finishScript, promoteScript, sweepScript,
		pendingScript, asideScript, disownScript, enlistScript, refieldScript, requeueScript, unqueueScript, forgetScript, pickoutScript,
	}
}

type scriptName struct{}

// run runs a script and translates its error.
func (s *Store) run(ctx context.Context, sc script, keys []string, args ...any) (any, error) {
	return runOn(ctx, s.client, sc, keys, args...)
}

func runOn(ctx context.Context, c goredis.Scripter, sc script, keys []string, args ...any) (any, error) {
	v, err := sc.lua.Run(context.WithValue(ctx, scriptName{}, sc.name), c, keys, args...).Result()
	return v, translate(ctx, sc.name, err)
}

// commandName returns what a command is called in the observations.
func commandName(ctx context.Context, cmd goredis.Cmder) string {
	if name, ok := ctx.Value(scriptName{}).(string); ok {
		return name
	}
	return cmd.Name()
}
