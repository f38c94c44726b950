//! Tokens, codes and passwords.

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use layercast_meeting::Secret;

/// Why a secret could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The system gave no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// Argon2 failed.
    #[error("the password could not be hashed: {0}")]
    Hash(argon2::password_hash::Error),
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Random text of `BYTES` bytes, each of which carries six random bits.
fn random_text<const BYTES: usize>() -> Result<String, SecretError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect())
}

/// A token of a session or of a participant: 258 random bits.
///
/// # Errors
/// [`SecretError::Random`].
pub fn token() -> Result<Secret, SecretError> {
    random_text::<43>().map(Secret::new)
}

/// The code of an invitation: 132 random bits.
///
/// # Errors
/// [`SecretError::Random`].
pub fn code() -> Result<Secret, SecretError> {
    random_text::<22>().map(Secret::new)
}

/// The id of a meeting: 132 random bits.
///
/// # Errors
/// [`SecretError::Random`].
pub fn meeting_id() -> Result<String, SecretError> {
    random_text::<22>()
}

/// What a hash of a password costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl PasswordCost {
    /// What OWASP recommends at least for Argon2id: 19 MiB and two passes on one lane.
    pub const OWASP: Self = Self { memory_kib: 19 * 1024, passes: 2 };
    /// For tests alone: the least that Argon2 takes.
    pub const LEAST: Self = Self { memory_kib: 8, passes: 1 };
}

/// The Argon2id hash of a password, as a PHC string with a salt of 128 bits.
///
/// # Errors
/// [`SecretError`].
pub fn hash_password(password: &Secret, cost: PasswordCost) -> Result<Secret, SecretError> {
    let params = Params::new(cost.memory_kib, cost.passes, 1, None)
        .map_err(|error| SecretError::Hash(error.into()))?;
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)?;
    let salt = SaltString::encode_b64(&salt).map_err(SecretError::Hash)?;
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.expose().as_bytes(), &salt)
        .map_err(SecretError::Hash)?;
    Ok(Secret::new(hash.to_string()))
}

/// Whether a password is the one of a hash. The hash says what it costs.
pub fn verify_password(hash: &Secret, password: &Secret) -> bool {
    let Ok(hash) = PasswordHash::new(hash.expose()) else { return false };
    Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_another_is_not() {
        let password = Secret::new("correct horse".into());
        let hash = hash_password(&password, PasswordCost::LEAST).unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        assert!(verify_password(&hash, &password));
        assert!(!verify_password(&hash, &Secret::new("correct horst".into())));
        assert!(!verify_password(&Secret::new("plain".into()), &Secret::new("plain".into())));
        let again = hash_password(&password, PasswordCost::LEAST).unwrap();
        assert_ne!(hash, again, "salted");
    }

    #[test]
    fn tokens_are_long_and_of_the_alphabet_of_base64url() {
        let token = token().unwrap();
        assert_eq!(token.expose().len(), 43);
        assert!(token.expose().bytes().all(|byte| ALPHABET.contains(&byte)));
    }
}
