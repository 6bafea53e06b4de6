# `make help` says what there is. Every target sets up what it needs.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
READY := .venv/.installed
SETS := api tracing client lambda flows spark mlflow infra dev bootstrap
LOCK := $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --no-annotate

# Without compiled files every command would compile hundreds of modules again.
unexport PYTHONDONTWRITEBYTECODE
# Nothing is told to anybody outside.
export CDK_DISABLE_CLI_TELEMETRY := true

.PHONY: help setup demo test faults outage alarms replay check format up down rollback bench benchfiles synth policy preflight cost rehearse images spark deploy destroy docs panels lock upgrade clean

# The command-line tool and the library read each other's files only within one major version.
CDK := npx --yes aws-cdk@2.1147.0
ENV ?= dev
STACKS ?= *
APPROVAL ?= broadening
# Images are named after the commit that they were built from.
TAG ?= $(shell git rev-parse --verify --quiet HEAD)
CONTEXT = -c env=$(ENV) -c tag=$(TAG) $(if $(IMAGES),-c images=$(IMAGES)) $(if $(PROFILE),-c profile=$(PROFILE)) $(if $(GITHUB),-c github=$(GITHUB)) $(if $(DOMAIN)$(CERTIFICATE),-c domain=$(DOMAIN) -c certificate=$(CERTIFICATE))

help: ## say what there is
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "Variables, all optional:"
	@echo "  PROPENSITY_DATA_DIR        folder with the public data files; without it they are fetched or drawn"
	@echo "  PROPENSITY_HOME            state folder (.propensity)"
	@echo "  PROPENSITY_API_PORT        port of the scoring service; likewise PROPENSITY_PREFECT_PORT, PROPENSITY_MLFLOW_PORT"
	@echo "  PROPENSITY_DATABASE_URL    a Postgres of your own, with PROPENSITY_OWNER_URL and PROPENSITY_MLFLOW_URL"
	@echo "  CAMPAIGN                   the campaign of the demo (term-deposit), and of a rollback"
	@echo "  ENV, TAG, IMAGES, PROFILE  of AWS: environment (dev), version of the images (this commit), versions of some, profile"
	@echo "  DOMAIN, CERTIFICATE        of AWS: a domain and its certificate in ACM, for TLS between the services"
	@echo "  PYTHON                     the Python (3.11 or newer) to make .venv with"

setup: $(READY) ## make .venv with every locked package

$(READY): requirements/dev.txt requirements/bootstrap.txt pyproject.toml local/link.py local/setup.sh
	@local/setup.sh

demo: $(READY) ## the main job from nothing to a scored, logged and monitored list
	@$(BIN)/python -m local.demo

test: $(READY) ## every test: most side by side on every core, then alone those that take the whole machine
	@failed=0; \
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not alone" || failed=1; \
	$(BIN)/python -m pytest -m alone || failed=1; \
	exit $$failed

faults: $(READY) ## every promise of the scoring service under real faults, in a quarter of an hour: make faults ONLY="R1 R6"
	@$(BIN)/python -m faults $(ONLY)

alarms: $(READY) ## how often alarms are false at every number of rows, and what they find, beside fixed bands
	@$(BIN)/python -m monitoring.simulate $(if $(RUNS),--runs $(RUNS))

outage: $(READY) ## Prefect is killed across due times of a real schedule: how many runs then do the work; a quarter of an hour
	@$(BIN)/python -m local.outage

replay: $(READY) ## the real history day by day: what each policy would have earned: make replay ONLY="default everyone"
	@$(BIN)/python -m replay $(ONLY)

check: $(READY) ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

up: $(READY) ## start the local platform and keep it running; a new one is filled with a replayed year: make up YEAR=no leaves it empty
	@$(BIN)/python -m local.up $(if $(YEAR),--year "$(YEAR)")

down: $(READY) ## stop what `make up` started
	@$(BIN)/python -m local.down

rollback: $(READY) ## put the previous model back: make rollback CAMPAIGN=term-deposit
	@test -n "$(CAMPAIGN)" || { echo "rollback: name the campaign, as in make rollback CAMPAIGN=term-deposit" >&2; exit 2; }
	@$(BIN)/propensity rollback "$(CAMPAIGN)"

bench: $(READY) ## speed against peers, as ratios in one run: make bench QUICK=1 takes minutes
	@QUICK=$(QUICK) $(BIN)/python -m benchmarks

benchfiles: $(READY) ## speed of scoring files: make benchfiles ROWS=3000000 SPARK=1
	@$(BIN)/python -m benchmarks.files --rows $(or $(ROWS),1000000) $(if $(SPARK),--spark)

synth: $(READY) ## make the AWS templates into build/cdk: make synth ENV=dev TAG=... PROFILE=lean
	$(CDK) synth --quiet $(CONTEXT)

policy: $(READY) ## checkov and cfn-lint over the templates; what is accepted has its reason: make policy ENV=prod
	@$(BIN)/python -m infra.policy --env $(ENV) $(if $(PROFILE),--profile $(PROFILE))

rehearse: $(READY) ## deploy, use, update and destroy every stack against an emulator of AWS, in about five minutes
	@$(BIN)/python -m rehearse

preflight: $(READY) ## say what would stop a deployment, before anything is created: make preflight ENV=dev TAG=...
	@$(BIN)/python -m infra.preflight "$(ENV)" --tag "$(TAG)" --images "$(IMAGES)" --profile "$(PROFILE)" $(if $(filter Registry,$(STACKS)),--without-images)

cost: $(READY) ## what a month costs, offline, from the templates: make cost ENV=prod PROFILE=lean USAGE="rows=1e6 requests=5e4"
	@$(BIN)/python -m infra.cost --env "$(ENV)" --profile "$(PROFILE)" $(foreach one,$(USAGE),--usage "$(one)")

images: ## build the images and push them, once the repositories are there: make images ENV=dev TAG=...
	@images/push.sh "$(ENV)" "$(TAG)"

spark: $(READY) ## build the package of jobs on Spark and upload it, once the data lake is there: make spark ENV=dev TAG=...
	@images/spark.sh "$(ENV)" "$(TAG)"

deploy: $(READY) $(if $(CHECKED),,preflight) ## deploy to AWS: make deploy ENV=dev TAG=..., first of all with STACKS=Registry
	$(CDK) deploy --require-approval $(APPROVAL) --concurrency 4 --outputs-file build/outputs-$(ENV).json $(CONTEXT) 'propensity-$(ENV)/$(STACKS)'

destroy: $(READY) ## delete the stacks of an environment; prod keeps its data and refuses: make destroy ENV=dev
	$(CDK) destroy $(CONTEXT) 'propensity-$(ENV)/$(STACKS)'

docs: $(READY) ## generate the documents that are derived from the code, Grafana's dashboards among them
	@$(BIN)/python -m local.docs
	@$(BIN)/python -m monitoring.dashboards

panels: $(READY) ## write Grafana's dashboards and alert rules from the panel definitions
	@$(BIN)/python -m monitoring.dashboards

lock: $(READY) ## pin every dependency again, keeping the versions pinned now
	$(LOCK) --extra dev --extra bootstrap --output-file requirements/constraints.txt
	set -e; for set in $(SETS); do \
		$(LOCK) --generate-hashes --extra $$set --constraint requirements/constraints.txt --output-file requirements/$$set.txt; \
	done

upgrade: ## pin the newest versions that fit together
	@$(MAKE) lock LOCK="$(LOCK) --upgrade"

clean: ## remove caches and reports; .venv and the state folder stay
	rm -rf build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
