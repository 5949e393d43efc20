# Everything needs Python 3.11+ and make only. State is var/, the environment is .venv/.
SHELL := /bin/sh
PORT ?= 8000
# SANDBOX=1 runs a simulated Marketing Cloud beside the portal, connected to it.
SANDBOX ?=
# Tests run beside each other, one worker for each core; WORKERS=0 runs them in one process.
WORKERS ?= auto
ARGS ?=
BIN := .venv/bin
PRODUCT := $(wildcard audit tokens portal manage.py)
ALL := $(wildcard audit tokens portal tests bench manage.py)
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate
# The locks are complete, and one library asks for another by a name that no longer installs: hence --no-deps.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes

# Tests start some 250 processes: without bytecode beside the source each would compile the project again (0.5 s of CPU).
unexport PYTHONDONTWRITEBYTECODE

# Settings as an operator would give them; where the databases are said to be, nothing answers.
AS_IN_PRODUCTION := DATABASE_URL=postgresql://app@127.0.0.1:1/portal DATABASE_OWNER_URL=postgresql://owner@127.0.0.1:1/portal \
	CELERY_BROKER_URL=redis://broker.example CACHE_URL=redis://cache.example/1 ALLOWED_HOSTS=tokens.example \
	SECRET_KEY=0123456789abcdefghijklmnopqrstuvwxyz-0123456789-for-checks \
	FIELD_ENCRYPTION_KEY=Zm9yIGNoZWNraW5nIHNldHRpbmdzIG9ubHksIDMyISE= PORTAL_STATE_DIR=$(CURDIR)/var/check

# The name of a stamp holds a checksum of its lock, so only a changed lock is installed again.
checksum = $(shell cksum < $(1) | tr -s ' \t' '-')
RUN_STAMP := .venv/.installed-run-$(call checksum,requirements.txt)
TEST_STAMP := .venv/.installed-test-$(call checksum,tests/requirements.txt)

.PHONY: run test check bench lock shots install install-test node-libraries
.NOTPARALLEL:

run: $(RUN_STAMP)
	@exec $(BIN)/python manage.py run_portal --port $(PORT) $(if $(filter-out 0 no false,$(SANDBOX)),--sandbox)

test: $(TEST_STAMP)
	@$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

check: $(TEST_STAMP)
	@$(BIN)/ruff check $(ALL)
	@$(BIN)/ruff format --check $(ALL)
	@$(BIN)/mypy $(PRODUCT)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -W "ignore:Got an error checking" manage.py makemigrations --check --dry-run --verbosity 0
	@env $(AS_IN_PRODUCTION) $(BIN)/python -W error manage.py check --deploy --fail-level WARNING
	@$(MAKE) --no-print-directory lock-in-step

bench: $(TEST_STAMP)
	@$(BIN)/python -m bench $(ARGS)

# Screenshots of the pages, for the README and for reviews.
shots: $(TEST_STAMP)
	@$(BIN)/python -m tests.browser.shots $(ARGS)

# Versions stay as they are locked; `make lock ARGS=--upgrade` takes new ones.
lock: $(TEST_STAMP)
	@$(UV_COMPILE) $(ARGS) pyproject.toml -o requirements.txt
	@$(UV_COMPILE) $(ARGS) --group dev -c requirements.txt pyproject.toml -o tests/requirements.txt

.PHONY: lock-in-step
lock-in-step:
	@mkdir -p var/lock-check/tests && cp requirements.txt var/lock-check/ && cp tests/requirements.txt var/lock-check/tests/
	@$(UV_COMPILE) pyproject.toml -o var/lock-check/requirements.txt
	@$(UV_COMPILE) --group dev -c requirements.txt pyproject.toml -o var/lock-check/tests/requirements.txt
	@cmp -s requirements.txt var/lock-check/requirements.txt \
		&& cmp -s tests/requirements.txt var/lock-check/tests/requirements.txt \
		|| { echo "The lock does not follow from pyproject.toml: run 'make lock' and commit the result." >&2; exit 1; }

# Libraries of others that drive the simulator of Marketing Cloud: locked, with checksums, none of their scripts run.
NODE_LIBRARIES := var/node-libraries
node-libraries:
	@if ! cmp -s tests/portal/simulator/node/package-lock.json $(NODE_LIBRARIES)/installed-package-lock.json; then \
		rm -rf $(NODE_LIBRARIES) && mkdir -p $(NODE_LIBRARIES) && cp tests/portal/simulator/node/*.json $(NODE_LIBRARIES)/ \
		&& npm ci --prefix $(NODE_LIBRARIES) --ignore-scripts --no-audit --no-fund --fetch-retries=5 --loglevel=error \
		&& cp tests/portal/simulator/node/package-lock.json $(NODE_LIBRARIES)/installed-package-lock.json; fi

install: $(RUN_STAMP)
install-test: $(TEST_STAMP)

$(RUN_STAMP): | $(BIN)/python
	@echo "Installing requirements.txt into .venv (a minute, the first time) ..."
	@$(PIP_INSTALL) -r requirements.txt
	@rm -f .venv/.installed-run-* && touch $@

$(TEST_STAMP): | $(BIN)/python
	@echo "Installing tests/requirements.txt into .venv (a minute or two, the first time) ..."
	@$(PIP_INSTALL) -r tests/requirements.txt
	@rm -f .venv/.installed-test-* && touch $@

# PYTHON= chooses the interpreter; otherwise the first on PATH that is new enough.
$(BIN)/python:
	@python=$$(for name in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done); \
	if [ -z "$$python" ]; then \
		echo "Python 3.11 or newer is needed and none was found: install it, or say PYTHON=/path/to/python3." >&2; exit 2; fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "$$python lacks the module venv: install it (Debian and Ubuntu: the package python3-venv)." >&2; exit 2; fi; \
	"$$python" -m venv .venv
