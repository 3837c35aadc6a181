//! The first serial port: a 16550.

use crate::interrupts;
use crate::ports;

const BASE: u16 = 0x3f8;
const DATA: u16 = BASE;
const INTERRUPT_ENABLE: u16 = BASE + 1;
const FIFO_CONTROL: u16 = BASE + 2;
const LINE_CONTROL: u16 = BASE + 3;
const MODEM_CONTROL: u16 = BASE + 4;
const LINE_STATUS: u16 = BASE + 5;
const SCRATCH: u16 = BASE + 7;

const DATA_READY: u8 = 1;
const OVERRUN: u8 = 2;
const TRANSMITTER_EMPTY: u8 = 0x20;
const FIFO: usize = 16;

/// The interrupt line of the first serial port.
pub(crate) const LINE: u8 = 4;

/// A 16550 that was found and set up.
pub(crate) struct Serial(());

impl Serial {
    /// Sets up the port if there is one.
    pub(crate) fn find() -> Option<Self> {
        ports::write(SCRATCH, 0x5a);
        if ports::read(SCRATCH) != 0x5a {
            return None;
        }
        ports::write(INTERRUPT_ENABLE, 0);
        ports::write(LINE_CONTROL, 0x80);
        // Divisor 1: 115200 baud, where there is a real line.
        ports::write(DATA, 1);
        ports::write(INTERRUPT_ENABLE, 0);
        // 8 bits, no parity, one stop bit.
        ports::write(LINE_CONTROL, 0x03);
        // FIFOs on and cleared; an interrupt for 14 octets, or when no more come.
        ports::write(FIFO_CONTROL, 0xc7);
        // DTR, RTS, and OUT2, which lets interrupts out.
        ports::write(MODEM_CONTROL, 0x0b);
        ports::write(INTERRUPT_ENABLE, 0x01);
        interrupts::unmask(LINE);
        Some(Self(()))
    }

    /// Reads at least one octet; sleeps until there is one.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            let mut count = 0;
            while count < buffer.len() {
                let status = ports::read(LINE_STATUS);
                assert!(status & OVERRUN == 0, "the line was faster than its reader");
                if status & DATA_READY == 0 {
                    break;
                }
                buffer[count] = ports::read(DATA);
                count += 1;
            }
            if count > 0 {
                return count;
            }
            interrupts::sleep_unless(|| ports::read(LINE_STATUS) & DATA_READY != 0);
        }
    }

    /// Writes everything.
    pub(crate) fn write(&mut self, octets: &[u8]) {
        for part in octets.chunks(FIFO) {
            while ports::read(LINE_STATUS) & TRANSMITTER_EMPTY == 0 {
                core::hint::spin_loop();
            }
            part.iter().for_each(|octet| ports::write(DATA, *octet));
        }
    }
}
