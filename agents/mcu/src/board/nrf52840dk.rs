//! Nordic nRF52840 DK: 256 KiB of RAM, a hardware source of randomness, and the debugger's serial
//! port with flow control, which the host sees as `/dev/ttyACM0` (8N1, 1 Mbaud, RTS/CTS).
//!
//! Registers from the nRF52840 Product Specification. It builds in CI; it was never run on a board.
//!
//! The last page of flash holds the secret, drawn at the first start, and whom the agent trusts,
//! written once. Erasing it, with a debugger, makes another agent of the device. To keep the
//! debugger out is up to whoever deploys it (`APPROTECT`).

use tma_protocol::NotKept;
use tma_protocol::Pins;

use super::Board;
use super::Budget;
use super::Wire;
use crate::registers::Register;
use crate::registers::sleep_until;
use crate::registers::wake_by;

pub(super) const VERSION: &str = concat!("mcu ", env!("CARGO_PKG_VERSION"), " nrf52840dk");
pub(super) const BUDGET: Budget = Budget::LARGE;

const UART: usize = 0x4000_2000;
const START_RECEIVER: Register = Register::at(UART);
const START_TRANSMITTER: Register = Register::at(UART + 0x008);
const RECEIVED: Register = Register::at(UART + 0x108);
const TRANSMITTED: Register = Register::at(UART + 0x11c);
const INTERRUPT_SET: Register = Register::at(UART + 0x304);
const ERROR: Register = Register::at(UART + 0x480);
const ENABLE: Register = Register::at(UART + 0x500);
const PIN_RTS: Register = Register::at(UART + 0x508);
const PIN_TXD: Register = Register::at(UART + 0x50c);
const PIN_CTS: Register = Register::at(UART + 0x510);
const PIN_RXD: Register = Register::at(UART + 0x514);
const RECEIVE: Register = Register::at(UART + 0x518);
const TRANSMIT: Register = Register::at(UART + 0x51c);
const BAUD: Register = Register::at(UART + 0x524);
const CONFIG: Register = Register::at(UART + 0x56c);
const INTERRUPT: usize = 2;

/// The first LED of the board; lit when low.
const LAMP: u32 = 1 << 13;
const PORT: usize = 0x5000_0000;
const PORT_SET: Register = Register::at(PORT + 0x508);
const PORT_CLEAR: Register = Register::at(PORT + 0x50c);
const PORT_OUTPUT: Register = Register::at(PORT + 0x518);

const RANDOM: usize = 0x4000_d000;
const RANDOM_START: Register = Register::at(RANDOM);
const RANDOM_READY: Register = Register::at(RANDOM + 0x100);
const RANDOM_CONFIG: Register = Register::at(RANDOM + 0x504);
const RANDOM_VALUE: Register = Register::at(RANDOM + 0x508);

const FLASH_READY: Register = Register::at(0x4001_e400);
const FLASH_CONFIG: Register = Register::at(0x4001_e504);

/// The page of flash that is not the firmware's.
const PAGE: usize = 0x000f_f000;
const ERASED: u32 = u32::MAX;
const WRITTEN: u32 = 0x5158_5442;
const DIGEST_WORDS: usize = 8;
/// Words of the page: mark and secret; mark, orchestrator, number of keys and keys.
const SECRET_MARK: usize = 0;
const SECRET: usize = 1;
const PINS_MARK: usize = 16;
const ORCHESTRATOR: usize = 17;
const KEY_COUNT: usize = 25;
const KEYS: usize = 26;
const KEYS_MAX: usize = 8;

pub(super) struct Chosen(());

impl Chosen {
    pub(super) fn new() -> Self {
        PORT_SET.write(LAMP);
        PORT_OUTPUT.write(LAMP);
        RANDOM_CONFIG.write(1);
        RANDOM_START.write(1);
        Self(())
    }
}

impl Board for Chosen {
    type Wire = Uart;

    fn wire(&mut self) -> Uart {
        PIN_RTS.write(5);
        PIN_TXD.write(6);
        PIN_CTS.write(7);
        PIN_RXD.write(8);
        BAUD.write(0x1000_0000);
        CONFIG.write(1);
        ENABLE.write(4);
        INTERRUPT_SET.write(1 << 2);
        wake_by(INTERRUPT);
        START_RECEIVER.write(1);
        START_TRANSMITTER.write(1);
        Uart(())
    }

    fn secret(&mut self) -> Option<[u8; 32]> {
        if word(SECRET_MARK).read() != WRITTEN {
            let drawn = self.random()?;
            write(SECRET, &drawn);
            write_word(SECRET_MARK, WRITTEN);
        }
        Some(read(SECRET))
    }

    fn random(&mut self) -> Option<[u8; 32]> {
        let mut octets = [0; 32];
        for octet in &mut octets {
            while RANDOM_READY.read() == 0 {
                core::hint::spin_loop();
            }
            RANDOM_READY.write(0);
            *octet = RANDOM_VALUE.read() as u8;
        }
        Some(octets)
    }

    fn pins(&self) -> Pins {
        if word(PINS_MARK).read() != WRITTEN {
            return Pins::default();
        }
        let count = (word(KEY_COUNT).read() as usize).min(KEYS_MAX);
        let model_keys = (0..count).map(|key| read(KEYS + key * DIGEST_WORDS)).collect();
        Pins { orchestrator: Some(read(ORCHESTRATOR)), model_keys }
    }

    fn keep(&mut self, pins: &Pins) -> Result<(), NotKept> {
        let orchestrator = pins.orchestrator.ok_or(NotKept)?;
        let end = KEYS + KEYS_MAX * DIGEST_WORDS;
        let written = (PINS_MARK..end).any(|index| word(index).read() != ERASED);
        if written || pins.model_keys.len() > KEYS_MAX {
            return Err(NotKept);
        }
        write(ORCHESTRATOR, &orchestrator);
        for (key, octets) in pins.model_keys.iter().enumerate() {
            write(KEYS + key * DIGEST_WORDS, octets);
        }
        write_word(KEY_COUNT, pins.model_keys.len() as u32);
        write_word(PINS_MARK, WRITTEN);
        if self.pins() == *pins { Ok(()) } else { Err(NotKept) }
    }

    fn lamp(&mut self, lit: bool) {
        (if lit { PORT_CLEAR } else { PORT_SET }).write(LAMP);
    }
}

fn word(index: usize) -> Register {
    Register::at(PAGE + index * 4)
}

fn read(index: usize) -> [u8; 32] {
    let mut octets = [0; 32];
    for (offset, part) in octets.chunks_exact_mut(4).enumerate() {
        part.copy_from_slice(&word(index + offset).read().to_le_bytes());
    }
    octets
}

fn write(index: usize, octets: &[u8; 32]) {
    for (offset, part) in octets.chunks_exact(4).enumerate() {
        write_word(index + offset, u32::from_le_bytes([part[0], part[1], part[2], part[3]]));
    }
}

fn write_word(index: usize, value: u32) {
    FLASH_CONFIG.write(1);
    word(index).write(value);
    while FLASH_READY.read() == 0 {
        core::hint::spin_loop();
    }
    FLASH_CONFIG.write(0);
}

/// The UART, with flow control; its receiver is six octets deep.
pub(super) struct Uart(());

impl Wire for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        while RECEIVED.read() == 0 {
            sleep_until(INTERRUPT);
        }
        let mut count = 0;
        while count < buffer.len() && RECEIVED.read() != 0 {
            RECEIVED.write(0);
            buffer[count] = RECEIVE.read() as u8;
            count += 1;
        }
        // A damaged octet is found by the session, which ends.
        ERROR.write(ERROR.read());
        count
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            TRANSMITTED.write(0);
            TRANSMIT.write((*octet).into());
            while TRANSMITTED.read() == 0 {
                core::hint::spin_loop();
            }
        }
    }
}
