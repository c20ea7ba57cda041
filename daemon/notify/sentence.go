package notify

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/spark-ta/spark/core/alert"
)

// testText is what a test says when its sender wrote nothing.
const testText = "test message from Spark"

// maxSentence keeps a sentence within what every channel takes, in bytes.
const maxSentence = 1000

// Sentence returns the message in one sentence for people, such as
// "BTCUSDT 1m bb_break: close>upper at 65012.3". Numbers are not rounded. The
// sentence has no control or format characters and at most 1,000 bytes; markup is
// for the channel to escape.
func Sentence(m Message) string {
	switch {
	case m.Text != "":
		return printable(m.Text)
	case m.Test:
		return testText
	}
	return printable(eventSentence(m.Event))
}

func eventSentence(e alert.Event) string {
	var b strings.Builder
	b.WriteString(string(e.Series.Symbol))
	b.WriteByte(' ')
	b.WriteString(e.Series.Timeframe.String())
	b.WriteByte(' ')
	b.WriteString(string(e.Type))
	b.WriteString(": ")
	b.WriteString(e.Reason)
	b.WriteString(" at ")
	b.WriteString(strconv.FormatFloat(e.Price, 'f', -1, 64))
	if e.Late {
		b.WriteString(" (late)")
	}
	return b.String()
}

// printable replaces what a terminal or a page might act upon, and cuts at a
// character's border.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		if b.Len()+len(string(r)) > maxSentence {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
