# Every target installs what it needs, uv too, and nothing outside of this directory but
# the Debian packages of test-delivery and benchmark. Only pictures wants Chromium there.
UV := .tools/bin/uv
COPIER := $(UV) tool run --quiet --from 'copier>=9.15' copier
export UV_CACHE_DIR ?= $(CURDIR)/.tools/cache/uv
export PIP_CACHE_DIR ?= $(CURDIR)/.tools/cache/pip
export npm_config_cache ?= $(CURDIR)/.tools/cache/npm
export UV_PYTHON_DOWNLOADS ?= never
export PATH := $(CURDIR)/.tools/bin:$(PATH)
unexport VIRTUAL_ENV

PROGRAMS := buildah podman mmdebstrap crun catatonit haproxy pgbouncer wrk

.PHONY: demo smoke test test-faults test-delivery format openapi pictures
.PHONY: benchmark benchmark-generation benchmark-routing release wrk

# Renders the template with its default answers and serves the result until Ctrl-C.
demo: .demo
	cd .demo && exec ../$(UV) run --quiet dev

# The same, but asks the service something and ends.
smoke: .demo
	cd .demo && ../$(UV) run --quiet python ../scripts/smoke.py

test: $(UV)
	$(UV) run --quiet pytest -n 2 --dist worksteal tests/copy tests/update tests/service

# What a rendered service answers when its clients and PostgreSQL fail it.
test-faults: $(UV)
	$(UV) run --quiet pytest -n 2 --dist loadfile tests/faults

# Builds the rendered Dockerfile and runs the image, without Docker or a registry; and runs
# a fleet. Needs the right to install Debian packages where these programs are not there.
test-delivery: $(UV)
	dpkg --status $(PROGRAMS) > /dev/null 2>&1 || { apt-get update -qq && \
	    apt-get install -qq -y --no-install-recommends $(PROGRAMS); }
	$(UV) run --quiet pytest -n 2 --dist loadfile tests/delivery

format: $(UV)
	$(UV) run ruff check --fix
	$(UV) run ruff format

# What a project's openapi.json starts as, when its routes or FastAPI changed.
openapi: $(UV)
	$(UV) run --quiet python scripts/openapi.py

pictures: $(UV)
	$(UV) run --quiet python scripts/pictures.py

release: $(UV)
	$(UV) run --quiet python scripts/release.py

# The service against its limit and the plain design, a quarter of an hour long.
benchmark: $(UV) wrk
	$(UV) run --quiet --group benchmark python -m benchmarks.service \
		--tests --plot docs/images/benchmark.svg

benchmark-generation: $(UV)
	$(UV) run --quiet python benchmarks/generation.py

# What a service's number of features costs a request.
benchmark-routing: .demo
	cd .demo && ../$(UV) run --quiet python ../benchmarks/routing.py

.PHONY: .demo
.demo: $(UV)
	rm -rf .demo
	$(COPIER) copy --defaults --quiet --vcs-ref HEAD "$(CURDIR)" .demo

$(UV):
	python3 -m pip install --quiet --disable-pip-version-check --target .tools 'uv>=0.12'

# The one program that does not come with Python.
wrk:
	@command -v wrk > /dev/null || apt-get install --yes --no-install-recommends wrk || { \
		echo "wrk, which sends the requests of the benchmark, is missing: install it." >&2; \
		exit 1; }
