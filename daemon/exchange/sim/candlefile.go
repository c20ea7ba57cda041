package sim

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/spark-ta/spark/core/market"
)

// Bounds of a candle file. A year of minutes is 525,600 rows.
const (
	maxRows      = 1_100_000
	maxLine      = 512
	maxFileBytes = 128 << 20 // unpacked
)

// ErrCandleFile is wrapped by every error about the content of a candle file. The
// error names the file, the line and the value.
var ErrCandleFile = errors.New("candle file")

// candleFile is a file of candles in ticks and steps.
type candleFile struct {
	tick, step int   // decimals
	length     int64 // of a candle, ms
	rows       []fileRow
}

type fileRow struct {
	time                           int64
	open, high, low, close, volume int64
}

// readCandles reads a file with a header `t,o,h,l,c,v`, t in ms, plain or gzip.
// Times must rise and lie on the grid of the file's timeframe, which is the
// smallest distance between two rows (one minute when there is a single row).
// Prices keep the decimals that the file has, at most eight. Quantities keep as
// many as let the turnover of the whole file be counted in 63 bits.
func readCandles(name string, r io.Reader) (*candleFile, error) {
	br := bufio.NewReader(r)
	if magic, err := br.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("%w %s: gzip header: %v", ErrCandleFile, name, err)
		}
		br = bufio.NewReader(zr)
	}
	limited := &io.LimitedReader{R: br, N: maxFileBytes}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	rows, n, err := scanRows(lines)
	var f *candleFile
	switch {
	case err != nil:
	case limited.N <= 0:
		err = fmt.Errorf("more than %d bytes unpacked", maxFileBytes)
	case errors.Is(lines.Err(), bufio.ErrTooLong):
		n, err = n+1, fmt.Errorf("longer than %d bytes", maxLine)
	case lines.Err() != nil:
		n, err = n+1, lines.Err()
	case len(rows) == 0:
		err = errors.New("no candles")
	default:
		f, n, err = scale(rows)
		n += 2 // rows count from zero, below the header
	}
	if err != nil {
		return nil, fmt.Errorf("%w %s line %d: %v", ErrCandleFile, name, n, err)
	}
	return f, nil
}

// scanRows parses all lines and returns the number of the last one read.
func scanRows(lines *bufio.Scanner) (rows []parsedRow, n int, err error) {
	for lines.Scan() {
		n++
		line := bytes.TrimSuffix(lines.Bytes(), []byte{'\r'})
		if n == 1 {
			if string(line) != "t,o,h,l,c,v" {
				return nil, n, fmt.Errorf("header %.64q, want \"t,o,h,l,c,v\"", line)
			}
			continue
		}
		if n > maxRows {
			return nil, n, fmt.Errorf("more than %d rows", maxRows)
		}
		row, err := parseRow(string(line))
		if err != nil {
			return nil, n, err
		}
		if len(rows) > 0 && row.time <= rows[len(rows)-1].time {
			return nil, n, fmt.Errorf("t %d does not come after %d", row.time, rows[len(rows)-1].time)
		}
		rows = append(rows, row)
	}
	return rows, n, nil
}

// parsedRow is a row before the decimals of the file are known.
type parsedRow struct {
	time           int64
	prices         [4]float64 // open, high, low, close
	volume         float64
	priceDecimals  int
	volumeDecimals int
}

func parseRow(line string) (parsedRow, error) {
	fields := strings.Split(line, ",")
	if len(fields) != 6 {
		return parsedRow{}, fmt.Errorf("%d fields, want 6: %.64q", len(fields), line)
	}
	var row parsedRow
	var err error
	if row.time, err = strconv.ParseInt(fields[0], 10, 64); err != nil || row.time < 0 || row.time > maxFileTime {
		return parsedRow{}, fmt.Errorf("t %.32q is no time in ms", fields[0])
	}
	for i, name := range [...]string{"o", "h", "l", "c"} {
		var decimals int
		row.prices[i], decimals, err = parseDecimal(fields[1+i])
		if err != nil || row.prices[i] <= 0 {
			return parsedRow{}, fmt.Errorf("%s %.32q is no price", name, fields[1+i])
		}
		row.priceDecimals = max(row.priceDecimals, decimals)
	}
	if row.volume, row.volumeDecimals, err = parseDecimal(fields[5]); err != nil {
		return parsedRow{}, fmt.Errorf("v %.32q is no volume", fields[5])
	}
	o, h, l, c := row.prices[0], row.prices[1], row.prices[2], row.prices[3]
	if l > min(o, c) || h < max(o, c) {
		return parsedRow{}, fmt.Errorf("o %s, h %s, l %s, c %s do not fit together", fields[1], fields[2], fields[3], fields[4])
	}
	if row.volume == 0 && (h != l) {
		return parsedRow{}, fmt.Errorf("v %.32q although the price moves", fields[5])
	}
	return row, nil
}

// maxFileTime is the year 2200.
const maxFileTime = 7_258_118_400_000

// parseDecimal reads a plain decimal number without sign or exponent, below 10^12,
// and counts its decimals without closing zeros. More than eight are refused.
func parseDecimal(s string) (value float64, decimals int, err error) {
	whole, fraction, dotted := strings.Cut(s, ".")
	fraction = strings.TrimRight(fraction, "0")
	if whole == "" || len(whole) > 12 || len(fraction) > 8 || dotted && len(s) == len(whole)+1 {
		return 0, 0, strconv.ErrSyntax
	}
	for i := range len(s) {
		if s[i] != '.' && (s[i] < '0' || s[i] > '9') {
			return 0, 0, strconv.ErrSyntax
		}
	}
	value, err = strconv.ParseFloat(s, 64)
	return value, len(fraction), err
}

// scale chooses the units and converts the rows. On an error it returns the index
// of the row.
func scale(rows []parsedRow) (*candleFile, int, error) {
	f := &candleFile{length: market.M1.Duration().Milliseconds()}
	turnover := 0.0
	highest := 0.0
	for i, row := range rows {
		highest = max(highest, row.prices[1])
		f.tick = max(f.tick, row.priceDecimals)
		f.step = max(f.step, row.volumeDecimals)
		turnover += row.prices[1] * row.volume
		if i > 0 && (i == 1 || row.time-rows[i-1].time < f.length) {
			f.length = row.time - rows[i-1].time
		}
	}
	f.step = min(f.step, 8-f.tick)
	for f.step > 0 && turnover*math.Pow10(f.tick+f.step) > 1<<62 {
		f.step--
	}
	if turnover*math.Pow10(f.tick+f.step) > 1<<62 || highest*math.Pow10(f.tick) > 1<<46 {
		return nil, len(rows) - 1, fmt.Errorf("prices and volumes are too large to be added up")
	}
	if _, ok := timeframeOf(f.length); !ok {
		return nil, 0, fmt.Errorf("candles of %d ms; 1m to 1d are known", f.length)
	}
	prices, volumes := math.Pow10(f.tick), math.Pow10(f.step)
	f.rows = make([]fileRow, len(rows))
	for i, row := range rows {
		if row.time%f.length != 0 {
			return nil, i, fmt.Errorf("t %d is not a multiple of %d ms", row.time, f.length)
		}
		ticks := func(k int) int64 { return int64(math.Round(row.prices[k] * prices)) }
		f.rows[i] = fileRow{time: row.time, open: ticks(0), high: ticks(1), low: ticks(2), close: ticks(3)}
		if row.volume > 0 {
			f.rows[i].volume = max(minTrades, int64(math.Round(row.volume*volumes)))
		}
	}
	return f, 0, nil
}

// timeframeOf returns the timeframe of a length in ms, up to a day.
func timeframeOf(ms int64) (market.Timeframe, bool) {
	for _, tf := range market.Timeframes() {
		if tf <= market.D1 && tf.Duration().Milliseconds() == ms {
			return tf, true
		}
	}
	return market.NoTimeframe, false
}
