FUZZTIME ?= 1m
SAMPLES ?= 5000
COST ?= 10
COUNT ?= 6
CHECKS = 10000000
CRASH = -full
SCHEDULES = 1000000
MUTANTS = 12000
BACKUPS = 200
RESULTS = bench/results
VERSION ?= $(shell git describe --tags --always --dirty)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the static binary ./sidekey
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -o sidekey .

.PHONY: run
run: build ## Build, and serve with sidecar.toml until interrupted
	./sidekey serve -config sidecar.toml

.PHONY: release
release: ## Build dist/ for all platforms, twice to compare them, with checksums and an SBOM
	go run ./release -again -version "$(VERSION)" -to dist

.PHONY: test
test: ## Install the tools that the tests need, and run all tests
	.ci/tools
	go test -race ./...
	go test -run Alloc ./... # without -race, which allocates memory itself

.PHONY: check
check: ## Check formatting, vet, staticcheck, module checksums and known vulnerabilities
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt wants to change: $$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go mod verify
	@.ci/vulncheck

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (1m)
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s $$package || exit 1; \
		done; \
	done

.PHONY: crash
crash: crash-broken ## Run all crash tests: about an hour (docs/reliability.md)
	go test -count=1 -timeout 3h -v ./e2e/crash $(CRASH)
	go test -count=1 -timeout 3h -v -run TestQuotaAnySchedule ./limiter -args -rapid.checks=$(SCHEDULES)
	go test -count=1 -timeout 20m -run 'TestRot$$' ./store/bolt -args -mutants $(MUTANTS)
	go test -count=1 -timeout 20m -run 'TestBackup$$' ./store/bolt -args -backups $(BACKUPS)

# Each fault of a broken build, and the test that must fail because of it.
FAULTS = nosync:TestPowerCut nofirstsync:TestPowerCut nodirsync:TestPowerCut nofilesync:TestPowerCut \
	norenamesync:TestPowerCut ackfirst:TestKillAtEveryCall ackfirst:TestLinearizable \
	quotalate:TestQuotaOverKills nochecksum:TestFlippedBit

.PHONY: crash-broken
crash-broken: ## Show that the crash tests fail on builds that break a promise
	@go vet -tags broken ./store/... ./internal/... ./limiter ./e2e/crash
	@for fault in $(FAULTS); do \
		name=$${fault%%:*} test=$${fault##*:}; \
		out=$$(SIDEKEY_BROKEN=$$name go test -count=1 -timeout 10m -tags broken -run "^$$test\$$" ./e2e/crash 2>&1); \
		if echo "$$out" | grep -q "^--- FAIL: $$test " && echo "$$out" | grep -Eq 'LOST|OVER|SERVED WRONG|no order of'; then \
			echo "$$name: $$test fails, as it should"; \
		else \
			echo "$$name: $$test must fail and does not:"; echo "$$out"; exit 1; \
		fi; \
	done

.PHONY: bench
bench: ## Compare with a bare handler, NGINX's own basic auth and bbolt; import 1,000,000 users. ROWS, BENCH: its flags
	@mkdir -p $(RESULTS)
	go run ./bench -rows '$(ROWS)' -json $(RESULTS)/bench.json $(BENCH)
	@if grep -q '"users/' $(RESULTS)/bench.json; then go run ./bench -plot $(RESULTS)/bench.json >$(RESULTS)/users.svg; fi
	@if test -z '$(ROWS)'; then go test -run '^$$' -bench Import -benchtime 1x -timeout 30m ./e2e/load; fi

.PHONY: timing
timing: ## Measure what response times reveal about users: SAMPLES (5000) per class, bcrypt COST (10). TIMING: its flags
	go run ./bench/timing -samples $(SAMPLES) -cost $(COST) $(TIMING)

.PHONY: flood
flood: ## Measure how 5,000 wrong passwords a second, from few and from many networks, affect users. FLOOD: its flags
	go run ./bench/flood -procs 2 $(FLOOD)

.PHONY: soak
soak: ## Run ten million CHECKS of many users on few connections: no user must be taken for another
	go test -run TestT07PipelinedUsers -timeout 1h ./check/http -soak $(CHECKS)

.PHONY: bench-compare
bench-compare: ## Compare the Go benchmarks of checks with those of the commit REF, COUNT (6) times
	@test -n "$(REF)" || { echo "missing REF: make bench-compare REF=main"; exit 2; }
	COUNT=$(COUNT) bench/compare $(REF)
