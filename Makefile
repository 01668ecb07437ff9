# Every target installs what it needs, uv too, and nothing outside of this directory.
UV := .tools/bin/uv
COPIER := $(UV) tool run --quiet --from 'copier>=9.15' copier
export UV_CACHE_DIR ?= $(CURDIR)/.tools/cache/uv
export PIP_CACHE_DIR ?= $(CURDIR)/.tools/cache/pip
export UV_PYTHON_DOWNLOADS ?= never
export PATH := $(CURDIR)/.tools/bin:$(PATH)
unexport VIRTUAL_ENV

FAULTS := $(addprefix tests/test_,faults.py durability.py bad_input.py safe_defaults.py)
DELIVERY := tests/test_fleet.py

.PHONY: demo smoke test test-faults test-delivery format pictures benchmark-generation release

# Renders the template with its default answers and serves the result until Ctrl-C.
demo: .demo
	cd .demo && exec ../$(UV) run --quiet dev

# The same, but asks the service something and ends.
smoke: .demo
	cd .demo && ../$(UV) run --quiet python ../scripts/smoke.py

test: $(UV)
	$(UV) run --quiet pytest -n 2 --dist loadgroup $(addprefix --ignore=,$(FAULTS) $(DELIVERY))

# What a rendered service answers when its clients and PostgreSQL fail it.
test-faults: $(UV)
	$(UV) run --quiet pytest -n 2 --dist loadfile $(FAULTS)

# What it takes to run a service, and what a release and a lost machine cost. Needs the
# right to install Debian packages where these programs are not there.
test-delivery: $(UV)
	PATH="$$PATH:/usr/sbin"; command -v haproxy && command -v pgbouncer || \
	    { apt-get update && apt-get install --yes --no-install-recommends haproxy pgbouncer; }
	$(UV) run --quiet pytest -n 2 --dist loadgroup $(DELIVERY)

format: $(UV)
	$(UV) run ruff check --fix
	$(UV) run ruff format

pictures: $(UV)
	$(UV) run --quiet python scripts/pictures.py

release: $(UV)
	$(UV) run --quiet python scripts/release.py

benchmark-generation: $(UV)
	$(UV) run --quiet python benchmarks/generation.py

.PHONY: .demo
.demo: $(UV)
	rm -rf .demo
	$(COPIER) copy --defaults --quiet --vcs-ref HEAD "$(CURDIR)" .demo

$(UV):
	python3 -m pip install --quiet --disable-pip-version-check --target .tools 'uv>=0.12'
