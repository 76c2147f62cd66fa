# Every target sets itself up: the first one that needs Python makes .venv from requirements.lock, the next ones find it.
# Tools are started as `python -m …`, so that the folder may be moved and its path may hold spaces.

PYTHON := .venv/bin/python
READY  := .venv/.ready
UV     := $(PYTHON) -m uv
ARGS   ?=

# What a shell may have set for another project must not leak into this one.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.PHONY: help demo start test check format lock docs chromium azurite scanner clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z]+:.*##' Makefile | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'
	@echo
	@echo '  Extra arguments: make demo ARGS=--interactive'

demo: $(READY) ## one whole chain on real input: request, experiments, report, approval, deployment, re-evaluation
	@exec $(PYTHON) -m genaiops demo $(ARGS)

start: $(READY) ## the functions, the dashboard and the endpoints on this machine, until Ctrl-C
	@exec $(PYTHON) -m genaiops start $(ARGS)

# -n auto: one worker a core, at most four: flows start processes of their own. loadgroup: tests that share a server stay together.
test: check chromium azurite scanner ## style, types, then the whole suite
	$(PYTHON) -m pytest -n auto --maxprocesses 4 --dist loadgroup $(ARGS)

check: $(READY) ## style and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format: $(READY) ## put the code into house style
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

# Pins stay as they are unless UPGRADE=1 is given. requirements.txt is what the function app needs of the same pins;
# the two in SERVING are what an image of a served flow needs, without and with prompt flow.
COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url
SERVING := shared/adapters/serving/requirements
lock: $(READY) ## pin every dependency: requirements.lock, and the others from it (UPGRADE=1 takes newer versions)
	$(UV) $(COMPILE) pyproject.toml --group dev $(if $(UPGRADE),--upgrade) --custom-compile-command 'make lock' -o requirements.lock
	@rm -f requirements.txt
	$(UV) $(COMPILE) pyproject.toml --constraint requirements.lock -o requirements.txt \
	  --custom-compile-command "make lock  (the runtime's part of requirements.lock: the Functions remote build installs it)"
	@rm -f $(SERVING).txt $(SERVING)-promptflow.txt
	for part in $(SERVING) $(SERVING)-promptflow; do \
	  $(UV) $(COMPILE) $$part.in --constraint requirements.lock -o $$part.txt \
	    --custom-compile-command "make lock  (the part of requirements.lock that images of served flows install)" || exit 1; \
	done
	$(UV) $(COMPILE) $(SCANNER).in $(if $(UPGRADE),--upgrade) --custom-compile-command 'make lock' -o $(SCANNER).lock

docs: $(READY) ## regenerate the pages that are made from the code
	$(PYTHON) -m genaiops docs

chromium: ## install Chromium for the browser tests where apt-get can (as root), else say that they will not run
	@for name in "$$GENAIOPS_CHROMIUM" chromium chromium-browser google-chrome google-chrome-stable; do \
	  if [ -n "$$name" ] && command -v "$$name" >/dev/null 2>&1; then exit 0; fi; \
	done; \
	if [ -x '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome' ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  echo 'Installing Chromium for the browser tests'; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
	    chromium fonts-dejavu-core >/dev/null && exit 0; \
	fi; \
	echo 'No Chromium: the browser tests will not run. Install it, or name it in GENAIOPS_CHROMIUM.' >&2

# The lock that was installed is kept beside the packages: where it is this one, there is nothing to do.
AZURITE := tests/servers/azurite
azurite: ## install the blob service for the tests from npm, else say that its tests will not run
	@if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then \
	  echo 'No Node.js: the tests of the blob adapter will not run. Install it (Debian: apt-get install nodejs npm).' >&2; \
	elif ! cmp -s $(AZURITE)/package-lock.json $(AZURITE)/node_modules/.installed.json; then \
	  echo 'Installing Azurite for the tests of the blob adapter'; \
	  (cd $(AZURITE) && npm ci --loglevel error --no-progress) && cp $(AZURITE)/package-lock.json $(AZURITE)/node_modules/.installed.json \
	    || { echo 'Azurite could not be installed: the tests of the blob adapter will not run.' >&2; rm -rf $(AZURITE)/node_modules; }; \
	fi

SCANNER := tests/infra/scanner
SCANNED_BY := .venv-scan
# In an environment of its own: what it pins is not what the product needs.
scanner: $(READY) ## install the security scanner of infra/, else say that its test will fail
	@if ! cmp -s $(SCANNER).lock $(SCANNED_BY)/.installed.lock; then \
	  echo 'Installing the security scanner of infra/'; \
	  rm -rf $(SCANNED_BY) && $(PYTHON) -m venv --without-pip $(SCANNED_BY) && UV_SYSTEM_CERTS=1 $(UV) pip sync --quiet --require-hashes \
	    --python $(SCANNED_BY)/bin/python $${PIP_INDEX_URL:+--default-index "$$PIP_INDEX_URL"} $(SCANNER).lock \
	    && cp $(SCANNER).lock $(SCANNED_BY)/.installed.lock \
	    || { echo 'The scanner could not be installed: tests/infra/test_security_scan.py will fail.' >&2; rm -rf $(SCANNED_BY); }; \
	fi

clean: ## remove .venv and caches; what chains have left in .genaiops stays
	rm -rf .venv $(SCANNED_BY) $(AZURITE)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A Python counts only if it runs, is 3.11 or 3.12 and can make environments: shims and Debian's bare python3 may not.
# The cache falls back into .venv where the home directory cannot be written to. pip is the way out where uv cannot reach
# the package index (it does not read pip's configuration).
$(READY): requirements.lock
	@for candidate in "$$GENAIOPS_PYTHON" python3.11 python3.12 python3; do \
	  [ -n "$$candidate" ] && "$$candidate" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	    2>/dev/null && found=$$candidate && break; \
	done; \
	if [ -z "$$found" ]; then \
	  echo 'Python 3.11 or 3.12 with the venv module is needed and was not found.' >&2; \
	  echo 'Debian, Ubuntu: apt-get install python3.11 python3.11-venv. Or name one: make GENAIOPS_PYTHON=/path/to/python3.11' >&2; \
	  exit 1; \
	fi; \
	set -e; \
	if ! .venv/bin/python -c 'import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then \
	  echo "Making .venv with $$found"; rm -rf .venv; "$$found" -m venv .venv; \
	fi; \
	cache=$${XDG_CACHE_HOME:-$${HOME:+$$HOME/.cache}}; \
	if [ -z "$$cache" ] || ! mkdir -p "$$cache" 2>/dev/null || ! [ -w "$$cache" ]; then \
	  export UV_CACHE_DIR="$$PWD/.venv/.cache" PIP_NO_CACHE_DIR=1; \
	fi; \
	uv=$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock); \
	echo "Installing $$(grep -c '^[a-z].*==' requirements.lock) packages from requirements.lock with $$uv"; \
	export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore UV_SYSTEM_CERTS=1; \
	[ "$$($(UV) --version 2>/dev/null | cut -d ' ' -f 2)" = "$${uv#uv==}" ] || $(PYTHON) -m pip install --quiet "$$uv"; \
	$(UV) pip sync --quiet --compile-bytecode --require-hashes --python $(PYTHON) $${PIP_INDEX_URL:+--default-index "$$PIP_INDEX_URL"} requirements.lock \
	  || { echo 'uv could not install the packages; trying pip' >&2; \
	       $(PYTHON) -m pip install --quiet --require-hashes -r requirements.lock; }; \
	touch $(READY)
