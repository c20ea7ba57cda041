package embedded

import (
	"strings"
)

// command says how a command is treated.
type command struct {
	writes  bool   // journaled
	ttl     bool   // sets or reads a time to live
	chance  bool   // draws lots: not in scripts
	session bool   // about the connection: not in scripts
	refused string // why it is not served
}

const (
	notServed      = "is not served by the embedded store"
	noTransactions = "is not served by the embedded store: use a script"
	noBlocking     = "is not served by the embedded store: it would block"
	noPubSub       = "is not served by the embedded store: there is nobody to hear it"
	noFieldTTL     = "is not served by the embedded store: fields have no time to live of their own"
	noDatabases    = "is not served by the embedded store: there is one database"
	noReplay       = "is not served by the embedded store: it could not be repeated from the journal"
)

// commands are the commands that are served, and those that are refused with a
// reason. What is in neither is left to the engine to answer when the engine does
// not know it, and refused otherwise.
var commands = makeCommands()

func makeCommands() map[string]command {
	table := map[string]command{}
	put := func(c command, names string) {
		for name := range strings.FieldsSeq(names) {
			table[name] = c
		}
	}
	put(command{}, `GET GETRANGE MGET STRLEN GETBIT BITCOUNT BITPOS EXISTS KEYS SCAN TYPE TOUCH DBSIZE DUMP
		HEXISTS HGET HGETALL HKEYS HLEN HMGET HSTRLEN HVALS HSCAN LINDEX LPOS LLEN LRANGE
		SCARD SDIFF SINTER SINTERCARD SISMEMBER SMEMBERS SMISMEMBER SUNION SSCAN
		ZCARD ZCOUNT ZINTER ZLEXCOUNT ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX
		ZREVRANGEBYSCORE ZREVRANK ZSCORE ZMSCORE ZUNION ZSCAN
		XLEN XREAD XRANGE XREVRANGE XPENDING XINFO TIME INFO MEMORY OBJECT PUBLISH PUBSUB PING ECHO`)
	put(command{ttl: true}, `TTL PTTL EXPIRETIME PEXPIRETIME`)
	put(command{chance: true}, `RANDOMKEY SRANDMEMBER HRANDFIELD ZRANDMEMBER`)
	put(command{session: true}, `EVALSHA_RO EVAL_RO AUTH HELLO QUIT SELECT CLIENT COMMAND CLUSTER WAIT`)
	put(command{writes: true}, `DEL UNLINK FLUSHALL FLUSHDB
		APPEND BITOP DECR DECRBY DELEX GETDEL GETSET INCR INCRBY INCRBYFLOAT MSET MSETNX SETBIT SETNX SETRANGE
		HDEL HINCRBY HINCRBYFLOAT HMSET HSET HSETNX
		LINSERT LMOVE LMPOP LPOP LPUSH LPUSHX LREM LSET LTRIM RPOP RPOPLPUSH RPUSH RPUSHX
		SADD SDIFFSTORE SINTERSTORE SMOVE SREM SUNIONSTORE
		ZADD ZINCRBY ZINTERSTORE ZMPOP ZPOPMAX ZPOPMIN ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZUNIONSTORE
		XADD XGROUP XREADGROUP XACK XDEL XTRIM XAUTOCLAIM XCLAIM`)
	put(command{writes: true, ttl: true}, `SET SETEX PSETEX GETEX EXPIRE EXPIREAT PEXPIRE PEXPIREAT PERSIST RENAME RENAMENX`)
	put(command{writes: true, session: true}, `EVAL EVALSHA SCRIPT`)
	put(command{refused: noTransactions}, `MULTI EXEC DISCARD WATCH UNWATCH`)
	put(command{refused: noBlocking}, `BLPOP BRPOP BRPOPLPUSH BLMOVE BZMPOP BZPOPMAX BZPOPMIN`)
	put(command{refused: noPubSub}, `SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE`)
	put(command{refused: noFieldTTL}, `HEXPIRE HPERSIST HSETEX HTTL HPTTL`)
	put(command{refused: noDatabases}, `MOVE SWAPDB COPY`)
	put(command{refused: noReplay}, `SPOP RESTORE PFADD PFMERGE PFCOUNT GEOADD GEORADIUS GEORADIUSBYMEMBER`)
	return table
}

// refusal says why a command is not executed, or "". name is in upper case; args
// are without it.
func refusal(name string, args []string, inScript bool) string {
	c, known := commands[name]
	switch {
	case !known:
		return "" // the caller knows whether the engine has it
	case c.refused != "":
		return name + " " + c.refused
	case inScript && c.session:
		return name + " is not allowed in a script"
	case inScript && c.chance:
		return name + " draws lots, so a script with it could not be repeated from the journal"
	case (name == "XREAD" || name == "XREADGROUP") && blocks(args):
		return name + " with BLOCK " + noBlocking
	case name == "SELECT" && len(args) == 1 && args[0] != "0":
		return "SELECT " + noDatabases
	}
	return ""
}

// blocks reports the option BLOCK, which stands before STREAMS.
func blocks(args []string) bool {
	for _, a := range args {
		switch strings.ToUpper(a) {
		case "BLOCK":
			return true
		case "STREAMS":
			return false
		}
	}
	return false
}
