//! The signature of a model, checked by the agent itself: a DSSE envelope's payload, an in-toto
//! statement that binds the header's digest, the state and the number of coefficients.

use alloc::vec::Vec;

use ed25519_dalek::Signature;
use ed25519_dalek::VerifyingKey;
use serde_json::Value as Json;
use tsem::Digest;

use crate::message::Failure;

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "urn:quixote:model:v1";

/// What a model came to, as the agent computed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Computed {
    pub(crate) header: Digest,
    pub(crate) state: Digest,
    pub(crate) coefficients: u32,
}

/// Which of `keys` signed the statement about exactly this model.
pub(crate) fn check(
    statement: &[u8],
    signature: &[u8; 64],
    keys: &[[u8; 32]],
    computed: Computed,
) -> Result<[u8; 32], Failure> {
    let signer = signer(statement, signature, keys).ok_or(Failure::Signature)?;
    let statement: Json = serde_json::from_slice(statement).map_err(|_| Failure::Signature)?;
    if says(&statement, computed) { Ok(signer) } else { Err(Failure::OtherModel) }
}

/// A function of its own: curve arithmetic takes much of a small device's stack.
#[inline(never)]
fn signer(statement: &[u8], signature: &[u8; 64], keys: &[[u8; 32]]) -> Option<[u8; 32]> {
    let message = pre_authentication_encoding(statement);
    let signature = Signature::from_bytes(signature);
    let holds = |key: &&[u8; 32]| {
        let key = VerifyingKey::from_bytes(key);
        key.is_ok_and(|key| key.verify_strict(&message, &signature).is_ok())
    };
    keys.iter().find(holds).copied()
}

fn says(statement: &Json, computed: Computed) -> bool {
    let predicate = &statement["predicate"];
    let digest = |name: &str| predicate[name].as_str().and_then(Digest::from_hex);
    statement["_type"] == STATEMENT_TYPE
        && statement["predicateType"] == PREDICATE_TYPE
        && digest("header") == Some(computed.header)
        && digest("state") == Some(computed.state)
        && predicate["coefficients"].as_u64() == Some(computed.coefficients.into())
}

/// PAE of DSSE 1.0: what is really signed.
fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let head = alloc::format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ed25519_dalek::Signer as _;
    use ed25519_dalek::SigningKey;

    pub(crate) fn signed(computed: Computed, key: &SigningKey) -> (Vec<u8>, [u8; 64]) {
        let statement = alloc::format!(
            "{{\"_type\":\"{STATEMENT_TYPE}\",\"subject\":[],\"predicateType\":\"{PREDICATE_TYPE}\",\
             \"predicate\":{{\"workload\":\"x\",\"profile\":\"core\",\"serial\":7,\
             \"header\":\"{}\",\"state\":\"{}\",\"coefficients\":{}}}}}",
            computed.header,
            computed.state,
            computed.coefficients
        );
        let signature = key.sign(&pre_authentication_encoding(statement.as_bytes()));
        (statement.into_bytes(), signature.to_bytes())
    }

    #[test]
    fn only_a_pinned_keys_statement_about_this_model_holds() {
        let (key, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let public = key.verifying_key().to_bytes();
        let computed =
            Computed { header: Digest([3; 32]), state: Digest([4; 32]), coefficients: 5 };
        let (statement, signature) = signed(computed, &key);
        let keys = [other.verifying_key().to_bytes(), public];
        assert_eq!(check(&statement, &signature, &keys, computed), Ok(public));
        assert_eq!(check(&statement, &signature, &keys[..1], computed), Err(Failure::Signature));
        for changed in [
            Computed { header: Digest([9; 32]), ..computed },
            Computed { state: Digest([9; 32]), ..computed },
            Computed { coefficients: 6, ..computed },
        ] {
            assert_eq!(check(&statement, &signature, &keys, changed), Err(Failure::OtherModel));
        }
        let mut damaged = statement.clone();
        damaged[40] ^= 1;
        assert_eq!(check(&damaged, &signature, &keys, computed), Err(Failure::Signature));
    }
}
