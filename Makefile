# The two commands of the README, and shorthands for daily work. As root they install missing Debian packages and then
# run as an ordinary user; as an ordinary user they say which packages are missing.
#
#   make demo              a Debian sandbox from nothing: bootstrap, install a package, run it
#   make demo IMAGE=FILE   ... the same from an image file or a directory
#   make test              everything, through tox
#   make test ENVS=unit    some tox environments (comma-separated)
#   make test-lockdown     real packages on every node that forbids something: 10 minutes
#   make test-kernels      inside Debian's kernels 5.10, 6.1 and 6.12, in virtual machines: an hour
#   make test-kills        commands, killed at 300 random moments; make test does it at 60
#   make test-clients      workflow systems as they are published, with our drop-ins for apptainer and udocker
#   make engines           the native helpers, into udockpy/libexec
#   make clean             remove what was built

IMAGE ?=
ENVS ?=

demo:
	@scripts/need build $(if $(IMAGE),,demo)
	@scripts/as-user scripts/demo "$(IMAGE)"

test:
	@scripts/need build test
	@scripts/as-user scripts/test "$(ENVS)"

test-lockdown:
	@scripts/need build test
	@scripts/as-user scripts/test lockdown

test-kernels:
	@scripts/need build test kernels
	@scripts/as-user scripts/test kernels

test-kills:
	@scripts/need build test
	@scripts/as-user scripts/test kills

test-clients:
	@scripts/need build test
	@scripts/as-user scripts/test clients

engines:
	$(MAKE) -C engines install

clean:
	rm -rf build dist docs/_build .tox .demo udockpy/libexec *.egg-info

.PHONY: demo test test-lockdown test-kernels test-kills test-clients engines clean
