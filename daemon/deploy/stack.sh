#!/bin/sh
# What make image, up and down do with Docker:
#   stack.sh ready          is there an engine?
#   stack.sh image BINARY   the image SPARK_IMAGE around a Linux binary
#   stack.sh up             start the fleet, wait until all of it is healthy
#   stack.sh down [OPTION]… stop and remove it; -v removes its data too
# Run at the top of the repository. Exit status: 0 done, 1 failed, 2 Docker is missing.
set -eu
here=daemon/deploy
export COMPOSE_PROJECT_NAME="${COMPOSE_PROJECT_NAME:-spark}"
fleet="spark-redis executor-1 executor-2 web-next-1 spark-observer"

missing() {
	echo "packaging: $1" >&2
	exit 2
}

compose() {
	if docker compose version >/dev/null 2>&1; then
		docker compose -f $here/compose.yaml "$@"
	else
		docker-compose -f $here/compose.yaml "$@"
	fi
}

health() {
	state=$(docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' "$1" 2>/dev/null) || state=missing
	echo "$state"
}

# unhealthy prints the members that are not healthy, each with its state.
unhealthy() {
	for name in $fleet; do
		state=$(health "$name")
		[ "$state" = healthy ] || printf ' %s:%s' "$name" "$state"
	done
}

# complain says of each of these members what its healthcheck and its log said last.
complain() {
	for member in $1; do
		name=${member%%:*}
		echo "-- $member" >&2
		docker inspect -f '{{if .State.Health}}{{range .State.Health.Log}}{{.Output}}{{end}}{{end}}' "$name" 2>/dev/null | sed '/^$/d' | tail -n 1 >&2 || true
		docker logs --tail 5 "$name" >&2 || true
	done
}

port() { docker port "$1" | sed -n '1s/.*-> //p'; }

up() {
	# What was started stays, so that an operator can look at it.
	compose up -d --remove-orphans || {
		complain "$(unhealthy)"
		exit 1
	}
	began=$(date +%s)
	while left=$(unhealthy) && [ -n "$left" ]; do
		if [ $(($(date +%s) - began)) -ge "${UP_SEC:-180}" ]; then
			complain "$left"
			echo "make up: not healthy after ${UP_SEC:-180} s:$left" >&2
			exit 1
		fi
		sleep 1
	done
	cat <<END

all healthy: $fleet
  executors  http://$(port executor-1)/health  http://$(port executor-2)/health
  gateway    http://$(port web-next-1)/api/marketdata/candles?symbol=BTCUSDT
  observer   http://$(port spark-observer)/api/fleet
  console    SPARK_URL=http://$(port spark-observer) bin/spark-tui
  leader     docker logs executor-1 | grep "became leader"
  stop       make down (keeps the data; ARGS=-v removes it)
END
}

verb=${1:-}
[ $# -eq 0 ] || shift
case $verb in
ready | image | up | down) ;;
*)
	echo "usage: stack.sh ready | image BINARY | up | down [OPTION]" >&2
	exit 2
	;;
esac
command -v docker >/dev/null || missing "needs Docker: there is no docker command here"
docker version >/dev/null 2>&1 || missing "the Docker Engine does not answer: docker version says why"
if [ "$verb" = up ] || [ "$verb" = down ]; then
	docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null ||
		missing "needs Compose: neither \"docker compose\" nor docker-compose is here"
fi
case $verb in
image)
	# The context is what the image holds, not the repository.
	tar -cf - "$1" $here/Dockerfile $here/redis-cli |
		docker build -t "${SPARK_IMAGE:-spark-daemon}" -f $here/Dockerfile \
			${BASE_IMAGE:+--build-arg BASE_IMAGE="$BASE_IMAGE"} --build-arg BINARY="$1" -
	;;
up) up ;;
down) compose down --remove-orphans "$@" ;;
esac
