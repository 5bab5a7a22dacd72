# What can be typed here; `make` alone lists it. Each tool's settings are in pyproject.toml.

.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
LOCAL := $(PYTHON) -m clinicx.local

# Any Python that can start: clinicx/local/virtualenv.py looks for a fitting one, or says what to install.
ANY_PYTHON = $(firstword $(foreach name,python3 python3.12 python3.11 python3.13 python3.14,$(shell command -v $(name))) python3)

.venv/installed: requirements.txt
	@$(ANY_PYTHON) clinicx/local/virtualenv.py

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: .venv/installed ## Start ClinicX with its servers; Ctrl-C stops them (PORT=8000)
	@$(LOCAL) run

.PHONY: worker
worker: .venv/installed ## Do background tasks, beside a 'make run'; Ctrl-C stops it
	@$(LOCAL) worker

.PHONY: up
up: .venv/installed ## The same in the background
	@$(LOCAL) up

.PHONY: down
down: .venv/installed ## Stop everything, the tests' servers too
	@$(LOCAL) down

.PHONY: logs
logs: .venv/installed ## Follow what the web server says
	@$(LOCAL) logs

.PHONY: status
status: .venv/installed ## Show what runs, where, with how much memory
	@$(LOCAL) status

.PHONY: health
health: .venv/installed ## Ask the web server how it is, PostgreSQL, Redis and every clinic (ARGS=--json)
	@$(LOCAL) health $(ARGS)

.PHONY: health-continuous
health-continuous: .venv/installed ## The same, again and again; Ctrl-C ends it
	@$(LOCAL) health --watch $(ARGS)

.PHONY: shell
shell: .venv/installed ## Open psql, with CLINIC=elm as that clinic
	@$(LOCAL) shell $(CLINIC)

.PHONY: migrate
migrate: .venv/installed ## Bring every schema up to date
	@$(LOCAL) manage migrate_schemas $(ARGS)

.PHONY: migrate-results
migrate-results: .venv/installed ## Bring every clinic's schema up to date, and leave public as it is
	@$(LOCAL) manage migrate_schemas --tenant $(ARGS)

.PHONY: seed
seed: .venv/installed ## Make the demo clinics, and what is missing in them
	@$(LOCAL) manage prepare_local

.PHONY: reset
reset: .venv/installed ## Delete the local data, after asking (ARGS=--yes does not ask)
	@$(LOCAL) reset $(ARGS)

.PHONY: test
test: .venv/installed ## Run the tests (ARGS='-k words')
	@$(PYTHON) -m pytest $(ARGS)

.PHONY: leaks
leaks: .venv/installed ## Try to get from one clinic to another, every way there is (ARGS='-k words')
	@$(PYTHON) -m pytest --leak-kit -q -n 2 --dist loadscope $(ARGS)

.PHONY: image
image: .venv/installed ## Build the image that pods run (BASE_IMAGE=... for a base of your own)
	@BASE_IMAGE=$(BASE_IMAGE) $(LOCAL) image

.PHONY: bench
bench: .venv/installed ## Measure tenancy beside plain Django and django-tenants (ONLY=switch, requests, metrics, memory, crash or fleet)
	@$(PYTHON) -m tests.benchmarks $(ONLY) $(if $(ROUNDS),--rounds=$(ROUNDS)) $(ARGS)

.PHONY: load-test
load-test: .venv/installed ## Let people work at many clinics, beside a 'make up' (USERS=20 DURATION=30 CLINICS=20)
	@$(PYTHON) -m tests.load $(if $(USERS),--users=$(USERS)) $(if $(DURATION),--seconds=$(DURATION)) $(if $(CLINICS),--clinics=$(CLINICS)) $(ARGS)

.PHONY: k8s-check
k8s-check: .venv/installed ## Build every overlay of k8s/ and check it (kubectl must be there)
	@$(PYTHON) -m tests.k8s
	@$(PYTHON) -m pytest tests/k8s -q $(ARGS)

.PHONY: check
check: lint types test leaks ## Everything CI runs, k8s-check with the tests

.PHONY: fmt
fmt: .venv/installed ## Put the code in order
	@$(PYTHON) -m ruff check --fix-only --quiet . && $(PYTHON) -m ruff format .

.PHONY: lint
lint: .venv/installed ## Style, and which way imports point
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check .
	@$(PYTHON) -m djlint --check --lint --quiet apps
	@$(PYTHON) .venv/bin/lint-imports

.PHONY: types
types: .venv/installed ## Types
	@$(PYTHON) -m mypy
