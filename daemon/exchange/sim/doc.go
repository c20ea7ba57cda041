// Package sim is an exchange of its own: a server that speaks the spot protocol
// of Binance over real HTTP and WebSocket, with markets that are computed instead
// of traded. It serves `make run`, tests, rehearsals and the command
// `spark-daemon sim`. It does not take orders and knows no accounts.
//
// # Markets
//
// Every trade of every symbol is a pure function of (seed, symbol, virtual time).
// Nothing is remembered that could not be computed again; the caches only save
// time. Two servers with one seed show the same trades, whenever they were
// started, and all arithmetic is on integers (prices in ticks, quantities in
// steps, turnover in ticks × steps), so that the figures do not depend on the
// machine either.
//
// From coarse to fine:
//
//   - the price at midnight is a base price times the sum of eight octaves of
//     value noise with periods of 1 to 128 days: a walk that comes back;
//   - within the day the path runs by midpoint displacement over 2,880 slots of
//     30 s, with a volatility that is inherited and varied from level to level,
//     which gives calm and hectic hours;
//   - the trades of a day are shared out among the slots by weights (time of day,
//     size of the move, chance), so the ids form one chain from the first day on;
//   - the trades of a slot come in pairs mirrored about the middle of the slot:
//     equal quantity, opposite distance from the middle price. Hence the turnover
//     of a slot is its volume times its middle price and every figure of its
//     candle is known without looking at a trade.
//
// A day costs about 150 µs to compute. A candle of any length is the sum of whole
// days, whole hours, whole minutes and at last single trades, so all timeframes
// agree with each other, REST agrees with the streams to the last digit, and the
// candles agree with the trades, turnover included. History begins on
// 2000-01-01: 1,000 candles and more of every timeframe except 1M, which has one
// for each month since.
//
// [Options.Demo] adds kicks to the price (see demo.go); they depend on
// [Options.Start] too. A candle file may take the place of a symbol (replay.go).
//
// # Time
//
// Virtual time is Start + elapsed × Speed. What belongs to the market is virtual:
// candles, trades, event times, serverTime. What belongs to the connection is
// real: frame period, pings, life of a connection, rate limits, delays.
//
// # Server
//
// One goroutine, the ticker ([Server.Run] starts it), computes what happened on
// each subscribed stream since it last looked, applies the faults that are
// active, encodes each event once and puts it into the outboxes of the
// connections. A connection has a reader (control messages, pongs, limits) and a
// writer (frames, pings, end of life). An outbox holds 8 MiB; a client that falls
// further behind is disconnected, as the real exchange does. Run returns after
// all of them have returned.
//
// # Faults
//
// A fault is ordered by [Server.Inject] or POST /sim/faults and counts down by
// frames, by requests or by real time (fault.go). Frame faults act on the stream,
// before the frame is handed to the connections, so every subscriber sees the
// same and a test can say which frame is hit.
//
// # What differs from the exchange
//
// No depth, no accounts, no WebSocket API, times on streams in milliseconds only.
// An aggregated trade has exactly one trade. A closed candle is sent at once, not
// with the next regular update. Where the published description leaves a text
// open (too many streams on a connection), ours is a guess in the same form.
package sim
