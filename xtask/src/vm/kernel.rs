//! Debian's kernels, fetched as packages and kept in the user's cache.
//!
//! Nothing is installed: a package is unpacked into a folder of its own. All checkouts share the
//! cache, so a folder appears there complete or not at all.

use super::image;
use super::initramfs;
use crate::process;
use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How long a kernel of the cache is taken without asking for a newer one.
const FRESH: Duration = Duration::from_secs(7 * 24 * 3600);
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(300);
const UNPACK_LIMIT: Duration = Duration::from_secs(180);

/// A series of kernels that Debian 12 packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Series {
    /// Debian 12's own: the floor.
    #[value(name = "6.1")]
    Floor,
    /// Debian 13's own, packaged for Debian 12 as well.
    #[value(name = "6.12")]
    Current,
}

impl Series {
    fn prefix(self) -> &'static str {
        match self {
            Self::Floor => "linux-image-6.1.",
            Self::Current => "linux-image-6.12.",
        }
    }

    fn holds(self, package: &str) -> bool {
        const OTHERS: [&str; 4] = ["-cloud-", "-rt-", "-dbg", "-unsigned"];
        package.starts_with(self.prefix())
            && package.ends_with("-amd64")
            && !OTHERS.iter().any(|other| package.contains(other))
    }
}

/// A kernel that can be booted.
#[derive(Debug)]
pub(super) struct Kernel {
    folder: PathBuf,
}

impl Kernel {
    /// The kernel, as an ELF file.
    pub(super) fn image(&self) -> PathBuf {
        self.folder.join("vmlinux")
    }

    /// The initramfs that mounts the host's root.
    pub(super) fn initramfs(&self) -> PathBuf {
        self.folder.join("initramfs")
    }

    /// What belongs at /lib/modules/VERSION.
    pub(super) fn modules(&self) -> Result<PathBuf> {
        only_entry(&self.folder.join("files/lib/modules"))
    }
}

/// The newest kernel of a series: from the cache, or else from Debian.
pub(super) fn obtain(series: Series) -> Result<Kernel> {
    let cache = cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let cached = newest_cached(&cache, series)?;
    if let Some(folder) = cached.as_ref().filter(|folder| is_fresh(folder)) {
        return prepared(folder.clone());
    }
    match look_up(series).and_then(|package| download(&cache, &package)) {
        Ok(folder) => prepared(folder),
        Err(error) => match cached {
            Some(folder) => {
                eprintln!("xtask vm: using {} from the cache: {error:#}", folder.display());
                prepared(folder)
            }
            None => Err(error),
        },
    }
}

fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(env::var_os("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(base.join("quixote/kernels"))
}

fn newest_cached(cache: &Path, series: Series) -> Result<Option<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(cache)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(newest(names.iter().map(String::as_str), series).map(|name| cache.join(name)))
}

/// Whether the package was looked up lately: its folder's time is renewed when it is.
fn is_fresh(folder: &Path) -> bool {
    let age = fs::metadata(folder).and_then(|metadata| metadata.modified());
    age.ok().and_then(|time| time.elapsed().ok()).is_some_and(|age| age < FRESH)
}

fn look_up(series: Series) -> Result<String> {
    let pattern = format!("^{}.*-amd64$", series.prefix().replace('.', "\\."));
    let output = Command::new("apt-cache")
        .args(["search", "--names-only", &pattern])
        .output()
        .context("apt-cache: the kernels are packages of Debian")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.split(' ').next());
    newest(names, series).map(str::to_owned).with_context(|| {
        format!("apt knows no {}*-amd64; run `apt-get update` on Debian 12", series.prefix())
    })
}

fn newest<'a>(names: impl Iterator<Item = &'a str>, series: Series) -> Option<&'a str> {
    names.filter(|name| series.holds(name)).max_by_key(|name| numbers(name))
}

fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|run| run.parse().ok()).collect()
}

/// Fetches and unpacks a package; nothing is done when the cache has it.
fn download(cache: &Path, package: &str) -> Result<PathBuf> {
    let folder = cache.join(package);
    if folder.exists() {
        // Only renews the folder's time; the file says nothing.
        fs::write(folder.join("looked-up"), "")?;
        fs::remove_file(folder.join("looked-up"))?;
        return Ok(folder);
    }
    let partial = cache.join(format!(".{package}.{}", std::process::id()));
    fs::create_dir_all(&partial)?;
    let unpacked = fetch(package, &partial).and_then(|()| unpack(&partial));
    if let Err(error) = unpacked {
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    place(&partial, &folder)?;
    Ok(folder)
}

fn fetch(package: &str, folder: &Path) -> Result<()> {
    eprintln!("xtask vm: fetching {package}");
    let mut command = Command::new("apt-get");
    // As root apt would drop to a user that cannot write here, and warn about it.
    command.args(["-qq", "-o", "Acquire::Retries=5", "-o", "APT::Sandbox::User=root"]);
    command.args(["download", package]);
    process::run_quietly(command.current_dir(folder), DOWNLOAD_LIMIT)
        .context("the kernel is not to be had; run `apt-get update`, or look at the network")
}

fn unpack(folder: &Path) -> Result<()> {
    let package = only_entry(folder)?;
    let files = folder.join("files");
    let mut command = Command::new("dpkg-deb");
    process::run_quietly(command.arg("-x").args([&package, &files]), UNPACK_LIMIT)?;
    fs::remove_file(package)?;
    let image = fs::read_dir(files.join("boot"))?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz-"))
        .context("the package holds no kernel")?;
    fs::write(folder.join("vmlinux"), image::unpack(&fs::read(image.path())?)?)?;
    let version = only_entry(&files.join("lib/modules"))?;
    let version = version.file_name().context("no version")?;
    let mut depmod = Command::new("/sbin/depmod");
    process::run_quietly(depmod.arg("-b").arg(&files).arg(version), UNPACK_LIMIT)
        .context("depmod (package kmod; `cargo xtask setup` installs it)")
}

/// Another checkout may have been faster; its folder is as good.
fn place(partial: &Path, folder: &Path) -> Result<()> {
    match fs::rename(partial, folder) {
        Ok(()) => Ok(()),
        Err(_) if folder.exists() => Ok(fs::remove_dir_all(partial)?),
        Err(error) => Err(error).with_context(|| folder.display().to_string()),
    }
}

/// The initramfs is written at each boot: it is small, and its script may have changed.
fn prepared(folder: PathBuf) -> Result<Kernel> {
    let kernel = Kernel { folder };
    initramfs::write(&kernel)?;
    Ok(kernel)
}

fn only_entry(folder: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    match (entries.next(), entries.next()) {
        (Some(entry), None) => Ok(entry?.path()),
        _ => bail!("{} does not hold exactly one entry", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_taken_by_number_and_other_flavours_are_not() {
        let names = [
            "linux-image-6.12.9+deb12-amd64",
            "linux-image-6.12.117+deb12-amd64",
            "linux-image-6.12.118+deb12-cloud-amd64",
            "linux-image-6.12.118+deb12-rt-amd64",
            "linux-image-6.12.118+deb12-amd64-unsigned",
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-56-amd64",
        ];
        let newest = |series| newest(names.into_iter(), series);
        assert_eq!(newest(Series::Current), Some("linux-image-6.12.117+deb12-amd64"));
        assert_eq!(newest(Series::Floor), Some("linux-image-6.1.0-56-amd64"));
    }
}
