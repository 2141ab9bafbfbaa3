FUZZTIME ?= 1m
SAMPLES ?= 5000
COST ?= 10

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the static binary ./sidekey
	CGO_ENABLED=0 go build -trimpath -o sidekey .

.PHONY: run
run: build ## Build, and serve with sidecar.toml until interrupted
	./sidekey serve -config sidecar.toml

.PHONY: test
test: ## Install what the tests need, and run all of them
	.ci/tools
	go test -race ./...
	go test -run Alloc ./... # not built with -race, which allocates itself

.PHONY: check
check: ## Formatting, vet, staticcheck, checksums of modules, known vulnerabilities
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

.PHONY: bench
bench: ## Compare with a bare handler and with NGINX's own basic auth
	go run ./bench

.PHONY: timing
timing: ## What the time of a refusal tells: SAMPLES (5000) of each class, bcrypt COST (10)
	go run ./bench/timing -samples $(SAMPLES) -cost $(COST)

.PHONY: soak
soak: ## Ten million checks of many users on few connections: nobody is taken for another
	go test -run TestT07PipelinedUsers -timeout 1h ./check -soak 10000000
