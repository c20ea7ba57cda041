package alert

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of what an alert may say about itself.
const (
	MaxCooldownSec = 86_400
	MaxHysteresis  = 0.5
	MaxNote        = 500 // bytes
	MaxChannels    = 16
)

var channelPattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// Check reports the first field whose value is not allowed, as an [*InputError].
// The parameters were checked when they were parsed; whether a channel is
// configured is for the caller to know.
func (a Alert) Check() error {
	switch {
	case a.Series.Symbol == "":
		return invalid("symbol", "is required")
	case a.Series.Timeframe == 0:
		return invalid("timeframe", "is required")
	case a.Params == nil:
		return invalid("type", "is required: one of %s", typeNames())
	case !slices.Contains([]Mode{Intrabar, OnClose, Once, Minute}, a.Mode):
		return invalid("trigger", "%.32q is not one of intrabar, close, once, minute", string(a.Mode))
	case a.CooldownSec < 0 || a.CooldownSec > MaxCooldownSec:
		return invalid("cooldownSec", "%d is not from 0 to %d", a.CooldownSec, MaxCooldownSec)
	case !(a.Hysteresis >= 0 && a.Hysteresis <= MaxHysteresis):
		return invalid("hysteresis", "%v is not from 0 to %v", a.Hysteresis, MaxHysteresis)
	case !slices.Contains([]Severity{Info, Warning, Critical}, a.Severity):
		return invalid("severity", "%.32q is not one of info, warning, critical", string(a.Severity))
	case a.ExpiresAt < 0:
		return invalid("expiresAt", "%d is not a time in ms", a.ExpiresAt)
	case len(a.Note) > MaxNote:
		return invalid("note", "%d bytes are more than %d", len(a.Note), MaxNote)
	case !utf8.ValidString(a.Note) || strings.ContainsRune(a.Note, 0):
		return invalid("note", "is not valid text")
	case len(a.Channels) > MaxChannels:
		return invalid("channels", "%d are more than %d", len(a.Channels), MaxChannels)
	}
	for _, c := range a.Channels {
		if !channelPattern.MatchString(c) {
			return invalid("channels", "%.32q is not a channel's name", c)
		}
	}
	return nil
}
