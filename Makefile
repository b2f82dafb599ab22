# make demo         two ISO-TP sockets, a long message, every CAN frame explained (needs Python 3.11, nothing else)
# make demo-kernel  the same on the kernel's ISO-TP, in a VM where this kernel has none
# make test         all tests, those against a real kernel included
# make test-kernels those against a real kernel on other kernels, one after the other (SUITES="trixie sid")
# make soak         messages over all kinds of sockets with faults, each accounted for (MINUTES=20)
# make coverage     which lines and branches the tests run that need no kernel with ISO-TP
# make lint         ruff (with the rules of bandit), mypy, and known vulnerabilities of the packages in constraints.txt
# make bench        how fast it is: ratios against others, targets, and what got worse (ONLY="growth bus_limit")
# make fuzz         random input for all that reads what others wrote (MINUTES=5)
# make docs         redraw what is drawn from tables and runs, and build the documentation site into build/docs
# make clean        remove what the others made
PYTHON ?= python3
VENV := .venv
# What the benchmarks compare with: each in a folder of its own, and can-isotp has the same import name as this package
CONTENDERS := $(patsubst benchmarks/%.txt,$(VENV)/contenders/%/ready,$(wildcard benchmarks/*.txt))
KERNEL_RUN := tools/kernel-run
SUITES ?= bookworm bookworm-backports trixie sid experimental

# Before all that needs it: a sentence, not a traceback.
CHECK_PYTHON = @$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	{ echo "make: $(PYTHON) is missing or older than 3.11; name another one: make PYTHON=python3.12 ..." >&2; exit 1; }

.PHONY: demo demo-kernel test test-kernels soak coverage lint bench fuzz docs clean
.DEFAULT_GOAL := demo

demo:
	$(CHECK_PYTHON)
	@PYTHONPATH=src PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m isotp demo

demo-kernel:
	$(CHECK_PYTHON)
	@$(KERNEL_RUN) -- env PYTHONPATH=src PYTHONDONTWRITEBYTECODE=1 $$(command -v $(PYTHON)) -m isotp demo

$(VENV)/ready: pyproject.toml constraints.txt tools/venv
	$(CHECK_PYTHON)
	@tools/venv $(PYTHON) $(VENV)

test: $(VENV)/ready
	@$(VENV)/bin/python tools/test

test-kernels: $(VENV)/ready
	@$(VENV)/bin/python tools/test $(SUITES)

soak: $(VENV)/ready
	$(VENV)/bin/python -m tools.soak $(or $(MINUTES),20)
	$(KERNEL_RUN) --vm --cpus 1 --timeout 100000 -- $(VENV)/bin/python -m tools.soak $(or $(MINUTES),20) --interface vcan0

coverage: $(VENV)/ready
	$(VENV)/bin/coverage run -m pytest -q -m "not kernel and not vm"
	$(VENV)/bin/coverage report

lint: $(VENV)/ready
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy -p tools.soak
	$(VENV)/bin/mypy -p tools.site
	$(VENV)/bin/mypy --scripts-are-modules tools/test
	$(VENV)/bin/mypy --scripts-are-modules tools/kernel-run
	$(VENV)/bin/mypy --scripts-are-modules tools/draw
	$(VENV)/bin/mypy --scripts-are-modules tools/audit
	@$(VENV)/bin/python tools/audit

$(VENV)/contenders/%/ready: benchmarks/%.txt $(VENV)/ready
	@rm -rf $(@D)
	@$(VENV)/bin/python -m pip --quiet --disable-pip-version-check install --no-deps --target $(@D) -r $<
	@touch $@

bench: $(VENV)/ready $(CONTENDERS)
	@$(VENV)/bin/python benchmarks/run.py $(ONLY)

fuzz: $(VENV)/ready
	@$(VENV)/bin/python -m tests.fuzz --minutes $(or $(MINUTES),5)

docs: $(VENV)/ready
	@$(VENV)/bin/python tools/draw
	@$(VENV)/bin/python -m tools.site.made
	@$(VENV)/bin/python -m sphinx -q -E -W --keep-going -n -b html docs build/docs
	@$(VENV)/bin/python -m tools.site.links build/docs
	@echo "build/docs/index.html"

clean:
	rm -rf docs/_made $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	find . -name __pycache__ -not -path './.git/*' -exec rm -rf {} +
