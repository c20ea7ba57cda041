#!/bin/sh
# Measures what docs/benchmarks.md states about size, start, memory and idle cost
# and prints the rows of its tables. Linux only: it reads /proc.
#
#   sh docs/bench/budget.sh [ROUNDS]
#
# The programs are built as a release builds them. The console runs on a terminal of
# 200x50 made by script(1) of util-linux; where that is missing its rows are left out
# and a line says so.
set -eu
cd "$(dirname "$0")/../.."
rounds=${1:-10}
span=20 # seconds over which CPU and bytes are averaged

[ -r /proc/self/stat ] || { echo "budget.sh: needs /proc" >&2; exit 1; }
dir=$(mktemp -d)
started=
cleanup() {
	for p in $started; do kill "$p" 2>/dev/null || true; done
	for p in $started; do wait "$p" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

version=$(git describe --tags --always --dirty 2>/dev/null || echo dev)
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$dir/" ./daemon/cmd/spark-daemon ./tui/cmd/spark-tui ./tui/bench

ms() { echo $(($(date +%s%N) / 1000000)); }
mib() { awk -v b="$1" 'BEGIN { printf "%.1f", b / 1048576 }'; }
size() { wc -c <"$1" | tr -d ' '; }
row() { printf '| %s | %s | %s |\n' "$1" "$2" "$3"; }
rss() { awk '/^VmRSS:/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
peak() { awk '/^VmHWM:/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }

# busy PID: CPU time so far, ns, of all threads that live.
busy() { cat /proc/"$1"/task/*/schedstat | awk '{ s += $1 } END { printf "%d", s }'; }

# cpu PID: mean share of one core over the span.
cpu() {
	a=$(busy "$1")
	t=$(ms)
	sleep "$span"
	b=$(busy "$1")
	awk -v d=$((b - a)) -v ms=$(($(ms) - t)) 'BEGIN { printf "%.2f %%", d / 1e4 / ms }'
}

# spread FILE: median and maximum of a column of numbers.
spread() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "p50 %s ms, max %s ms, n %d", v[int((NR + 1) / 2)], v[NR], NR }'; }

# begin NAME: starts a demo daemon with its own data and waits until it is ready.
begin() {
	rm -f "$dir/ready"
	"$dir/spark-daemon" demo --data-dir "$dir/$1" --ready-file "$dir/ready" >"$dir/$1.log" 2>&1 &
	daemon=$!
	started="$started $daemon"
	until [ -s "$dir/ready" ]; do
		kill -0 "$daemon" 2>/dev/null || { echo "budget.sh: spark-daemon ended:" >&2; tail -n 5 "$dir/$1.log" >&2; exit 1; }
		sleep 0.005
	done
}

end() {
	kill "$1"
	wait "$1" 2>/dev/null || true
}

echo "$(date -u +%Y-%m-%d), $version, $(go env GOVERSION), $(uname -sm), $(nproc) x $(awk -F ': *' '/^model name/ { print $2; exit }' /proc/cpuinfo), load$(awk '{ print " " $1 }' /proc/loadavg)"
echo
echo '| what | measured | target |'
echo '|---|---|---|'
row 'spark-daemon, stripped' "$(mib "$(size "$dir/spark-daemon")") MiB" '–'
row 'spark-tui, stripped' "$(mib "$(size "$dir/spark-tui")") MiB" '≤ 15 MB'

i=0
while [ "$i" -lt "$rounds" ]; do
	i=$((i + 1))
	t=$(ms)
	begin "start$i"
	echo $(($(ms) - t)) >>"$dir/starts"
	end "$daemon"
done
row 'daemon: exec to ready, fresh embedded store, with simulator and demo alerts' "$(spread "$dir/starts")" '≤ 300 ms'

begin idle
sleep 5
used=$(cpu "$daemon")
row 'daemon: CPU, all roles and simulator, demo alerts, nobody attached' "$used" '–'
row 'daemon: RSS after 15 s (peak)' "$(rss "$daemon") MiB ($(peak "$daemon"))" '≤ 60 MB'

if ! command -v script >/dev/null || ! script --help 2>/dev/null | grep -q -- --log-timing; then
	echo
	echo 'The console was not measured: script(1) with --log-timing is missing.'
	exit 0
fi

# console NAME ARGS...: starts the console on a terminal that answers nothing and has
# no keyboard, and sets $console to its process. When it has ended, NAME.timing has
# the delay and the bytes of each of its writes.
console() {
	name=$1
	shift
	rm -f "$dir/pid"
	printf 'stty rows 50 cols 200\necho $$ >"%s"\nexec "%s" %s\n' "$dir/pid" "$dir/${program:-spark-tui}" "$*" >"$dir/$name.sh"
	mkfifo "$dir/$name.keys"
	TERM=xterm-256color XDG_CONFIG_HOME="$dir" XDG_STATE_HOME="$dir" script -q -O "$dir/$name.out" \
		--log-timing "$dir/$name.timing" --logging-format classic -c "sh '$dir/$name.sh'" <"$dir/$name.keys" >/dev/null 2>&1 &
	terminal=$!
	exec 9>"$dir/$name.keys" # held open: the end of its input would end script
	until [ -s "$dir/pid" ]; do sleep 0.005; done
	console=$(cat "$dir/pid")
	started="$started $console"
}

# leave ends the console and waits for its terminal.
leave() {
	kill "$console"
	wait "$terminal" 2>/dev/null || true
	exec 9>&-
}

# first NAME: ms until the output passes 1,000 bytes. Setting up the terminal takes
# fewer; a frame of 50 lines takes more and is one write.
first() { awk '{ t += $1; n += $2 } n >= 1000 { printf "%d\n", t * 1000; exit }' "$dir/$1.timing"; }

# flow NAME: bytes a second from the 5th second on, over the span.
flow() { awk -v from=5 -v span="$span" '{ t += $1 } t >= from && t < from + span { n += $2 } END { printf "%.0f B/s", n / span }' "$dir/$1.timing"; }

observer=$(sed 's/.*"observer":"\([^"]*\)".*/\1/' "$dir/ready")
for case in live none; do
	what='daemon running, prices moving'
	[ "$case" = live ] || { observer=http://127.0.0.1:9 what='no daemon'; }
	i=0
	while [ "$i" -lt "$rounds" ]; do
		i=$((i + 1))
		console "$case$i" --url "$observer"
		sleep 1
		leave
		first "$case$i" >>"$dir/frames-$case"
	done
	row "console: start to first frame, $what" "$(spread "$dir/frames-$case")" 'p50 ≤ 50 ms'
	console "$case" --url "$observer"
	sleep 5
	used=$(cpu "$console")
	memory=$(rss "$console")
	sleep 1
	leave
	if [ "$case" = live ]; then limits='≤ 4 % ≤ 8 KB/s'; else limits='≤ 0.5 % ≤ 100 B/s'; fi
	row "console: CPU, $what" "$used" "${limits% ≤*}"
	row "console: bytes to the terminal, $what" "$(flow "$case")" "≤${limits##*≤}"
	row "console: RSS, $what" "$memory MiB" '≤ 40 MB'
done

# What of this is Bubble Tea: a program that shows one word.
program=bench
console floor
sleep 5
row 'Bubble Tea alone at 30 frames a second: CPU' "$(cpu "$console")" 'floor'
leave
