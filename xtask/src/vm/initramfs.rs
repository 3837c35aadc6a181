//! The initramfs: busybox, the modules that a kernel needs to mount the host's root, one script.
//!
//! Written in the `newc` form of cpio, which the kernel takes uncompressed.

use super::kernel::Kernel;
use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// In the order in which they can be loaded; what a kernel has built in is no file.
const MODULES: &[&str] = &[
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "drivers/char/virtio_console",
    "fs/fuse/fuse",
    "fs/fuse/virtiofs",
    "fs/overlayfs/overlay",
];
const FOLDERS: &[&str] = &["bin", "dev", "proc", "modules", "lower", "upper", "root"];
const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// Writes the initramfs of a kernel beside it, complete or not at all.
pub(super) fn write(kernel: &Kernel) -> Result<()> {
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.add(folder, FOLDER, b"");
    }
    archive.add("bin/busybox", PROGRAM, &fs::read("/bin/busybox").context("busybox-static")?);
    archive.add("init", PROGRAM, include_bytes!("init.sh"));
    add_modules(&mut archive, &kernel.modules()?.join("kernel"))?;
    let target = kernel.initramfs();
    let partial = target.with_extension(std::process::id().to_string());
    fs::write(&partial, archive.finish())?;
    fs::rename(&partial, &target).with_context(|| target.display().to_string())
}

fn add_modules(archive: &mut Archive, folder: &Path) -> Result<()> {
    let mut order = String::new();
    for path in MODULES {
        let Some(content) = module(&folder.join(path))? else {
            continue;
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        order.extend([name, ".ko\n"]);
        archive.add(&format!("modules/{name}.ko"), PROGRAM, &content);
    }
    archive.add("modules/order", PROGRAM, order.as_bytes());
    Ok(())
}

fn module(path: &Path) -> Result<Option<Vec<u8>>> {
    let plain = PathBuf::from(format!("{}.ko", path.display()));
    if plain.exists() {
        return Ok(Some(fs::read(plain)?));
    }
    let packed = PathBuf::from(format!("{}.ko.xz", path.display()));
    if !packed.exists() {
        return Ok(None);
    }
    let output = Command::new("xz").args(["-dc"]).arg(&packed).output().context("xz")?;
    if !output.status.success() {
        bail!("{} cannot be unpacked", packed.display());
    }
    Ok(Some(output.stdout))
}

/// A cpio archive in the making.
#[derive(Default)]
struct Archive {
    octets: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let links = 1;
        let fields = [
            self.entries, // inode
            mode,
            0, // uid
            0, // gid
            links,
            0, // time
            content.len() as u32,
            0, // device, two fields
            0,
            0, // device that it stands for, two fields
            0,
            name.len() as u32 + 1,
            0, // checksum: none
        ];
        self.octets.extend_from_slice(b"070701");
        for field in fields {
            self.octets.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.octets.extend_from_slice(name.as_bytes());
        self.octets.push(0);
        self.align();
        self.octets.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.octets.resize(self.octets.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, b"");
        self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_aligned_and_ends_with_its_trailer() {
        let mut archive = Archive::default();
        archive.add("init", PROGRAM, b"hello");
        let octets = archive.finish();
        assert_eq!(octets.len() % 4, 0);
        assert_eq!(&octets[..6], b"070701");
        assert_eq!(&octets[110..115], b"init\0");
        assert_eq!(&octets[116..121], b"hello");
        assert!(octets.windows(10).any(|window| window == b"TRAILER!!!"));
    }
}
