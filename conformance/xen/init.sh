#!/bin/busybox sh
# The control domain: xenstored, xenconsoled, xl; then the agent as a PVH domain, and the suite over its console.
/bin/busybox --install -s /bin
export PATH=/bin LD_LIBRARY_PATH=/lib HOME=/tmp
export QUIXOTE_STATE_DIR=/tmp/state QUIXOTE_RUNTIME_DIR=/tmp/run QUIXOTE_TRUST_DIR=/tmp/trust
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
for module in xen-evtchn xen-privcmd xenfs xen-gntdev xen-gntalloc; do insmod "/modules/$module.ko"; done
mount -t xenfs xenfs /proc/xen
xenstored --pid-file /run/xenstored.pid
until xenstore-ls / >/dev/null 2>&1; do sleep 1; done
xen-init-dom0
xenconsoled
xl info | grep -E '^(xen_version|virt_caps)'
xl create /agent.cfg
until line=$(xenstore-read /local/domain/1/console/tty 2>/dev/null) && [ -n "$line" ]; do sleep 1; done
echo "agent: console $line"
quixote provision --tma "serial:$line" && agent-conformance --tma "serial:$line" && echo "suite: holds"
xl list
echo "control domain: done"
poweroff -f
