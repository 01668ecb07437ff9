# Every target installs what it needs, including uv. Nothing is installed outside this
# directory, except for Debian packages by test-delivery and benchmark. The target pictures
# requires Chromium, which you must install yourself.
UV := .tools/bin/uv
COPIER := $(UV) tool run --quiet --from 'copier>=9.15' copier
export UV_CACHE_DIR ?= $(CURDIR)/.tools/cache/uv
export PIP_CACHE_DIR ?= $(CURDIR)/.tools/cache/pip
export npm_config_cache ?= $(CURDIR)/.tools/cache/npm
export UV_PYTHON_DOWNLOADS ?= never
# Behind a proxy that inspects TLS, one variable is enough: uv has it from the environment.
ifdef SSL_CERT_FILE
export PIP_CERT ?= $(SSL_CERT_FILE)
endif
export PATH := $(CURDIR)/.tools/bin:$(PATH)
unexport VIRTUAL_ENV

PORT ?= 8000
EXPLAIN = { echo "A download failed. Behind a proxy that inspects TLS, set SSL_CERT_FILE \
	to the CA certificate of the proxy, and try again." >&2; exit 1; }
PROGRAMS := buildah podman mmdebstrap crun catatonit haproxy pgbouncer wrk rsync chromium \
	prometheus

.PHONY: demo smoke test test-faults test-delivery format openapi pictures
.PHONY: benchmark benchmark-authentication benchmark-generation benchmark-growth release wrk

# Renders the template with its default answers and serves the result until Ctrl-C. For
# another port: make demo PORT=8001
demo: .demo
	cd .demo && exec ../$(UV) run --quiet dev --port $(PORT)

# Renders the template, starts the service, sends it a few requests, and stops it.
smoke: .demo
	cd .demo && ../$(UV) run --quiet python ../scripts/smoke.py

# A third process uses the cores while the others wait for programs. The shortest tests are
# the last ones, so that no process waits long for another at the end.
test: $(UV)
	$(UV) run --quiet pytest -n 3 --dist worksteal --durations=10 tests/update tests/service tests/copy

# Tests how a rendered service handles failures of its clients and of PostgreSQL.
test-faults: $(UV)
	$(UV) run --quiet pytest -n 2 --dist loadfile --durations=10 tests/faults

# Builds and runs the image without Docker or a registry, and runs a fleet of services. If
# these programs are missing, it needs permission to install Debian packages. A third process
# works while the others wait for a fleet.
test-delivery: $(UV)
	dpkg --status $(PROGRAMS) > /dev/null 2>&1 || { apt-get update -qq && \
	    apt-get install -qq -y --no-install-recommends $(PROGRAMS); }
	$(UV) run --quiet pytest -n 3 --durations=10 tests/delivery

format: $(UV)
	$(UV) run ruff check --fix
	$(UV) run ruff format

# Updates the openapi.json of new services after a change to their routes or to FastAPI.
openapi: $(UV)
	$(UV) run --quiet python scripts/openapi.py

pictures: $(UV)
	$(UV) run --quiet python scripts/pictures.py

release: $(UV)
	$(UV) run --quiet python scripts/release.py

# Compares the service with a plain design and with its limit, in about fifteen minutes.
benchmark: $(UV) wrk
	$(UV) run --quiet --group benchmark python -m benchmarks.service \
		--tests --plot docs/images/benchmark.svg

benchmark-generation: $(UV)
	$(UV) run --quiet python benchmarks/generation.py

# Measures services with 1, 50 and 200 features, in about ten minutes.
benchmark-growth: $(UV)
	$(UV) run --quiet python -m benchmarks.growth

# Measures what an access token adds to the time of a request.
benchmark-authentication: ANSWERS := --data auth=oidc
benchmark-authentication: .demo
	cd .demo && ../$(UV) run --quiet python ../benchmarks/authentication.py

.PHONY: .demo
.demo: $(UV)
	rm -rf .demo
	$(COPIER) --version > /dev/null || $(EXPLAIN)
	$(COPIER) copy --defaults --quiet $(ANSWERS) --vcs-ref HEAD "$(CURDIR)" .demo
	cd .demo && ../$(UV) sync --quiet || $(EXPLAIN)

$(UV):
	python3 -m pip install --quiet --disable-pip-version-check --target .tools 'uv>=0.12' \
		|| $(EXPLAIN)

# The only program that is not available as a Python package.
wrk:
	@command -v wrk > /dev/null || apt-get install --yes --no-install-recommends wrk || { \
		echo "The benchmark needs wrk, which is not installed. Install it and try again." >&2; \
		exit 1; }
