package storetest_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/spark-ta/spark/daemon/store/storetest"
)

// TestAStoreMovesBetweenEmbeddedAndRedis: the same bytes on the way there and back.
func TestAStoreMovesBetweenEmbeddedAndRedis(t *testing.T) {
	t.Run("embedded to redis", func(t *testing.T) { storetest.Transfer(t, inProcess, server(t)) })
	t.Run("redis to embedded", func(t *testing.T) { storetest.Transfer(t, server(t), inProcess) })
}

// TestManyAlertsMove takes minutes with a million: SPARK_TEST_ALERTS=1000000.
func TestManyAlertsMove(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("SPARK_TEST_ALERTS"))
	if err != nil {
		n = 2000
	}
	storetest.TransferMany(t, server(t), server(t), n)
}
