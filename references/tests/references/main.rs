//! Packages as the real tools make and sign them, read through the isolated parser.
//!
//! Needs `rpm` and `gnupg` of Debian (`cargo xtask setup` installs them).

mod deb;
mod fixture;
mod images;
mod keyless;
mod mutations;
mod older_rpms;
mod others;
mod pacman;
mod private_sigstore;
mod referrers;
mod rpm;
mod signed_files;
