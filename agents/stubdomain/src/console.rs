//! The one wire to the outside: whichever of the known consoles the machine has.

use crate::boot::Loaded;
use crate::serial::Serial;
use crate::virtio_console::VirtioConsole;
use crate::xen_console::XenConsole;

/// The wire to the orchestrator.
pub(crate) enum Console {
    /// A virtio console.
    Virtio(VirtioConsole),
    /// A 16550.
    Serial(Serial),
    /// The console of a Xen domain.
    Xen(XenConsole),
}

/// The machine's console.
///
/// # Panics
///
/// If there is none: then nobody could ever be answered.
pub(crate) fn find(loaded: &Loaded) -> Console {
    let virtio = VirtioConsole::find(loaded).map(Console::Virtio);
    let found = virtio.or_else(|| XenConsole::find().map(Console::Xen));
    let found = found.or_else(|| Serial::find().map(Console::Serial));
    found.expect("the machine has no console that is known here")
}

impl Console {
    /// Reads at least one octet; sleeps until there is one.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        match self {
            Self::Virtio(console) => console.read(buffer),
            Self::Serial(serial) => serial.read(buffer),
            Self::Xen(console) => console.read(buffer),
        }
    }

    /// Writes everything.
    pub(crate) fn write(&mut self, octets: &[u8]) {
        if octets.is_empty() {
            return;
        }
        match self {
            Self::Virtio(console) => console.write(octets),
            Self::Serial(serial) => serial.write(octets),
            Self::Xen(console) => console.write(octets),
        }
    }
}
