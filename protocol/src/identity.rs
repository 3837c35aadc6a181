//! Who an agent is, and whom it trusts.
//!
//! One secret of 32 octets gives the key that sessions are authenticated with and the key that
//! attestations are signed with. Both public keys are pinned where the other end lives.

use alloc::vec::Vec;
use core::fmt;

use curve25519_dalek::montgomery::MontgomeryPoint;
use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use tsem::Digest;

/// The secret half.
pub struct Identity {
    session: Zeroizing<[u8; 32]>,
    signing: SigningKey,
}

/// The public half, as it is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicIdentity {
    /// X25519, for sessions.
    pub session: [u8; 32],
    /// Ed25519, for attestations.
    pub signing: [u8; 32],
}

/// Whom an agent trusts. Provisioned once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// The one orchestrator; none before provisioning.
    pub orchestrator: Option<[u8; 32]>,
    /// Ed25519 keys that sign models. With any, only models that one of them signed are enforced;
    /// without, the orchestrator's word is taken.
    pub model_keys: Vec<[u8; 32]>,
}

impl Identity {
    /// From a secret that is drawn once in an agent's life.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let derived = |label: &[u8]| Zeroizing::new(Digest::of(&[label, seed]).0);
        Self {
            session: derived(b"quixote-tma session\0"),
            signing: SigningKey::from_bytes(&derived(b"quixote-tma attest\0")),
        }
    }

    /// The public half.
    pub fn public(&self) -> PublicIdentity {
        PublicIdentity {
            session: MontgomeryPoint::mul_base_clamped(*self.session).0,
            signing: self.signing.verifying_key().to_bytes(),
        }
    }

    pub(crate) fn session_key(&self) -> &[u8; 32] {
        &self.session
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.public()).finish()
    }
}

impl PublicIdentity {
    /// One digest for both keys, for people to compare.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&[&self.session, &self.signing])
    }
}
