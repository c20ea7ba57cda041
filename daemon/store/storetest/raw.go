package storetest

import (
	"net/url"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/spark-ta/spark/daemon/store/redis"
)

// Raw returns a client of the one server that holds all of the store: of a Cluster,
// and behind Sentinels, the master.
func Raw(t testing.TB, o redis.Options) *goredis.Client {
	t.Helper()
	if o.URL == "" {
		t.Fatal("no URL")
	}
	scheme, rest, _ := strings.Cut(o.URL, "://")
	hosts, path, _ := strings.Cut(rest, "/")
	path, query, _ := strings.Cut(path, "?")
	user, hosts, ok := strings.Cut(hosts, "@")
	if !ok {
		user, hosts = "", user
	}
	_, password, _ := strings.Cut(user, ":")
	parameters, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	var c *goredis.Client
	switch {
	case strings.HasSuffix(scheme, "+sentinel"):
		c = goredis.NewFailoverClient(&goredis.FailoverOptions{
			MasterName: path, SentinelAddrs: strings.Split(hosts, ","), Protocol: 2, ReadTimeout: time.Minute,
			Password: password, SentinelPassword: parameters.Get("sentinel_password"),
		})
	case isCluster(o.URL):
		nodes := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: strings.Split(hosts, ","), Protocol: 2})
		defer func() { _ = nodes.Close() }()
		master, err := nodes.MasterForKey(t.Context(), redis.DefaultNamespace+":scheduler:lock")
		if err != nil {
			t.Fatalf("the lock's master: %v", err)
		}
		c = goredis.NewClient(&goredis.Options{Addr: master.Options().Addr, Protocol: 2, ReadTimeout: time.Minute})
	default:
		c = goredis.NewClient(&goredis.Options{Addr: hosts, Dialer: o.Dial, Password: password, Protocol: 2, ReadTimeout: time.Minute})
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// isCluster reports whether a URL is that of a Cluster.
func isCluster(text string) bool {
	scheme, rest, _ := strings.Cut(text, "://")
	return strings.HasSuffix(scheme, "+cluster") || !strings.HasSuffix(scheme, "+sentinel") && strings.Contains(rest, ",")
}
