# The same few commands on a laptop and in CI. `make` alone lists them.
PYTHON ?= python3
PIP_INSTALL = .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes
UV_COMPILE = uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header
# Most stages import the same tests: what one has compiled the next need not, whatever is set here.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help run demo picture install test test-faults test-abuse test-rollout test-aimock \
	test-billing test-generators test-browsers test-identity test-voice test-clients load soak check \
	image bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/runtime ## start the server with the embedded Valkey on port 3000
	@exec .venv/bin/python -m server --embedded

demo: .venv/runtime ## start all of it without any account: server, doubles, and the page of docs/example
	@exec .venv/bin/python -m tests.demo

picture: .venv/runtime ## draw docs/example.png: the page of the demo, in Chromium
	.venv/bin/python -m tests.demo.picture

install: .venv/development ## make .venv with all that run, test, check and bench need

test: .venv/development ## run the tests; those of the next nine commands are not among them
	.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-faults: .venv/development ## kill, stop and cut everything: it goes on, and the money is right
	EXAMPLES=$${EXAMPLES:-100} .venv/bin/python -m pytest tests/faults tests/metering/test_model.py \
		-n 2 --dist loadfile

test-abuse: .venv/development ## attack a server beside fifty honest users, who must not notice
	.venv/bin/python -m pytest tests/abuse

test-rollout: .venv/development ## replace two servers behind HAProxy under load (needs haproxy)
	.venv/bin/python -m pytest tests/load tests/rollout

test-aimock: .venv/development ## the official SDKs, and the gateway in front of an independent double
	.venv/bin/python -m pytest tests/gateway/clients tests/aimock -n 2 --dist loadfile

test-billing: .venv/development ## buy plans and packs at doubles of Stripe, ours and another's
	.venv/bin/python -m pytest tests/billing tests/shop tests/shop_elsewhere -n 2 --dist loadfile

test-generators: .venv/development ## lint the API's document, generate requests and clients of it
	.venv/bin/python -m pytest tests/generators

test-browsers: .venv/development ## npm's SDKs and /client.js, signing in and buying, in Chromium and Firefox (needs both)
	.venv/bin/python -m pytest tests/browsers

test-identity: .venv/development ## attack sign-ins, many at once while workers die, at others' doubles
	.venv/bin/python -m pytest tests/login_providers tests/sign_in_races tests/sign_in_elsewhere \
		-n 2 --dist loadfile

test-voice: .venv/development ## voice: sessions, calls billed by time, others' clients, every ending (needs Chromium)
	.venv/bin/python -m pytest tests/voice tests/timed tests/voice_clients tests/voice_endings -n 2 --dist loadfile

test-clients: .venv/development ## what apps ask with today: SDKs, frameworks, Claude Code, Codex
	.venv/bin/python -m pytest tests/clients -n 2 --dist worksteal -o faulthandler_timeout=600

load: .venv/development ## load a server with locust for a minute, check the sums, write build/load.html
	.venv/bin/python -m tests.load

soak: .venv/development ## 20 minutes of mixed load; memory and descriptors must not grow
	.venv/bin/python -m tests.soak

check: .venv/development ## lint: ruff, mypy, luacheck, hadolint, manifests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python -m tests.lint_lua
	.venv/bin/hadolint Dockerfile
	.venv/bin/python -m tests.k8s.lint_manifests

image: .venv/development ## build the container image, run it and check it (buildah, debootstrap, root)
	.venv/bin/python -m tests.image

bench: .venv/development ## what charges and provider calls cost, against bare Sanic and Koa
	.venv/bin/python -m tests.bench

lock: ## pin the dependencies of pyproject.toml anew (needs uv)
	$(UV_COMPILE) --extra dev pyproject.toml -o requirements-dev.lock
	$(UV_COMPILE) -c requirements-dev.lock pyproject.toml -o requirements.lock

clean: ## remove .venv and everything that was generated, but not data/
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/runtime: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	@echo "Installing into .venv: half a minute, once"
	@$(PYTHON) -m venv .venv
	@$(PIP_INSTALL) -r requirements.lock
	@touch $@

.venv/development: requirements-dev.lock .venv/runtime
	@echo "Installing what tests and checks need: one or two minutes, once"
	@$(PIP_INSTALL) -r requirements-dev.lock
	@touch $@
