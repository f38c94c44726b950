//! The keys of a call, agreed by Messaging Layer Security (RFC 9420, crate `openmls`).
//!
//! Everybody makes a [`Login`], with a key pair for this one call. One creates the [`Group`], the others send
//! a key package to a member, who adds them: the commit goes to all members, the welcome to the newcomers, by
//! the service that delivers the app's messages. That service sees no secret. It has to deliver commits to all
//! members in the same order, and decides which of two commits counts if they cross.
//!
//! Each commit begins an epoch with other keys, which are exported by RFC 9605, section 5.2: the [`Grant`] of the
//! epoch goes into the [`KeyRing`](super::KeyRing), and [`Group::sender_keys`] seal.
//!
//! The lifetimes of key packages are checked against the system's clock, by the crate `openmls`; nothing else in
//! the crate reads a clock.
//!
//! ```
//! use bytes::BytesMut;
//! use layercast::Time;
//! use layercast::e2ee::mls::{Login, Processed};
//! use layercast::e2ee::{Agreement, Context, KeyRing, Opener};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let agreement = Agreement::default();
//! let day = Duration::from_secs(24 * 60 * 60);
//! let (alice, bob) = (Login::new(b"alice", day)?, Login::new(b"bob", day)?);
//! let key_package = bob.key_package()?;
//!
//! let mut alices = alice.create(agreement)?;
//! let invitation = alices.add(&[&key_package])?;
//! alices.merge()?;
//! let mut bobs = bob.join(agreement, &invitation.welcome)?;
//! assert_eq!(alices.code()?, bobs.code()?);
//!
//! let mut sealed = BytesMut::new();
//! let mut sealer = alices.sender_keys()?.sealer(Context::audio(0))?;
//! sealer.seal(b"", b"a frame of audio", &mut sealed)?;
//!
//! let now = Time::ZERO;
//! let mut keys = KeyRing::new(agreement, Duration::from_secs(5));
//! keys.add(now, bobs.grant()?);
//! let mut opener = Opener::new(agreement, alices.member(), Context::audio(0));
//! opener.open(now, &keys, b"", &mut sealed)?;
//! assert_eq!(sealed, b"a frame of audio"[..]);
//!
//! // Bob leaves: the members that stay go on with other keys.
//! let proposal = bobs.leave()?;
//! assert!(matches!(alices.process(&proposal)?, Processed::Proposal));
//! let commit = alices.commit()?;
//! alices.merge()?;
//! assert!(matches!(bobs.process(&commit.commit)?, Processed::Removed));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::time::Duration;

use hkdf::Hkdf;
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::*;
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::agreement::{Agreement, CipherSuite};
use super::issue::SenderKeys;
use super::secret::{BaseKey, Grant, Scope};

/// The suite that every implementation of MLS has: X25519, AES-128-GCM, SHA-256, Ed25519.
const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Blocks of five digits in a [`Code`].
const CODE_BLOCKS: usize = 12;

/// Why an operation of MLS failed. The group is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MlsError {
    /// The bytes are no such message of MLS.
    #[error("not a {0} of MLS")]
    Malformed(&'static str),
    /// It is a message of MLS that has no place in a call, or that no member sent.
    #[error("a message of MLS that has no place here")]
    Unexpected,
    /// The keys of this epoch are in use already: one sender, one set of keys.
    #[error("the sender keys of epoch {epoch} are in use")]
    InUse {
        /// The epoch.
        epoch: u64,
    },
    /// A commit of our own waits for [`Group::merge`] or [`Group::discard`].
    #[error("a commit of our own is not merged yet")]
    Pending,
    /// The protocol does not allow it: say the message is of another epoch, or its signature is wrong.
    #[error("{what}: {source}")]
    Refused {
        /// The operation.
        what: &'static str,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Names what failed.
fn refused<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> MlsError {
    move |source| MlsError::Refused { what, source: Box::new(source) }
}

/// A person about to take part in one call: a name, and a key pair made for the call.
///
/// It cannot be copied or stored, and the group uses it up: a member who comes back needs another, with other keys.
pub struct Login {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    credential: CredentialWithKey,
    lifetime: Duration,
}

impl Login {
    /// A new identity under a name, which the others see and the app has to vouch for. It can be used to join
    /// for `lifetime`, to the second and 136 years at most, by the system's clock; in a call that may last longer,
    /// call [`Group::update`] within it.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn new(name: &[u8], lifetime: Duration) -> Result<Self, MlsError> {
        let signer =
            SignatureKeyPair::new(SUITE.signature_algorithm()).map_err(refused("making a key pair"))?;
        let credential = CredentialWithKey {
            credential: BasicCredential::new(name.to_vec()).into(),
            signature_key: signer.public().into(),
        };
        Ok(Self { provider: OpenMlsRustCrypto::default(), signer, credential, lifetime })
    }

    /// A KeyPackage as an MLSMessage: a member needs it to add us, and can use it once.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn key_package(&self) -> Result<Vec<u8>, MlsError> {
        let bundle = KeyPackage::builder()
            .key_package_lifetime(self.lifetime())
            .build(SUITE, &self.provider, &self.signer, self.credential.clone())
            .map_err(refused("making a key package"))?;
        encode(&MlsMessageOut::from(bundle.into_key_package()))
    }

    /// Creates a group, with us as its only member.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn create(self, agreement: Agreement) -> Result<Group, MlsError> {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .use_ratchet_tree_extension(true)
            .lifetime(self.lifetime())
            .build();
        let group = MlsGroup::new(&self.provider, &self.signer, &config, self.credential.clone())
            .map_err(refused("making a group"))?;
        Ok(Group { login: self, group, agreement, keys_of: None })
    }

    /// Joins the group of a member who added our key package.
    ///
    /// # Errors
    /// If the welcome is not for us, or not sound.
    pub fn join(self, agreement: Agreement, welcome: &[u8]) -> Result<Group, MlsError> {
        let MlsMessageBodyIn::Welcome(welcome) = decode(welcome, "welcome")?.extract() else {
            return Err(MlsError::Malformed("welcome"));
        };
        let config = MlsGroupJoinConfig::builder().use_ratchet_tree_extension(true).build();
        let group = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None)
            .and_then(|staged| staged.into_group(&self.provider))
            .map_err(refused("joining"))?;
        Ok(Group { login: self, group, agreement, keys_of: None })
    }

    /// From now on. openmls adds to the seconds since 1970 without a check.
    fn lifetime(&self) -> Lifetime {
        Lifetime::new(self.lifetime.as_secs().min(u32::MAX.into()))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("credential", &self.credential.credential).finish_non_exhaustive()
    }
}

/// A commit of ours, to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit {
    /// For the members, as an MLSMessage.
    pub commit: Vec<u8>,
    /// For the newcomers, as an MLSMessage; empty if the commit adds nobody.
    pub welcome: Vec<u8>,
}

/// The outcome of [`Group::process`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Processed {
    /// A member proposes a change, such as to leave. It takes effect when a member calls [`Group::commit`].
    Proposal,
    /// A new epoch with other keys began.
    Epoch(u64),
    /// We are no longer in the group.
    Removed,
    /// The message was our own, and changes nothing.
    Own,
}

/// The group of a call, as one member sees it.
pub struct Group {
    login: Login,
    group: MlsGroup,
    agreement: Agreement,
    /// The epoch whose sender keys were given out last.
    keys_of: Option<u64>,
}

impl Group {
    /// Number of the epoch.
    pub fn epoch(&self) -> u64 {
        self.group.epoch().as_u64()
    }

    /// Our index in the group, which is the sender in our key ids.
    pub fn member(&self) -> u32 {
        self.group.own_leaf_index().u32()
    }

    /// Indices and names of all members.
    pub fn members(&self) -> impl Iterator<Item = (u32, Vec<u8>)> + '_ {
        self.group
            .members()
            .map(|member| (member.index.u32(), member.credential.serialized_content().to_vec()))
    }

    /// Adds the owners of key packages, and commits what members proposed. It takes effect with
    /// [`merge`](Self::merge).
    ///
    /// # Errors
    /// If a key package is not sound or its lifetime is over, or a commit of ours waits for `merge`.
    pub fn add(&mut self, key_packages: &[&[u8]]) -> Result<Commit, MlsError> {
        let crypto = self.login.provider.crypto();
        let key_packages = key_packages
            .iter()
            .map(|bytes| match decode(bytes, "key package")?.extract() {
                MlsMessageBodyIn::KeyPackage(key_package) => key_package
                    .validate(crypto, ProtocolVersion::Mls10)
                    .map_err(refused("checking a key package")),
                _ => Err(MlsError::Malformed("key package")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.stage(|builder| builder.propose_adds(key_packages))
    }

    /// Removes members, and commits what members proposed. It takes effect with [`merge`](Self::merge).
    ///
    /// # Errors
    /// If there is no such member, or a commit of ours waits for `merge`.
    pub fn remove(&mut self, members: &[u32]) -> Result<Commit, MlsError> {
        let members: Vec<_> = members.iter().copied().map(LeafNodeIndex::new).collect();
        self.stage(|builder| builder.propose_removals(members))
    }

    /// Commits what members proposed. It takes effect with [`merge`](Self::merge).
    ///
    /// # Errors
    /// If a commit of ours waits for `merge`.
    pub fn commit(&mut self) -> Result<Commit, MlsError> {
        self.stage(|builder| builder)
    }

    /// Begins a new epoch with new keys of our own, so that a thief of the old ones is shut out. It takes effect
    /// with [`merge`](Self::merge).
    ///
    /// # Errors
    /// If a commit of ours waits for `merge`.
    pub fn update(&mut self) -> Result<Commit, MlsError> {
        self.stage(|builder| builder.force_self_update(true))
    }

    fn stage(
        &mut self,
        what: impl FnOnce(CommitBuilder<'_, Initial>) -> CommitBuilder<'_, Initial>,
    ) -> Result<Commit, MlsError> {
        if self.group.pending_commit().is_some() {
            return Err(MlsError::Pending);
        }
        let (provider, failed) = (&self.login.provider, "committing");
        let bundle = what(self.group.commit_builder())
            .load_psks(provider.storage())
            .map_err(refused(failed))?
            .build(provider.rand(), provider.crypto(), &self.login.signer, |_| true)
            .map_err(refused(failed))?
            .stage_commit(provider)
            .map_err(refused(failed))?;
        let welcome = bundle.to_welcome_msg().map(|welcome| encode(&welcome)).transpose()?;
        Ok(Commit { commit: encode(bundle.commit())?, welcome: welcome.unwrap_or_default() })
    }

    /// Makes our commit take effect, once the delivery service took it before any other of this epoch. Returns the
    /// new epoch.
    ///
    /// # Errors
    /// If no commit of ours waits.
    pub fn merge(&mut self) -> Result<u64, MlsError> {
        if self.group.pending_commit().is_none() {
            return Err(MlsError::Unexpected);
        }
        self.group.merge_pending_commit(&self.login.provider).map_err(refused("merging"))?;
        Ok(self.epoch())
    }

    /// Drops our commit, if it was not delivered. [`process`](Self::process) drops it if another's came before.
    ///
    /// # Errors
    /// The storage in memory has none.
    pub fn discard(&mut self) -> Result<(), MlsError> {
        self.group.clear_pending_commit(self.login.provider.storage()).map_err(refused("discarding"))
    }

    /// Proposes that we leave. Another member has to commit it, since we must not know the new keys.
    ///
    /// # Errors
    /// If a commit of ours waits for [`merge`](Self::merge).
    pub fn leave(&mut self) -> Result<Vec<u8>, MlsError> {
        let message =
            self.group.leave_group(&self.login.provider, &self.login.signer).map_err(refused("leaving"))?;
        encode(&message)
    }

    /// Takes a proposal or a commit of another member.
    ///
    /// Every member may add and remove any other: neither this nor the delivery service, which cannot read the
    /// messages, refuses it. [`members`](Self::members) does not tell a member from one that took its place under
    /// the same name; only people who compare the [`code`](Self::code) of the new epoch find out.
    ///
    /// # Errors
    /// If the message is not sound, not of this epoch, or not of a member.
    pub fn process(&mut self, message: &[u8]) -> Result<Processed, MlsError> {
        let message = decode(message, "message")?;
        let message = message.try_into_protocol_message().map_err(|_| MlsError::Unexpected)?;
        let provider = &self.login.provider;
        let processed =
            self.group.process_message(provider, message).map_err(refused("processing a message"))?;
        if !matches!(processed.sender(), Sender::Member(_)) {
            return Err(MlsError::Unexpected);
        }
        match processed.into_content() {
            ProcessedMessageContent::ProposalMessage(proposal) => {
                self.group
                    .store_pending_proposal(provider.storage(), *proposal)
                    .map_err(refused("keeping a proposal"))?;
                Ok(Processed::Proposal)
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                let removed = commit.self_removed();
                self.group.merge_staged_commit(provider, *commit).map_err(refused("merging"))?;
                Ok(if removed { Processed::Removed } else { Processed::Epoch(self.epoch()) })
            }
            ProcessedMessageContent::OwnPrivateMessage => Ok(Processed::Own),
            _ => Err(MlsError::Unexpected),
        }
    }

    /// The grant that opens everything that is sealed in this epoch.
    ///
    /// # Errors
    /// If we are no longer in the group.
    pub fn grant(&self) -> Result<Grant, MlsError> {
        // RFC 9605, section 5.2.
        let size = self.agreement.suite.key_len();
        let base_key = self
            .group
            .export_secret(self.login.provider.crypto(), "SFrame 1.0 Base Key", b"", size)
            .map_err(refused("exporting the base key"))?;
        Ok(Grant { epoch: self.epoch(), scope: Scope::Group, base_key: BaseKey::new(base_key) })
    }

    /// The keys that we seal with in this epoch. They are given once: a second set would count from 0 again.
    ///
    /// # Errors
    /// [`MlsError::InUse`], or if we are no longer in the group.
    pub fn sender_keys(&mut self) -> Result<SenderKeys, MlsError> {
        let epoch = self.epoch();
        if self.keys_of == Some(epoch) {
            return Err(MlsError::InUse { epoch });
        }
        let keys = SenderKeys::new(self.agreement, self.member(), self.grant()?);
        self.keys_of = Some(epoch);
        Ok(keys)
    }

    /// The code of this epoch, for people to compare.
    ///
    /// # Errors
    /// If we are no longer in the group.
    pub fn code(&self) -> Result<Code, MlsError> {
        if !self.group.is_active() {
            return Err(MlsError::Unexpected);
        }
        let authenticator = self.group.epoch_authenticator().as_slice();
        let mut bytes = Zeroizing::new([0; 8 * CODE_BLOCKS]);
        Hkdf::<Sha512>::new(None, authenticator)
            .expand(b"layercast 1.0 Code", &mut *bytes)
            .expect("far shorter than what HKDF can give");
        let mut blocks = [0; CODE_BLOCKS];
        for (block, bytes) in blocks.iter_mut().zip(bytes.as_chunks().0) {
            *block = (u64::from_be_bytes(*bytes) % 100_000) as u32;
        }
        Ok(Code { blocks })
    }

    /// The suite that frames are sealed with.
    pub fn suite(&self) -> CipherSuite {
        self.agreement.suite
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("epoch", &self.epoch())
            .field("member", &self.member())
            .finish_non_exhaustive()
    }
}

/// Sixty digits that all members of an epoch have in common, from its epoch authenticator (RFC 9420, section
/// 8.7). People who read the same digits to each other are in the same group, and nobody sits between them.
///
/// The digits carry 199 bits. An attacker in the middle has two groups, one with each side, and can try members
/// and updates until the two show the same digits: that takes 2^100 tries. Fewer digits would be quicker to read
/// and not safe: 20 digits take 2^33 tries, minutes on one machine.
#[derive(Clone, Copy)]
pub struct Code {
    blocks: [u32; CODE_BLOCKS],
}

impl fmt::Display for Code {
    /// Twelve blocks of five digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, block) in self.blocks.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{block:05}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

impl PartialEq for Code {
    fn eq(&self, other: &Self) -> bool {
        self.blocks.ct_eq(&other.blocks).into()
    }
}

impl Eq for Code {}

fn encode(message: &MlsMessageOut) -> Result<Vec<u8>, MlsError> {
    message.tls_serialize_detached().map_err(refused("writing a message"))
}

fn decode(bytes: &[u8], what: &'static str) -> Result<MlsMessageIn, MlsError> {
    MlsMessageIn::tls_deserialize_exact(bytes).map_err(|_| MlsError::Malformed(what))
}
