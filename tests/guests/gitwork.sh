#!/bin/bash
# Commits two hundred files, pushes them to a local repository, clones that, and checks it.
set -eu
export GIT_CONFIG_COUNT=2
export GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0=nobody
export GIT_CONFIG_KEY_1=user.email GIT_CONFIG_VALUE_1=nobody@example.org
cd "$(mktemp -d)"
git init -q --bare hub.git
git clone -q hub.git one 2>/dev/null
cd one
for number in $(seq 200); do
	echo "$number" >"file$number"
done
git add .
git commit -qm first
git push -q origin HEAD
git clone -q "file://$PWD/../hub.git" ../two
cd ../two
find . -name 'file*' | wc -l
git status --short | wc -l
git log --format=%s
git gc -q
git fsck --strict 2>/dev/null && echo clean
