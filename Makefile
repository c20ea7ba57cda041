# Spark: build, run and check. `make` lists the targets.
GOLANGCI   := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GORELEASER := github.com/goreleaser/goreleaser/v2@v2.16.0
GOFUMPT    := mvdan.cc/gofumpt@v0.12.0

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BUILD    := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
FUZZTIME ?= 20s
OF       ?= 1
PART     ?= 0
ROUNDS   ?= 20
KINDS    ?=
LEASE    ?= 2s
ARGS     ?=

.DEFAULT_GOAL := help
.PHONY: help build run test rehearse race lint fmt bench load chaos budget fuzz mutants image up down deploytest snapshot clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z ]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build both programs into bin/
	@mkdir -p bin
	$(BUILD) -o bin/ ./daemon/cmd/spark-daemon ./tui/cmd/spark-tui

run: build ## a living system on the exchange simulator, and the console attached to it
	bin/spark-tui demo $(ARGS)

test: ## every test that this machine can run; says what was skipped and why
	@CGO_ENABLED=0 sh docs/bench/test.sh ./...

rehearse: ## every shipped scenario of 48 hours, 50 kills of one, a living daemon: three minutes
	@REHEARSE=1 CGO_ENABLED=0 sh docs/bench/test.sh -count=1 -run 'EveryScenario|AKillLosesNothing|ALivingDaemon' ./daemon/observe/rehearse ./daemon/cmd/spark-daemon

race: ## tests under the race detector (needs a C compiler); ARGS=-short for fewer rounds, OF and PART as for fuzz
	CGO_ENABLED=1 go test -race -shuffle=on $(ARGS) $$(go list ./... | awk '(NR + $(PART)) % $(OF) == 0')

lint: ## formatting, vet, golangci-lint and the repository's own rules
	@test -z "$$(gofmt -l core daemon tui runbooks)" || { echo "not formatted:"; gofmt -l core daemon tui runbooks; exit 1; }
	go vet ./...
	go run $(GOLANGCI) run -c docs/style/golangci.yml
	go test ./core/internal/repotest

fmt: ## format the sources
	go run $(GOFUMPT) -w core daemon tui runbooks

bench: ## benchmarks of the hot paths
	go test -run '^$$' -bench . -benchmem ./core/... ./daemon/... ./tui/...

budget: build ## sizes, start, memory and idle cost of both programs
	sh docs/bench/budget.sh

fuzz: ## every fuzz target, or each OF'th from PART on, for FUZZTIME (20s)
	@set -e; n=0; for f in $$(grep -rl --include='*_test.go' '^func Fuzz' core daemon tui | sort); do \
	  for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$f); do \
	    n=$$((n + 1)); [ $$((n % $(OF))) -eq $$(($(PART) % $(OF))) ] || continue; \
	    echo "== $$(dirname $$f) $$name"; \
	    go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x ./$$(dirname $$f); \
	  done; done

image: ## the daemon's container image SPARK_IMAGE (spark-daemon), on BASE_IMAGE (alpine)
	@sh daemon/deploy/stack.sh ready
	@mkdir -p bin/image
	GOOS=linux $(BUILD) -o bin/image/ ./daemon/cmd/spark-daemon
	@sh daemon/deploy/stack.sh image bin/image/spark-daemon

up: $(if $(SPARK_IMAGE),,image) ## a fleet in containers, of SPARK_IMAGE or a new image; ends when all are healthy
	@sh daemon/deploy/stack.sh up

down: ## stop and remove that fleet; ARGS=-v removes its data too
	@sh daemon/deploy/stack.sh down $(ARGS)

deploytest: ## that fleet under kill, cut and restart: needs Docker, takes three minutes
	@DEPLOYTEST=1 CGO_ENABLED=0 sh docs/bench/test.sh -count=1 ./daemon/deploy

chaos: ## fleets in trouble, ROUNDS (20) of each of KINDS (all) at LEASE (2s); needs redis-server
	@mkdir -p bin
	CGO_ENABLED=0 go build -o bin/chaos ./daemon/chaos
	bin/chaos --rounds $(ROUNDS) --kinds '$(KINDS)' --lease $(LEASE) $(ARGS)

mutants load: ## filled by later issues (streams, delivery)
	@echo "make $@: not in this version; the streams bring load, delivery mutants" >&2; exit 2

snapshot: ## release archives for every system, without releasing
	go run $(GORELEASER) release --snapshot --clean

clean: ## remove what was built
	rm -rf bin dist
