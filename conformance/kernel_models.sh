#!/bin/sh
# What a model decides in the kernel, on the kernel that runs: `cargo xtask vm -- sh conformance/kernel_models.sh`.
#
# The scripts one after another; the programs are loaded once, which takes long where everything is emulated.
set -eu
for script in kernel_rules kernel_replace kernel_names; do
	KEEP_LOADED=yes sh conformance/$script.sh "$@"
done
sh conformance/kernel_agent.sh "$@"
