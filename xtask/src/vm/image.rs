//! The kernel out of its self-extracting image.
//!
//! Under emulation a guest takes seconds to unpack itself; the host does it once, and the machine
//! boots the ELF file by its PVH entry. The offsets are those of Linux's x86 boot protocol
//! (Documentation/arch/x86/boot.rst: `setup_sects`, `payload_offset`, `payload_length`).

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use std::io::Write;
use std::process::Command;
use std::process::Stdio;
use std::thread;

const SETUP_SECTORS: usize = 0x1f1;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const SECTOR: usize = 512;
/// The payload ends with the unpacked size, which is not part of the compressed stream.
const TRAILER: usize = 4;

/// The ELF file in a `vmlinuz`.
pub(super) fn unpack(image: &[u8]) -> Result<Vec<u8>> {
    let payload = payload(image).context("the kernel's image has no payload")?;
    let program = match payload {
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "xz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
        _ => bail!("the kernel is packed by a method that is not known here"),
    };
    let kernel = filter(program, payload)?;
    if !kernel.starts_with(b"\x7fELF") {
        bail!("the kernel's payload is no ELF file");
    }
    Ok(kernel)
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    let setup = usize::from(*image.get(SETUP_SECTORS)?);
    let start = (setup + 1) * SECTOR + number(image, PAYLOAD_OFFSET)?;
    let length = number(image, PAYLOAD_LENGTH)?.checked_sub(TRAILER)?;
    image.get(start..start.checked_add(length)?)
}

fn number(image: &[u8], offset: usize) -> Option<usize> {
    let octets = image.get(offset..offset + 4)?;
    Some(u32::from_le_bytes(octets.try_into().ok()?) as usize)
}

fn filter(program: &str, input: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| program.to_owned())?;
    let mut pipe = child.stdin.take().context("no pipe")?;
    let output = thread::scope(|scope| {
        scope.spawn(move || pipe.write_all(input));
        child.wait_with_output()
    })?;
    if !output.status.success() {
        bail!("{program} cannot unpack the kernel");
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_kernel_is_refused() {
        assert!(unpack(b"").is_err());
        assert!(unpack(&[0xff; 2048]).is_err());
        let mut image = vec![0; 4096];
        image[PAYLOAD_LENGTH] = 64;
        assert!(unpack(&image).is_err());
    }
}
