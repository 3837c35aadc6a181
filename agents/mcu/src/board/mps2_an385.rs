//! ARM MPS2 with AN385 as QEMU emulates it (`-M mps2-an385`), with a budget of 256 KiB of RAM.

use super::Budget;
use super::Wire;
use super::emulated::Devices;
use super::emulated::Emulated;
use crate::registers::Register;
use crate::registers::sleep_until;
use crate::registers::wake_by;
use crate::registers::write_unless_full;

pub(super) const VERSION: &str = concat!("mcu ", env!("CARGO_PKG_VERSION"), " mps2-an385");
pub(super) const BUDGET: Budget = Budget::LARGE;
pub(super) type Chosen = Emulated<Mps2>;

const UART: usize = 0x4000_4000;
const DATA: Register = Register::at(UART);
const STATE: Register = Register::at(UART + 0x04);
const CONTROL: Register = Register::at(UART + 0x08);
const INTERRUPT_STATUS: Register = Register::at(UART + 0x0c);
const DIVISOR: Register = Register::at(UART + 0x10);
const INTERRUPT: usize = 0;

const TRANSMIT_FULL: u32 = 1;
const RECEIVE_FULL: u32 = 2;
const RECEIVED: u32 = 2;

/// The first of the user LEDs.
const LAMP_DATA: Register = Register::at(0x4002_8000);

pub(crate) struct Mps2(());

impl Devices for Mps2 {
    type Wire = Uart;

    fn new() -> Self {
        Self(())
    }

    fn wire(&mut self) -> Uart {
        DIVISOR.write(16);
        // Both directions, an interrupt for each octet received.
        CONTROL.write(0x0b);
        wake_by(INTERRUPT);
        // What came before the receiver was on: the emulator holds it back and asks again only when
        // the register is read.
        let _ = DATA.read();
        Uart(())
    }

    fn lamp(&mut self, lit: bool) {
        LAMP_DATA.write(lit.into());
    }
}

/// The first UART: of the CMSDK, one octet deep.
pub(crate) struct Uart(());

impl Wire for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        while STATE.read() & RECEIVE_FULL == 0 {
            sleep_until(INTERRUPT);
            INTERRUPT_STATUS.write(RECEIVED);
        }
        buffer[0] = DATA.read() as u8;
        1
    }

    fn write(&mut self, octets: &[u8]) {
        write_unless_full(octets, STATE, TRANSMIT_FULL, DATA);
    }
}
