//! The keys of a call, agreed by Messaging Layer Security (RFC 9420, crate `openmls`).
//!
//! Everybody makes a [`Login`], with a key pair for this one call or one that the app keeps ([`Identity`]). One creates the [`Group`], the others send
//! a key package to a member, who adds them: the commit goes to all members, the welcome to the newcomers, by
//! the service that delivers the app's messages. That service sees no secret. It has to deliver commits to all
//! members in the same order, and decides which of two commits counts if they cross.
//!
//! Each commit begins an epoch with other keys, which are exported by RFC 9605, section 5.2: [`Group::enter`] hands
//! the [`Grant`] of the epoch to the [`KeyRing`], and [`Group::sender_keys`] seal.
//!
//! # The app decides
//! Every member may add and remove any other, and names itself. The service cannot read the messages, so it refuses
//! nothing. Therefore [`Group::process`] only shows what a commit of another member does ([`PendingCommit`]): the app
//! looks at the [`Change`] and calls [`Group::accept`], or leaves the call. `accept` itself refuses what the [`Rules`]
//! of the group forbid. A member proposes nothing but to leave.
//!
//! A member that refuses a commit that the others accept stays behind in the old epoch, by itself.
//!
//! # An organizer
//! A group may have an organizer, at first its creator ([`Login::create_as_organizer`]). Then only the organizer adds
//! members, removes others and [hands over](Group::hand_over) its role; everybody may renew its own keys, and commit
//! that others leave who want to. Every member refuses a commit that does more ([`Breach`]), so that neither the
//! service nor a member can appoint itself or anybody else. The service cannot tell such a commit from another: it must
//! not count a commit that members refuse, or a member could keep the group in its epoch by one.
//!
//! The organizer stands in the group's context, which is part of the keys of each epoch. It is always a member: it
//! cannot leave before it has handed over, and who has it from then on can remove it. If its device is lost, nobody can be
//! added or removed any more, and those who are left need another group. A newcomer is invited by the organizer alone,
//! and compares its fingerprint: nothing else proves whose group it is ([`Group::organizer`]).
//!
//! # Guests and insiders
//! A member may keep the upper spatial layers of its camera from guests: its leaf states a [`GuestCap`]
//! ([`Login::with_guest_caps`], [`Group::set_guest_caps`]). The layers up to it are sealed with keys of the call's group, and
//! all members open them. The keys of those above also need a secret of a second group, of the insiders, in which are the
//! same people without the guests ([`Group::set_insiders`]). Key ids and frames look as ever, with sender and epoch of the
//! call's group.
//!
//! A guest can see which members have a cap, and how large the layers are. It cannot open a layer above the cap, whatever
//! messages of both groups it has, nor seal one in a member's name so that insiders open it. As every member, it can seal
//! the layers up to the cap in each other's name ([why](super#senders-are-not-proven-by-their-keys)). No cap binds an
//! insider, who can pass on what it sees. Who states a cap and has no insiders seals no video.
//!
//! Each group has its own epochs. What counts is the insiders' group at the moment in which an epoch of the call begins, so
//! the service delivers the messages of both groups to all insiders in one order. A change among the insiders takes effect
//! with the next epoch of the call, and whoever commits it commits in the call's group too, afterwards: who becomes an
//! insider is added to both in this order, and who is to be a guest from now on is removed from the insiders, followed by
//! an [`update`](Group::update) of the call. Who is removed from the call alone opens nothing any more. An insider whose
//! insiders' group is in another epoch than the sender's had finds the upper layers
//! [not authentic](super::OpenError::NotAuthentic) until the next epoch of the call.
//!
//! [`Member::fingerprint`] lasts for as long as a login does, or the identity that it was made with: two people who
//! compared it once know each other's signature keys for the call, or for every call. The [`Code`] of an epoch proves that all who read the same digits have the same
//! members and keys.
//!
//! The lifetimes of key packages are checked against the system's clock when they are made and added; nothing else in
//! the crate reads a clock.
//!
//! ```
//! use bytes::BytesMut;
//! use layercast::Time;
//! use layercast::e2ee::mls::{Login, Outcome, Processed};
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
//! bobs.enter(now, &mut keys)?;
//! let mut opener = Opener::new(agreement, alices.member(), Context::audio(0));
//! opener.open(now, &keys, b"", &mut sealed)?;
//! assert_eq!(sealed, b"a frame of audio"[..]);
//!
//! // Bob leaves: the members that stay go on with other keys.
//! let proposal = bobs.leave()?;
//! assert!(matches!(alices.process(&proposal)?, Processed::Leaving(bob) if bob.name == b"bob"));
//! let commit = alices.commit()?;
//! assert_eq!(commit.change.removed[0].name, b"bob");
//! alices.merge()?;
//! let Processed::Commit(pending) = bobs.process(&commit.commit)? else { panic!("it is a commit") };
//! assert_eq!(pending.change().committer.name, b"alice");
//! assert_eq!(bobs.accept(pending)?, Outcome::Removed);
//! # Ok(())
//! # }
//! ```

mod attests;
mod error;
mod insiders;
mod login;
mod organizer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openmls::prelude::*;

use super::agreement::{Agreement, CipherSuite};
use super::attest::{Attester, SenderIdentity};
use super::issue::SenderKeys;
use super::keys::KeyRing;
pub use super::roster::{Breach, Change, Code, Fingerprint, Member, Rules};
use super::secret::{BaseKey, Grant, Scope};
pub use super::secret::{Identity, IdentityError};
use super::upper::{Caps, GuestCap, UpperLayers};
use crate::Time;
pub use error::MlsError;
use error::refused;
pub use login::{Login, MAX_LIFETIME};
use login::{SUITE, capabilities, decode, encode};

/// The shortest time for which a key package has to last when [`Group::add`] takes it, so that its owner has time to
/// join: a minute.
pub const MIN_LIFETIME: Duration = Duration::from_secs(60);

impl Login {
    /// Creates a group, with us as its only member.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn create(self, agreement: Agreement) -> Result<Group, MlsError> {
        self.create_with(agreement, Extensions::empty())
    }

    /// Creates a group, with us as its only member and its [organizer](Group::organizer).
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn create_as_organizer(self, agreement: Agreement) -> Result<Group, MlsError> {
        let extensions = organizer::naming(self.signer.public());
        self.create_with(agreement, extensions)
    }

    fn create_with(
        self,
        agreement: Agreement,
        extensions: Extensions<GroupContext>,
    ) -> Result<Group, MlsError> {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .use_ratchet_tree_extension(true)
            .lifetime(self.lifetime())
            .capabilities(capabilities())
            .with_group_context_extensions(extensions)
            .with_leaf_node_extensions(self.extensions.clone())
            .map_err(refused("making a group"))?
            .build();
        let group = MlsGroup::new(&self.provider, &*self.signer, &config, self.credential.clone())
            .map_err(refused("making a group"))?;
        Ok(Group::new(self, group, agreement))
    }

    /// Joins the group of a member who added our key package. Nobody but that member vouches for the others: the app
    /// looks at [`Group::members`], and at the [`Group::organizer`] if it is to have one. Their lifetimes are not checked,
    /// since they are in the group.
    ///
    /// # Errors
    /// If the welcome is not for us, or not sound. [`MlsError::NotOrganizers`] if the group has an organizer, and the
    /// welcome is another member's.
    pub fn join(self, agreement: Agreement, welcome: &[u8]) -> Result<Group, MlsError> {
        let MlsMessageBodyIn::Welcome(welcome) = decode(welcome, "welcome")?.extract() else {
            return Err(MlsError::Malformed("welcome"));
        };
        let config = MlsGroupJoinConfig::builder().use_ratchet_tree_extension(true).build();
        let staged = StagedWelcome::build_from_welcome(&self.provider, &config, welcome)
            .and_then(|builder| builder.skip_lifetime_validation().build())
            .map_err(refused("joining"))?;
        let organizer = organizer::named_by(staged.group_context().extensions());
        let sender = staged.welcome_sender().map_err(refused("joining"))?;
        if organizer.is_some_and(|organizer| organizer != sender.signature_key().as_slice()) {
            return Err(MlsError::NotOrganizers);
        }
        let group = staged.into_group(&self.provider).map_err(refused("joining"))?;
        Ok(Group::new(self, group, agreement))
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
    /// What it does, with the members who leave at their own wish.
    pub change: Change,
}

/// The outcome of [`Group::process`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Processed {
    /// A member wants to leave. It is removed when a member commits: every commit of ours includes it.
    Leaving(Member),
    /// A member commits a change. It takes effect with [`Group::accept`].
    Commit(PendingCommit),
    /// The message was our own, and changes nothing.
    Own,
}

/// A commit of another member, which was checked and has not taken effect. The app refuses it by dropping it.
pub struct PendingCommit {
    commit: Box<StagedCommit>,
    change: Box<Change>,
    /// The group and the member in it that it was processed for.
    of: (GroupId, u32),
}

impl PendingCommit {
    /// What it does.
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// Whether it removes us.
    pub fn removes_us(&self) -> bool {
        self.commit.self_removed()
    }
}

impl fmt::Debug for PendingCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCommit").field("change", &self.change).finish_non_exhaustive()
    }
}

/// The outcome of [`Group::accept`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A new epoch with other keys began: [`Group::enter`] it.
    Epoch(u64),
    /// We are no longer in the group.
    Removed,
}

/// The group of a call, as one member sees it.
pub struct Group {
    login: Login,
    group: MlsGroup,
    agreement: Agreement,
    /// The epoch whose sender keys were given out last.
    keys_of: Option<u64>,
    rules: Rules,
    /// The last epoch that began with a removal.
    last_removal: Option<u64>,
    /// What guests may open, in this epoch.
    caps: Arc<Caps>,
    /// The key of what they may not, in this epoch.
    insiders: Option<BaseKey>,
}

impl Group {
    fn new(login: Login, group: MlsGroup, agreement: Agreement) -> Self {
        let caps = insiders::caps(&group).into();
        let rules = Rules::default();
        Self { login, group, agreement, keys_of: None, rules, last_removal: None, caps, insiders: None }
    }

    /// Sets what commits may do from now on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Number of the epoch.
    pub fn epoch(&self) -> u64 {
        self.group.epoch().as_u64()
    }

    /// Our index in the group, which is the sender in our key ids.
    pub fn member(&self) -> u32 {
        self.group.own_leaf_index().u32()
    }

    /// All members, by their indices.
    pub fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.group.members().map(|member| {
            Member::new(member.index.u32(), member.credential.serialized_content(), &member.signature_key)
        })
    }

    /// The organizer, if the group was [created with one](Login::create_as_organizer): the one member who may add members,
    /// remove others and name another organizer. It stands in the group's context (RFC 9420, section 8.1), on which all
    /// members of an epoch agree.
    ///
    /// Nobody but its founder vouches for a group: the app of a joiner compares the organizer's
    /// [`fingerprint`](Member::fingerprint) to one that it knows.
    pub fn organizer(&self) -> Option<Member> {
        let key = organizer::named_by(self.group.extensions())?;
        self.members().find(|member| member.signature_key == key)
    }

    /// Adds the owners of key packages, and removes the members who want to leave. It takes effect with
    /// [`merge`](Self::merge).
    ///
    /// # Errors
    /// If a key package is not sound, a name is in use ([`Rules`]), or a commit of ours waits for `merge`.
    /// [`MlsError::Lifetime`] names the key package that is not in time.
    pub fn add(&mut self, key_packages: &[&[u8]]) -> Result<Commit, MlsError> {
        let crypto = self.login.provider.crypto();
        let key_packages = key_packages
            .iter()
            .map(|bytes| {
                let MlsMessageBodyIn::KeyPackage(key_package) = decode(bytes, "key package")?.extract()
                else {
                    return Err(MlsError::Malformed("key package"));
                };
                let failed = "checking a key package";
                let name = key_package.unverified_credential().credential.serialized_content().to_vec();
                let key_package =
                    key_package.validate(crypto, ProtocolVersion::Mls10).map_err(|e| match e {
                        KeyPackageVerifyError::LifetimeError(_) => MlsError::Lifetime { name: name.clone() },
                        e => refused(failed)(e),
                    })?;
                let lifetime = key_package.life_time();
                // openmls reads the clock, here as in every check of a lifetime.
                let soon = Lifetime::new(MIN_LIFETIME.as_secs()).not_after();
                if !lifetime.has_acceptable_range() || lifetime.not_after() < soon {
                    return Err(MlsError::Lifetime { name });
                }
                Ok(key_package)
            })
            .collect::<Result<Vec<_>, _>>()?;
        self.stage(|builder| Ok(builder.propose_adds(key_packages.iter().cloned())))
    }

    /// Removes members, and those who want to leave. It takes effect with [`merge`](Self::merge).
    ///
    /// # Errors
    /// If there is no such member, or a commit of ours waits for `merge`.
    pub fn remove(&mut self, members: &[u32]) -> Result<Commit, MlsError> {
        let members = members.iter().copied().map(LeafNodeIndex::new);
        self.stage(|builder| Ok(builder.propose_removals(members.clone())))
    }

    /// Removes the members who want to leave. It takes effect with [`merge`](Self::merge).
    ///
    /// # Errors
    /// If a commit of ours waits for `merge`.
    pub fn commit(&mut self) -> Result<Commit, MlsError> {
        self.stage(|builder| Ok(builder))
    }

    /// Begins a new epoch with new keys of our own, so that a thief of the old ones is shut out, and removes the
    /// members who want to leave. It takes effect with [`merge`](Self::merge).
    ///
    /// # Errors
    /// If a commit of ours waits for `merge`.
    pub fn update(&mut self) -> Result<Commit, MlsError> {
        self.stage(|builder| Ok(builder.force_self_update(true)))
    }

    /// Makes another member the [organizer](Self::organizer), and removes the members who want to leave. It takes effect
    /// with [`merge`](Self::merge).
    ///
    /// # Errors
    /// [`MlsError::Forbidden`] if we are not the organizer, or if there is no such member or it wants to leave; or if a
    /// commit of ours waits for `merge`.
    pub fn hand_over(&mut self, member: u32) -> Result<Commit, MlsError> {
        let next = self.group.member_at(LeafNodeIndex::new(member));
        let Some(next) = next.filter(|_| self.organizer().is_some()) else {
            let breach = if self.organizer().is_some() { Breach::NoOrganizer } else { Breach::Appoints };
            return Err(MlsError::Forbidden { member: self.member(), breach });
        };
        let extensions = organizer::naming(&next.signature_key);
        self.stage(|builder| builder.propose_group_context_extensions(extensions.clone()))
    }

    /// Begins a new epoch with other caps of what guests open of our own video streams, in place of those before, and
    /// removes the members who want to leave. It takes effect with [`merge`](Self::merge).
    ///
    /// # Errors
    /// [`MlsError::TooManyCaps`], or if a commit of ours waits for `merge`.
    pub fn set_guest_caps(&mut self, caps: &[GuestCap]) -> Result<Commit, MlsError> {
        let mut extensions =
            self.group.own_leaf().map_or_else(Extensions::empty, |leaf| leaf.extensions().clone());
        insiders::state(&mut extensions, caps)?;
        self.stage(|builder| {
            let leaf = LeafNodeParameters::builder().with_extensions(extensions.clone()).build();
            Ok(builder.leaf_node_parameters(leaf))
        })
    }

    /// The highest spatial layer of a video stream of a member that guests open, if it has a cap.
    pub fn guest_cap(&self, member: u32, stream: u16) -> Option<u8> {
        self.caps.get(&(member.into(), stream)).copied()
    }

    /// Takes the secret of the insiders for this epoch of the call: with it we open and seal the layers above the caps.
    /// `insiders` is the group of the insiders as of now, and other epochs of the call need it anew. Guests have none.
    ///
    /// An insider calls this as soon as an epoch of the call began, before [`enter`](Self::enter) and
    /// [`sender_keys`](Self::sender_keys), and before it processes the next message of the insiders' group.
    ///
    /// # Errors
    /// [`MlsError::InUse`] if it was taken in this epoch, or the sender keys of the epoch are in use. If we are no longer in
    /// one of the groups.
    pub fn set_insiders(&mut self, insiders: &Group) -> Result<(), MlsError> {
        let epoch = self.epoch();
        if self.keys_of == Some(epoch) || self.insiders.is_some() {
            return Err(MlsError::InUse { epoch });
        }
        let crypto = self.login.provider.crypto();
        let secret = insiders::secret(self.agreement, &self.group, &insiders.group, crypto)?;
        let base_key = self.grant()?.base_key.for_insiders(self.agreement.suite, &secret);
        self.insiders = Some(base_key);
        Ok(())
    }

    /// The layers above the caps in this epoch.
    fn upper(&self) -> UpperLayers {
        UpperLayers::new(self.epoch(), Arc::clone(&self.caps), self.insiders.clone())
    }

    /// Builds a commit with the proposals to leave, and without them if they are what it fails by.
    fn stage(
        &mut self,
        what: impl Fn(CommitBuilder<'_, Initial>) -> Result<CommitBuilder<'_, Initial>, CreateCommitError>,
    ) -> Result<Commit, MlsError> {
        if self.group.pending_commit().is_some() {
            return Err(MlsError::Pending);
        }
        match self.stage_once(&what, true) {
            Err(MlsError::Refused { .. }) if self.group.has_pending_proposals() => {
                self.stage_once(&what, false)
            }
            staged => staged,
        }
    }

    fn stage_once(
        &mut self,
        what: impl Fn(CommitBuilder<'_, Initial>) -> Result<CommitBuilder<'_, Initial>, CreateCommitError>,
        with_proposals: bool,
    ) -> Result<Commit, MlsError> {
        let (provider, failed) = (&self.login.provider, "committing");
        let bundle = what(self.group.commit_builder().consume_proposal_store(with_proposals))
            .map_err(refused(failed))?
            .load_psks(provider.storage())
            .map_err(refused(failed))?
            .build(provider.rand(), provider.crypto(), &*self.login.signer, |_| true)
            .map_err(refused(failed))?
            .stage_commit(provider)
            .map_err(refused(failed))?;
        let pending = self.group.pending_commit().ok_or(MlsError::Unexpected)?;
        let change = self.change(pending, self.group.own_leaf_index()).and_then(|change| {
            self.check(&change)?;
            Ok(change)
        });
        let change = match change {
            Ok(change) => change,
            Err(forbidden) => {
                self.discard()?;
                return Err(forbidden);
            }
        };
        let welcome = bundle.to_welcome_msg().map(|welcome| encode(&welcome)).transpose()?;
        Ok(Commit { commit: encode(bundle.commit())?, welcome: welcome.unwrap_or_default(), change })
    }

    /// What a commit does.
    fn change(&self, commit: &StagedCommit, committer: LeafNodeIndex) -> Result<Change, MlsError> {
        let member = committer.u32();
        let mut before: Vec<_> = self.members().collect();
        let at = before.iter().position(|before| before.index == member).ok_or(MlsError::Unexpected)?;
        let committer = before[at].clone();
        let of_leaf = |index, leaf: &LeafNode| {
            Member::new(index, leaf.credential().serialized_content(), leaf.signature_key().as_slice())
        };
        let (mut leavers, mut at_own_wish) = (Vec::new(), Vec::new());
        let mut newcomers = Vec::new();
        let mut named = None;
        for queued in commit.queued_proposals() {
            match queued.proposal() {
                Proposal::Remove(remove) => {
                    leavers.push(remove.removed().u32());
                    if *queued.sender() == Sender::Member(remove.removed()) {
                        at_own_wish.push(remove.removed().u32());
                    }
                }
                Proposal::Add(add) => newcomers.push(add.key_package().leaf_node()),
                Proposal::GroupContextExtensions(new)
                    if organizer::is_handed_over(self.group.extensions(), new.extensions()) =>
                {
                    named = organizer::named_by(new.extensions());
                }
                _ => return Err(MlsError::Forbidden { member, breach: Breach::Content }),
            }
        }
        let renamed = commit
            .update_path_leaf_node()
            .map(|leaf| of_leaf(member, leaf))
            .filter(|after| *after != committer)
            .map(|after| (committer.clone(), after));
        let removed: Vec<_> = before.extract_if(.., |before| leavers.contains(&before.index)).collect();
        let left = removed.iter().filter(|it| at_own_wish.contains(&it.index)).cloned().collect();
        // RFC 9420, section 12.1.1: each takes the leftmost leaf that is free.
        let mut added: Vec<Member> = Vec::new();
        let mut free = (0..).filter(|index| before.iter().all(|member| member.index != *index));
        for leaf in newcomers {
            added.push(of_leaf(free.next().ok_or(MlsError::Unexpected)?, leaf));
        }
        // Members now and in the next epoch.
        if let Some((before_it, after)) = &renamed {
            before.iter_mut().filter(|it| *it == before_it).for_each(|it| it.clone_from(after));
        }
        let staying = |key: &[u8]| before.iter().find(|it| it.signature_key == key).cloned();
        let organizer = named.and_then(staying);
        let change =
            Change { epoch: commit.epoch().as_u64(), committer, added, removed, left, renamed, organizer };
        if let Some(organizer) = self.organizer() {
            let next = named.unwrap_or(&organizer.signature_key);
            let has_next = staying(next).is_some();
            if let Some(breach) = change.breach_of_organizing(&organizer, named.is_some(), has_next) {
                return Err(MlsError::Forbidden { member, breach });
            }
        }
        Ok(change)
    }

    /// Refuses what the rules forbid.
    fn check(&self, change: &Change) -> Result<(), MlsError> {
        let before: Vec<_> = self.members().collect();
        let member = change.committer.index;
        change
            .breach(self.rules, &before)
            .map_or(Ok(()), |breach| Err(MlsError::Forbidden { member, breach }))
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
        let removes = self.group.pending_commit().is_some_and(|it| it.remove_proposals().next().is_some());
        self.group.merge_pending_commit(&self.login.provider).map_err(refused("merging"))?;
        self.began(removes);
        Ok(self.epoch())
    }

    /// Notes that an epoch began.
    fn began(&mut self, removes: bool) {
        if removes {
            self.last_removal = Some(self.epoch());
        }
        self.caps = insiders::caps(&self.group).into();
        self.insiders = None;
    }

    /// Drops our commit, if it was not delivered. [`accept`](Self::accept) drops it if another's came before.
    ///
    /// # Errors
    /// The storage in memory has none.
    pub fn discard(&mut self) -> Result<(), MlsError> {
        self.group.clear_pending_commit(self.login.provider.storage()).map_err(refused("discarding"))
    }

    /// Proposes that we leave. Another member has to commit it, since we must not know the new keys.
    ///
    /// # Errors
    /// If a commit of ours waits for [`merge`](Self::merge). [`MlsError::Forbidden`] if we are the organizer, who
    /// [hands over](Self::hand_over) first.
    pub fn leave(&mut self) -> Result<Vec<u8>, MlsError> {
        self.check_leaver(self.member())?;
        let message =
            self.group.leave_group(&self.login.provider, &*self.login.signer).map_err(refused("leaving"))?;
        encode(&message)
    }

    /// The organizer stays until it has handed over.
    fn check_leaver(&self, member: u32) -> Result<(), MlsError> {
        if self.organizer().is_some_and(|organizer| organizer.index == member) {
            return Err(MlsError::Forbidden { member, breach: Breach::NoOrganizer });
        }
        Ok(())
    }

    /// Reads a message of another member: its wish to leave, or a commit, which takes effect with
    /// [`accept`](Self::accept). A message can be processed once.
    ///
    /// # Errors
    /// If the message is not sound, not of this epoch, or not of a member. [`MlsError::Forbidden`] if a member
    /// proposes anything else than to leave, which is not kept, or commits anything else than members and keys, or what
    /// only the organizer may.
    pub fn process(&mut self, message: &[u8]) -> Result<Processed, MlsError> {
        let message = decode(message, "message")?;
        let message = message.try_into_protocol_message().map_err(|_| MlsError::Unexpected)?;
        let provider = &self.login.provider;
        let processed =
            self.group.process_message(provider, message).map_err(refused("processing a message"))?;
        let Sender::Member(sender) = *processed.sender() else {
            return Err(MlsError::Unexpected);
        };
        let member = sender.u32();
        match processed.into_content() {
            ProcessedMessageContent::ProposalMessage(proposal) => {
                let leaves = |proposal: &QueuedProposal| match proposal.proposal() {
                    Proposal::Remove(remove) => remove.removed() == sender,
                    _ => false,
                };
                if !leaves(&proposal) {
                    return Err(MlsError::Forbidden { member, breach: Breach::Proposal });
                }
                self.check_leaver(member)?;
                // One of each member suffices, so that no member fills the memory of the others.
                if !self.group.pending_proposals().any(leaves) {
                    self.group
                        .store_pending_proposal(provider.storage(), *proposal)
                        .map_err(refused("keeping a proposal"))?;
                }
                self.members()
                    .find(|leaver| leaver.index == member)
                    .map(Processed::Leaving)
                    .ok_or(MlsError::Unexpected)
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                let change = self.change(&commit, sender)?;
                let of = (self.group.group_id().clone(), self.member());
                Ok(Processed::Commit(PendingCommit { commit, change: Box::new(change), of }))
            }
            ProcessedMessageContent::OwnPrivateMessage => Ok(Processed::Own),
            _ => Err(MlsError::Unexpected),
        }
    }

    /// Makes a commit of another member take effect. A commit of ours that waits is dropped.
    ///
    /// # Errors
    /// [`MlsError::Forbidden`] if it does what the [`Rules`] forbid; [`MlsError::Unexpected`] if it was processed for
    /// another member or epoch. The group is then as it was, and the commit is refused.
    pub fn accept(&mut self, pending: PendingCommit) -> Result<Outcome, MlsError> {
        let PendingCommit { commit, change, of } = pending;
        if of != (self.group.group_id().clone(), self.member()) || change.epoch != self.epoch() + 1 {
            return Err(MlsError::Unexpected);
        }
        let removed = commit.self_removed();
        // We have no say in what the others do without us.
        if !removed {
            self.check(&change)?;
        }
        self.group.merge_staged_commit(&self.login.provider, *commit).map_err(refused("merging"))?;
        self.began(!change.removed.is_empty());
        Ok(if removed { Outcome::Removed } else { Outcome::Epoch(self.epoch()) })
    }

    /// Adds the grant of this epoch to a ring at the time `now`. Those of the epochs before end after the ring's
    /// overlap, and within [`ROUND_TRIP`](super::ROUND_TRIP) if a removed member knows them.
    ///
    /// # Errors
    /// If we are no longer in the group.
    pub fn enter(&self, now: Time, keys: &mut KeyRing) -> Result<(), MlsError> {
        keys.add_with(now, self.grant()?, self.upper());
        if let Some(epoch) = self.last_removal {
            keys.end_before(now, epoch);
        }
        Ok(())
    }

    /// The grant that opens everything that is sealed in this epoch, but for layers above a [`GuestCap`]. A ring has it
    /// from [`enter`](Self::enter), which knows of the caps.
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
        let keys = SenderKeys::new(self.agreement, self.member(), self.grant()?, Some(self.upper()));
        self.keys_of = Some(epoch);
        Ok(keys)
    }

    /// Signs what we seal in this group, every `interval` at the latest, say
    /// [`attest::INTERVAL`](super::attest::INTERVAL). It holds a share of our signature key, and serves all streams in all
    /// epochs.
    pub fn attester(&self, interval: Duration) -> Attester {
        let group_id = self.group.group_id().to_vec();
        Attester::new(Arc::clone(&self.login.signer) as _, group_id, self.member(), interval)
    }

    /// Whether a member says that it attests all that it seals: [`Login::with_attestations`]. Of one that does not,
    /// frames without an attestation prove nothing.
    pub fn attests(&self, member: u32) -> bool {
        let leaf = self.group.public_group().leaf(LeafNodeIndex::new(member));
        leaf.is_some_and(attests::is_stated_by)
    }

    /// Whose attestations count as those of a member in this epoch. `None` if there is no such member.
    pub fn sender(&self, member: u32) -> Option<SenderIdentity> {
        let leaf = self.group.member_at(LeafNodeIndex::new(member))?;
        let (group_id, epoch) = (self.group.group_id().to_vec(), self.epoch());
        Some(SenderIdentity { group_id, epoch, member, signature_key: leaf.signature_key })
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
        Ok(Code::new(authenticator))
    }

    #[cfg(test)]
    pub(super) fn parts(
        &mut self,
    ) -> (&mut MlsGroup, &openmls_rust_crypto::OpenMlsRustCrypto, &openmls_basic_credential::SignatureKeyPair)
    {
        (&mut self.group, &self.login.provider, &self.login.signer)
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
