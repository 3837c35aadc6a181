#!/bin/bash
# WORKDIR: what was built works.
set -euo pipefail
workdir=$1
cd "$workdir"/bzip2-*

grep -q "If you got this far" "$workdir/test.log"
[ "$(./bzip2 -9 -c <sample1.ref | ./bzip2 -d -c | sha256sum)" = "$(sha256sum <sample1.ref)" ]
[ "$(ar t libbz2.a | wc -l)" = 7 ]
echo 'ok gcc'
