package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// Dump returns everything a server holds as text, for comparison: contents, what is
// left of times to live (in the steps that the server's own clock allows), groups of
// streams and what is pending in them.
func Dump(ctx context.Context, c *goredis.Client) (string, error) {
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil {
		return "", err
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, key := range keys {
		kind, err := c.Type(ctx, key).Result()
		if err != nil {
			return "", err
		}
		volatile, err := c.PTTL(ctx, key).Result()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %q volatile=%t\n", kind, key, volatile > 0)
		for _, cmd := range contents(kind, key) {
			v, err := c.Do(ctx, cmd...).Result()
			if err != nil && !errors.Is(err, goredis.Nil) {
				return "", fmt.Errorf("%v: %w", cmd, err)
			}
			fmt.Fprintf(&b, "  %v %q\n", cmd[0], fmt.Sprint(v))
		}
		if kind == "stream" {
			if err := dumpGroups(ctx, c, key, &b); err != nil {
				return "", err
			}
		}
	}
	return b.String(), nil
}

func contents(kind, key string) [][]any {
	switch kind {
	case "string":
		return [][]any{{"GET", key}}
	case "hash":
		// sorted by the server or not, the fields are read one by one in order
		return [][]any{{"EVAL", `local h = redis.call('HGETALL', KEYS[1])
local p = {}
for i = 1, #h, 2 do p[#p + 1] = h[i] .. '=' .. h[i + 1] end
table.sort(p)
return p`, 1, key}}
	case "list":
		return [][]any{{"LRANGE", key, 0, -1}}
	case "set":
		return [][]any{{"EVAL", `local m = redis.call('SMEMBERS', KEYS[1]) table.sort(m) return m`, 1, key}}
	case "zset":
		return [][]any{{"ZRANGE", key, 0, -1, "WITHSCORES"}}
	case "stream":
		return [][]any{{"XRANGE", key, "-", "+"}}
	}
	return nil
}

func dumpGroups(ctx context.Context, c *goredis.Client, key string, b *strings.Builder) error {
	stream, err := c.XInfoStream(ctx, key).Result()
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "  last %s\n", stream.LastGeneratedID)
	groups, err := c.XInfoGroups(ctx, key).Result()
	if err != nil {
		return err
	}
	slices.SortFunc(groups, func(a, b goredis.XInfoGroup) int { return strings.Compare(a.Name, b.Name) })
	for _, g := range groups {
		fmt.Fprintf(b, "  group %q delivered %s pending %d\n", g.Name, g.LastDeliveredID, g.Pending)
		consumers, err := c.XInfoConsumers(ctx, key, g.Name).Result()
		if err != nil {
			return err
		}
		for _, consumer := range consumers {
			fmt.Fprintf(b, "    consumer %q %d\n", consumer.Name, consumer.Pending)
		}
		pending, err := c.XPendingExt(ctx, &goredis.XPendingExtArgs{Stream: key, Group: g.Name, Start: "-", End: "+", Count: 1_000_000}).Result()
		if err != nil {
			return err
		}
		for _, p := range pending {
			fmt.Fprintf(b, "    pending %s %q %d\n", p.ID, p.Consumer, p.RetryCount)
		}
	}
	return nil
}
