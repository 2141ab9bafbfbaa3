FUZZTIME ?= 1m

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
check: ## Formatting, vet, staticcheck and the checksums of modules
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt wants to change: $$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go mod verify

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (1m)
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s $$package || exit 1; \
		done; \
	done

.PHONY: crash
crash: ## Damaged files, backups and crashes, in full: about ten minutes
	go test -timeout 20m -run 'TestRot$$' ./store -args -mutants 12000
	go test -timeout 20m -run 'TestBackup$$' ./store -args -backups 200

.PHONY: bench
bench: ## Compare with a bare handler and with NGINX's own basic auth; import 1,000,000 users
	go run ./bench
	go test -run '^$$' -bench Import -benchtime 1x -timeout 30m .
