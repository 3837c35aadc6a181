# $1: virtiofsd, $2: an empty folder, $3: the socket. In a mount namespace of its own.
set -e
mount --rbind / "$2"
# A read-only root is not enough: each mount below has its own mind.
findmnt --noheadings --raw --output TARGET --submounts --target "$2" | while read -r target; do
    target=$(printf '%b' "$target")
    case $target in
    "$2"/proc | "$2"/proc/* | "$2"/sys/* | "$2"/dev/*) ;;
    *) mount -o remount,bind,ro "$target" ;;
    esac
done
exec "$1" --socket-path="$3" -f -o source="$2" -o cache=auto -o sandbox=chroot -o xattr \
    -o log_level=warn
