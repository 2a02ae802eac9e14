# Tutti needs Go, git and make. What else a target uses, its help line says.

SHELL = /bin/sh
GO ?= go
export CGO_ENABLED ?= 0

ARGS ?=
FUZZTIME ?= 10s
BENCH ?= .
PKG ?= ./...
TESTFLAGS ?=
SEEDS ?= 100000
SIMFROM ?= 1
TORTURE ?= 10m
VERSION ?=

# The commit is stamped into the binary where git can tell it: git refuses in another user's checkout.
VCS = $$(git rev-parse HEAD >/dev/null 2>&1 && echo auto || echo false)

.PHONY: help build tofu tfprovider example run test race fuzz bench check static fmt vet lint arch tidy generated acceptance sim torture golden ui ui-types ui-test ui-check ui-shots clean deps

help: ## this list
	@echo 'Targets (make TARGET [VARIABLE=value]):'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' Makefile

build: ## bin/tutti: one static binary
	@$(GO) build -trimpath -buildvcs=$(VCS) -ldflags='-s -w' -o bin/tutti ./cmd/tutti

run: build ## build, then show the main job end to end (ARGS=--once ends with the outcome)
	@bin/tutti demo $(ARGS)

test: bin/gotest ## go test PKG=./...; says what was skipped, and why
	@tools/programs test
	@bin/gotest $(TESTFLAGS) $(PKG)

race: bin/gotest ## the same under the race detector (needs a C compiler)
	@command -v "$$($(GO) env CC)" >/dev/null || { echo 'make race needs a C compiler: apt-get install gcc' >&2; exit 1; }
	@CGO_ENABLED=1 bin/gotest -race $(TESTFLAGS) $(PKG)

fuzz: ## every Fuzz function, FUZZTIME=10s each
	@tools/fuzz $(FUZZTIME) $(PKG)

bench: build ## tutti bench (ARGS=--workload=chain10), then every benchmark (BENCH=regexp, PKG=./...)
	@bin/tutti bench $(ARGS)
	@$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(PKG)

check: static test ## what CI checks of every change: all of static, then test

static: fmt vet lint arch tidy generated ## gofmt, vet, linters, architecture, go.mod, generated files

fmt:
	@bad=$$(gofmt -l $$($(GO) list -f '{{.Dir}}/*.go' ./...)); \
	[ -z "$$bad" ] || { echo "not formatted (gofmt -w mends it):"; echo "$$bad"; exit 1; }

vet:
	@$(GO) vet ./...

# The linters have a module file of their own, so that none of what they need is in go.mod.
lint:
	@$(GO) tool -modfile=tools/lint.mod staticcheck ./...
	@$(GO) tool -modfile=tools/lint.mod errcheck -ignoretests -exclude tools/errcheck.txt ./...

arch:
	@$(GO) test -count=1 ./internal/arch

tidy:
	@$(GO) mod tidy -diff || { echo 'go.mod or go.sum is not tidy (go mod tidy mends it)'; exit 1; }

generated:
	@tools/generated

# What the Terraform tests and the example run, built once from modules of their own into the cache of the
# user: OpenTofu, which takes minutes, and our small provider, laid out as a mirror of a registry.
TOOLS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tutti-tools
PROVIDER = $(TOOLS)/providers/tutti.example/demo/vcenter/0.1.0/$(shell $(GO) env GOOS)_$(shell $(GO) env GOARCH)

tfprovider:
	@mkdir -p $(PROVIDER)
	@cd tools/tfprovider && nice $(GO) build -trimpath -buildvcs=false -ldflags='-s -w' -o $(PROVIDER)/terraform-provider-vcenter_v0.1.0 .

tofu: tfprovider ## OpenTofu and the provider for the Terraform tests and example, into ~/.cache/tutti-tools
	@[ -x $(TOOLS)/tofu-1.12.6 ] || (cd tools/tofu && nice $(GO) build -trimpath -buildvcs=false -ldflags='-s -w' -o $(TOOLS)/tofu-1.12.6 github.com/opentofu/opentofu/cmd/tofu)
	@ln -sf tofu-1.12.6 $(TOOLS)/tofu

example: tfprovider ## examples/vm-terraform-ansible, whole: order, approve, build, configure, survive two kills, take back
	@command -v terraform >/dev/null || $(MAKE) --no-print-directory tofu
	@nice $(GO) test -count=1 -v -timeout 15m ./examples/vm-terraform-ansible

acceptance: build ## specs/acceptance/*.sh against the binary
	@tools/acceptance

# The web UI is built with Node, which nothing else needs: web/dist is committed.
web/node_modules: web/package-lock.json
	@cd web && npm ci --silent && touch node_modules

ui: web/node_modules ## web/dist, anew from web/src (needs Node 20)
	@cd web && npm run --silent build

ui-types: web/node_modules ## web/src/api: TypeScript types from the OpenAPI document
	@mkdir -p bin
	@$(GO) run ./cmd/openapi > bin/openapi.json
	@$(GO) run ./cmd/openapi -roles > web/src/api/roles.ts
	@$(GO) run ./cmd/openapi -kinds > web/src/api/kinds.json
	@cd web && npx openapi-typescript ../bin/openapi.json -o src/api/schema.ts >/dev/null

ui-test: web/node_modules ## the tests of the web UI that need no browser
	@cd web && npm test --silent

ui-check: ## whether the web UI's types and its build are current
	@tools/uicheck

ui-shots: ## pictures of every page of the web UI, in web/shots (needs Chromium)
	@mkdir -p web/shots
	@TUTTI_SHOTS=$(CURDIR)/web/shots $(GO) test -count=1 -run TestPages ./web/browsertest
	@echo 'The pictures are in web/shots.'

sim: ## SEEDS=100000 histories of faults, simulated (SIMFROM=1 is the first seed)
	@$(GO) test -count=1 -timeout 6h -run '^TestSim$$' -v ./internal/workflow -args -sim.seeds $(SEEDS) -sim.from $(SIMFROM)

torture: ## kill, stop and starve a real server for TORTURE=10m each, on SQLite and PostgreSQL
	@$(GO) test -count=1 -timeout 6h -run '^TestTorture' -v ./specs -args -torture.for $(TORTURE)

golden: ## keep a store of a release as test data for all later ones (VERSION=0.2.0)
	@[ -n '$(VERSION)' ] || { echo 'make golden VERSION=0.2.0' >&2; exit 2; }
	@$(GO) test -count=1 -run '^TestGolden$$' -v ./specs -args -golden.make v$(VERSION)

clean: ## remove what make made
	rm -rf bin

deps: ## optional programs: which are here, and what uses them
	@tools/programs

# Rebuilt whenever asked for: go build knows best whether there is anything to do.
.PHONY: bin/gotest
bin/gotest:
	@$(GO) build -buildvcs=false -o $@ ./tools/gotest
