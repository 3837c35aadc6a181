#!/bin/sh
# run_kernel_opened.py among the scripts of kernel_together.sh.
set -eu
program=${1-}
. conformance/kernel_here.sh
cd "$OLDPWD"
/usr/bin/python3 conformance/run_kernel_opened.py --quixote "$quixote"
