#!/bin/sh
# In the guest: $1 is the folder that run_ima.py prepared, $2 is quixote.
set -eu
prepared=$1 quixote=$2
ima=/sys/kernel/security/ima
tpm=/sys/class/tpm/tpm0
ok() { echo "ok  $1"; }
fail() { echo "FAILED: $1"; exit 1; }
[ -d "$tpm/pcr-sha256" ] || fail "the guest has no TPM"
# The kernel extends a padded SHA-1 into the banks whose hash it did not have when IMA started.
case $(uname -r) in 6.1.*) padded="--padded sha384 --padded sha512" ;; *) padded="" ;; esac
umask 022
# One directory that counts for nothing in the policy below.
mkdir -p /tmp/work && cd /tmp/work
cp -r "$prepared"/* . && chmod 644 references.jsonl

# The list since boot under the kernel's own policy tcb, both forms of it, and the TPM's PCRs of the same moment.
snapshot() { # name
    tries=0
    while :; do
        cat $ima/binary_runtime_measurements > "$1.binary"
        cat $ima/ascii_runtime_measurements > "$1.ascii"
        for bank in sha1 sha256 sha384 sha512; do echo "$bank:$(tr A-F a-f < $tpm/pcr-$bank/10)"; done > "$1.tpm"
        for pcr in $(seq 0 23); do
            printf 'PCR-%02d: %s\n' "$pcr" "$(sed 's/../& /g' $tpm/pcr-sha256/$pcr)"
        done > "$1.pcrs"
        for bank in sha1 sha256 sha384 sha512; do echo "$bank:$(tr A-F a-f < $tpm/pcr-$bank/10)"; done > after
        "$quixote" references ima predict-pcr $padded "$1.binary" > from-binary
        "$quixote" references ima predict-pcr $padded "$1.ascii" > from-ascii
        cmp -s "$1.tpm" after && cmp -s "$1.tpm" from-binary && cmp -s from-binary from-ascii && break
        tries=$((tries + 1)); [ $tries -lt 5 ] || { cat "$1.tpm" from-binary from-ascii; fail "PCR 10 is not what the list leads to"; }
    done
}

# 1. Some more of what the packages have, a module of the kernel's among it; then the list so far.
find /usr/lib/locale/C.utf8 -type f -exec cat {} + > /dev/null
modprobe dummy || fail "the module dummy cannot be loaded"
snapshot boot
ok "PCR 10 of the TPM is what both forms of the kernel's list lead to, in 4 banks ($(wc -l < boot.ascii) records)"
evmctl ima_measurement --ignore-violations --verify-bank=sha256 --pcrs sha256,boot.pcrs boot.binary > evmctl.out 2>&1 ||
    { cat evmctl.out boot.pcrs; fail "evmctl does not take the list that we take"; }
ok "evmctl agrees on the list since boot"
sed '1d;s/^\(.\{60\}\)./\1x/' boot.ascii > changed
! "$quixote" references ima predict-pcr changed > /dev/null 2>&1 || fail "a changed list was read"
ok "a changed list is refused"
# What the verifier on the host has to find: a program with one more octet, one that lies elsewhere, and one of nobody's.
printf 'x' >> /usr/bin/factor && factor 6 > /dev/null
cp /usr/bin/shuf /usr/local/bin/elsewhere && /usr/local/bin/elsewhere -n 1 < /dev/null
printf '#!/bin/sh\n:\n' > /usr/local/bin/nobodys && chmod 755 /usr/local/bin/nobodys && /usr/local/bin/nobodys
snapshot tampered
echo "snapshots: $(tar -cz boot.* tampered.* | base64 -w 0)"

# 2. Predicted before it is measured.
mount -t tmpfs tmpfs /opt
cp -r tree/* /opt/
chown -R 2001:2001 /opt/quixote-upgrade
"$quixote" references ima measurements --references references.jsonl --order order --pcr 11 -o expected
"$quixote" references ima predict-pcr $padded --pcr 11 expected > predicted

# 3. Signed, for appraisal.
printf 'appraised' > /opt/signed && printf 'appraised' > /opt/tampered && printf 'appraised' > /opt/unsigned
printf 'appraised' > /opt/by-evmctl
"$quixote" references ima sign --key key.pem /opt/signed /opt/tampered
evmctl ima_sign -a sha256 --key key.pem /opt/by-evmctl > /dev/null 2>&1
evmctl ima_verify --key cert.der /opt/signed > /dev/null 2>&1 || fail "evmctl does not take our signature"
ok "evmctl verifies our security.ima"
"$quixote" references ima sign --print --key key.pem /opt/signed | cut -d' ' -f1 > ours
evmctl ima_sign -n -a sha256 --key key.pem /opt/signed > theirs 2> /dev/null
grep -qxF "$(cat ours)" theirs || { cat ours theirs; fail "evmctl signs otherwise"; }
ok "evmctl makes the same signature, octet by octet"
printf 'tampered!' > /opt/tampered.new && cat /opt/tampered.new > /opt/tampered
chown 2002:2002 /opt/signed /opt/tampered /opt/unsigned /opt/by-evmctl
ring=$(keyctl newring _ima @u)
keyctl padd asymmetric "" "$ring" < cert.der > /dev/null

cat > policy <<'POLICY'
measure func=FILE_CHECK mask=MAY_READ fowner=2001 pcr=11
appraise func=FILE_CHECK mask=MAY_READ fowner=2002 appraise_type=imasig
POLICY
cat policy > $ima/policy
while read -r path; do cat "$path" > /dev/null; done < order
grep '^11 ' $ima/ascii_runtime_measurements > measured
cmp expected measured || { cat expected measured; fail "the measurements are not those that were expected"; }
ok "the measurements are those that were expected, octet by octet"
for bank in sha1 sha256 sha384 sha512; do echo "$bank:$(tr A-F a-f < $tpm/pcr-$bank/11)"; done > tpm
cmp predicted tpm || { cat predicted tpm; fail "PCR 11 is not what was predicted"; }
ok "PCR 11 of the TPM is what was predicted, in 4 banks"
values=$(sed 's/^/--pcr-value /' tpm)
# shellcheck disable=SC2086
"$quixote" references ima verify-list --references references.jsonl --pcr 11 $padded $values measured > checked ||
    { cat checked; fail "a list of vouched files does not verify"; }
ok "the list verifies against the references and the TPM, in 4 banks: $(cat checked)"
# shellcheck disable=SC2086
if [ -n "$padded" ]; then
    ! "$quixote" references ima verify-list --references references.jsonl --pcr 11 $values measured > checked ||
        fail "a padded bank passes unasked"
    grep -q -- "--padded sha512" checked || { cat checked; fail "the padded bank is not explained"; }
    ok "a padded bank does not pass unasked, and is explained"
fi
printf 'x' >> /opt/quixote-upgrade/name
cat /opt/quixote-upgrade/name > /dev/null
grep '^11 ' $ima/ascii_runtime_measurements > measured
! "$quixote" references ima verify-list --references references.jsonl --pcr 11 measured > checked ||
    fail "a changed file passes"
grep -q "/opt/quixote-upgrade/name .*another content at this path" checked || { cat checked; fail "the changed file is not named"; }
ok "a changed file is named"

cat /opt/signed > /dev/null || fail "the signed file is refused"
cat /opt/by-evmctl > /dev/null || fail "the file that evmctl signed is refused"
ok "appraisal takes what we signed"
! cat /opt/tampered > /dev/null 2>&1 || fail "the tampered file is read"
! cat /opt/unsigned > /dev/null 2>&1 || fail "the unsigned file is read"
ok "appraisal refuses the tampered and the unsigned file"
