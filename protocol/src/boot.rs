//! What an agent without a memory of its own is handed by whoever starts it: its secret and its
//! pins, once, before anything else, over a channel that nobody else sees (a socket pair, the
//! firmware configuration of a virtual machine). It is not part of the session.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::Identity;
use crate::Pins;
use crate::bound::MODEL_KEYS_MAX;
use crate::bound::VERSION;

/// Octets of a boot record, always.
pub const BOOT_SIZE: usize = 5 + 32 + 32 + 1 + 32 * MODEL_KEYS_MAX;
const MAGIC: [u8; 5] = [b'Q', b'T', b'M', b'A', VERSION];

/// The octets that an agent is booted with. At most [`MODEL_KEYS_MAX`] keys are taken.
pub fn write_boot(
    seed: &[u8; 32],
    orchestrator: &[u8; 32],
    model_keys: &[[u8; 32]],
) -> Zeroizing<Vec<u8>> {
    let keys = &model_keys[..model_keys.len().min(MODEL_KEYS_MAX)];
    let mut out = Zeroizing::new(Vec::with_capacity(BOOT_SIZE));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(seed);
    out.extend_from_slice(orchestrator);
    out.push(keys.len() as u8);
    out.extend_from_slice(keys.as_flattened());
    out.resize(BOOT_SIZE, 0);
    out
}

/// Who the agent is and whom it trusts; `None` if this is no boot record.
pub fn read_boot(octets: &[u8; BOOT_SIZE]) -> Option<(Identity, Pins)> {
    let (seed, rest) = octets.strip_prefix(&MAGIC)?.split_first_chunk::<32>()?;
    let (orchestrator, rest) = rest.split_first_chunk::<32>()?;
    let (count, keys) = rest.split_first()?;
    let keys = keys.as_chunks().0.get(..usize::from(*count))?;
    let pins = Pins { orchestrator: Some(*orchestrator), model_keys: keys.to_vec() };
    Some((Identity::from_seed(seed), pins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_record_is_read_as_it_was_written() {
        let keys = [[3; 32], [4; 32]];
        let record = write_boot(&[1; 32], &[2; 32], &keys);
        let (identity, pins) = read_boot(record.as_slice().try_into().unwrap()).unwrap();
        assert_eq!(identity.public(), Identity::from_seed(&[1; 32]).public());
        assert_eq!(pins, Pins { orchestrator: Some([2; 32]), model_keys: keys.to_vec() });
        let mut damaged: [u8; BOOT_SIZE] = record.as_slice().try_into().unwrap();
        damaged[69] = 9;
        assert!(read_boot(&damaged).is_none());
    }
}
