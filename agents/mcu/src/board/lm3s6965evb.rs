//! Stellaris LM3S6965 evaluation board as QEMU emulates it (`-M lm3s6965evb`): 64 KiB of RAM.
//!
//! On the real board the UART has no flow control and the chip no source of randomness: this
//! support is for the emulated one.

use super::Budget;
use super::Wire;
use super::emulated::Devices;
use super::emulated::Emulated;
use crate::registers::Register;
use crate::registers::sleep_until;
use crate::registers::wake_by;
use crate::registers::write_unless_full;

pub(super) const VERSION: &str = concat!("mcu ", env!("CARGO_PKG_VERSION"), " lm3s6965evb");
pub(super) const BUDGET: Budget = Budget::SMALL;
pub(super) type Chosen = Emulated<Stellaris>;

const CLOCK_UART: Register = Register::at(0x400f_e104);
const CLOCK_GPIO: Register = Register::at(0x400f_e108);
const UART: usize = 0x4000_c000;
const DATA: Register = Register::at(UART);
const FLAGS: Register = Register::at(UART + 0x18);
const LINE_CONTROL: Register = Register::at(UART + 0x2c);
const CONTROL: Register = Register::at(UART + 0x30);
const INTERRUPT_MASK: Register = Register::at(UART + 0x38);
const INTERRUPT_CLEAR: Register = Register::at(UART + 0x44);
const INTERRUPT: usize = 5;

const RECEIVE_EMPTY: u32 = 1 << 4;
const TRANSMIT_FULL: u32 = 1 << 5;
const RECEIVED: u32 = 1 << 4 | 1 << 6;

const PORT_F: usize = 0x4002_5000;
const LAMP: u32 = 1;
const LAMP_DATA: Register = Register::at(PORT_F + (LAMP as usize) * 4);
const DIRECTION: Register = Register::at(PORT_F + 0x400);
const DIGITAL: Register = Register::at(PORT_F + 0x51c);

pub(crate) struct Stellaris(());

impl Devices for Stellaris {
    type Wire = Uart;

    fn new() -> Self {
        CLOCK_UART.write(1);
        CLOCK_GPIO.write(1 << 5);
        DIRECTION.write(LAMP);
        DIGITAL.write(LAMP);
        Self(())
    }

    fn wire(&mut self) -> Uart {
        CONTROL.write(0);
        // 8 bits, FIFOs.
        LINE_CONTROL.write(0x70);
        INTERRUPT_MASK.write(RECEIVED);
        // Enabled in both directions.
        CONTROL.write(0x301);
        wake_by(INTERRUPT);
        Uart(())
    }

    fn lamp(&mut self, lit: bool) {
        LAMP_DATA.write(if lit { LAMP } else { 0 });
    }
}

/// The first UART: a PL011.
pub(crate) struct Uart(());

impl Wire for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        while FLAGS.read() & RECEIVE_EMPTY != 0 {
            sleep_until(INTERRUPT);
            INTERRUPT_CLEAR.write(RECEIVED);
        }
        let mut count = 0;
        while count < buffer.len() && FLAGS.read() & RECEIVE_EMPTY == 0 {
            buffer[count] = DATA.read() as u8;
            count += 1;
        }
        count
    }

    fn write(&mut self, octets: &[u8]) {
        write_unless_full(octets, FLAGS, TRANSMIT_FULL, DATA);
    }
}
