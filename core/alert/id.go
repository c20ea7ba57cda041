package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// EventID returns the id of the trigger of this alert at the candle that opened
// at bar, decided at now (both ms). The same trigger has the same id wherever and
// however often it is decided:
//
//	intrabar, close   alert:revision:bar
//	minute            alert:revision:m<minute>
//	once              alert:revision:once
func (a Alert) EventID(bar, now int64) string {
	id := a.ID + ":" + strconv.FormatInt(a.Rev, 10) + ":"
	switch a.Mode {
	case Once:
		return id + "once"
	case Minute:
		return id + "m" + strconv.FormatInt(now-now%60_000, 10)
	default:
		return id + strconv.FormatInt(bar, 10)
	}
}

// DeliveryID returns the id of the delivery of an event to a channel: 32
// hexadecimal digits of SHA-256 over both. It is the idempotency key that the
// receiver sees, so it shows neither the alert nor the channel.
func DeliveryID(event, channel string) string {
	h := sha256.Sum256([]byte(event + "\n" + channel))
	return hex.EncodeToString(h[:16])
}
