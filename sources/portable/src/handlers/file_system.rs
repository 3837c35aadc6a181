//! Calls on names, attributes and mounts, and who handles them.
//!
//! `open_by_handle_at` has no handler: a file handle names an object without a path, so there is
//! nothing to walk and nothing that the caller's root would bound.

use super::attributes;
use super::extended;
use super::mounts;
use super::names;
use super::rename;
use crate::call::Call;
use crate::call::Handled;
use crate::filter_table::FCHMODAT2;
use crate::filter_table::OPEN_TREE_ATTR;
use crate::filter_table::REMOVEXATTRAT;
use crate::filter_table::SETXATTRAT;

/// `None` for calls of other families.
pub(crate) fn handle(call: &Call) -> Option<Handled> {
    let handler: fn(&Call) -> Handled = match i64::from(call.notification.number) {
        libc::SYS_mkdirat => names::mkdirat,
        libc::SYS_mknodat => names::mknodat,
        libc::SYS_symlinkat => names::symlinkat,
        libc::SYS_linkat => names::linkat,
        libc::SYS_unlinkat => names::unlinkat,
        libc::SYS_renameat => rename::renameat,
        libc::SYS_renameat2 => rename::renameat2,
        libc::SYS_umask => names::umask,
        libc::SYS_fchmod => attributes::fchmod,
        libc::SYS_fchmodat => attributes::fchmodat,
        FCHMODAT2 => attributes::fchmodat2,
        libc::SYS_fchown => attributes::fchown,
        libc::SYS_fchownat => attributes::fchownat,
        libc::SYS_truncate => attributes::truncate,
        libc::SYS_ftruncate => attributes::ftruncate,
        libc::SYS_utimensat => attributes::utimensat,
        libc::SYS_setxattr => extended::setxattr,
        libc::SYS_lsetxattr => extended::lsetxattr,
        libc::SYS_fsetxattr => extended::fsetxattr,
        SETXATTRAT => extended::setxattrat,
        libc::SYS_removexattr => extended::removexattr,
        libc::SYS_lremovexattr => extended::lremovexattr,
        libc::SYS_fremovexattr => extended::fremovexattr,
        REMOVEXATTRAT => extended::removexattrat,
        libc::SYS_mount => mounts::mount,
        libc::SYS_umount2 => mounts::umount,
        libc::SYS_move_mount => mounts::move_mount,
        libc::SYS_chroot => mounts::chroot,
        libc::SYS_pivot_root => mounts::pivot_root,
        libc::SYS_open_tree
        | OPEN_TREE_ATTR
        | libc::SYS_fsopen
        | libc::SYS_fsconfig
        | libc::SYS_fsmount
        | libc::SYS_fspick
        | libc::SYS_mount_setattr => mounts::new_interface,
        number => return legacy(number).map(|handler| handler(call)),
    };
    Some(handler(call))
}

/// Calls that newer architectures do without.
#[cfg(target_arch = "x86_64")]
fn legacy(number: i64) -> Option<fn(&Call) -> Handled> {
    Some(match number {
        libc::SYS_mkdir => names::mkdir,
        libc::SYS_mknod => names::mknod,
        libc::SYS_symlink => names::symlink,
        libc::SYS_link => names::link,
        libc::SYS_unlink => names::unlink,
        libc::SYS_rmdir => names::rmdir,
        libc::SYS_rename => rename::rename,
        libc::SYS_chmod => attributes::chmod,
        libc::SYS_chown => attributes::chown,
        libc::SYS_lchown => attributes::lchown,
        libc::SYS_utime => attributes::utime,
        libc::SYS_utimes => attributes::utimes,
        libc::SYS_futimesat => attributes::futimesat,
        _ => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn legacy(_: i64) -> Option<fn(&Call) -> Handled> {
    None
}
