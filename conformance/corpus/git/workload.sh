#!/bin/bash
# WORKDIR: a day of a developer: commits, a branch, a merge, a clone, a push, housekeeping.
#
# "Licence 524" and "from the clone 509" make blobs in objects/17, which git looks into to guess whether a gc is due: left to
# the names of commits it would be there in one run of ten.
# Dates are today's: the object names differ in every run, as they do for every user.
set -euo pipefail
workdir=$1
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=$workdir/gitconfig
git() { /usr/bin/git "$@"; }

git config --global user.name 'A Developer'
git config --global user.email developer@example.org
git config --global init.defaultBranch main
git config --global gc.autoDetach false

git init -q "$workdir/project"
cd "$workdir/project"
cp -r "$workdir/material/." .
git add .
git commit -q -m 'First commit'
for n in 1 2 3; do
    printf 'change %s\n' "$n" >>src/file1.txt
    git commit -q -a -m "Change $n"
done

git switch -q -c feature
printf 'feature\n' >src/feature.txt
git add src/feature.txt
git commit -q -m 'A feature'
git switch -q main
printf 'more\n' >>README
git commit -q -a -m 'Say more'
git merge -q --no-edit feature
git tag -a v1 -m 'Version 1'
git stash list >/dev/null
git log --oneline --graph >"$workdir/log.txt"
git diff HEAD~2 --stat >"$workdir/diff.txt"

git clone -q --bare "$workdir/project" "$workdir/server.git"
git clone -q "file://$workdir/server.git" "$workdir/clone"
cd "$workdir/clone"
printf 'from the clone 509\n' >>README
git commit -q -a -m 'From the clone'
git push -q origin main

cd "$workdir/project"
git remote add origin "file://$workdir/server.git"
git pull -q --no-rebase origin main
git gc -q
git repack -q -a -d
git fsck --strict --no-progress
git status --short
