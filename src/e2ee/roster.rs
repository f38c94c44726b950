//! Who is in a group, and what a commit does to it: what an app decides by.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Blocks of five digits that people read to each other: 199 bits.
const BLOCKS: usize = 12;

/// Twelve blocks of five digits by HKDF.
fn digits(key: &[u8], info: &[&[u8]]) -> [u32; BLOCKS] {
    let mut bytes = Zeroizing::new([0; 8 * BLOCKS]);
    Hkdf::<Sha512>::new(None, key)
        .expand_multi_info(info, &mut *bytes)
        .expect("far shorter than what HKDF can give");
    let mut blocks = [0; BLOCKS];
    for (block, bytes) in blocks.iter_mut().zip(bytes.as_chunks().0) {
        *block = (u64::from_be_bytes(*bytes) % 100_000) as u32;
    }
    blocks
}

/// Writes blocks of five digits.
fn write_digits(blocks: &[u32; BLOCKS], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, block) in blocks.iter().enumerate() {
        let space = if index == 0 { "" } else { " " };
        write!(f, "{space}{block:05}")?;
    }
    Ok(())
}

/// Sixty digits of one login: of its name and its signature key. They last for as long as the login does, over all
/// epochs, or as long as its [`Identity`](super::mls::Identity), over all calls, and are no secret. A person can publish them before the call, and the others compare.
///
/// Nobody can make another login with the same digits: that takes 2^199 tries.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    blocks: [u32; BLOCKS],
}

impl Fingerprint {
    pub(super) fn new(signature_key: &[u8], name: &[u8]) -> Self {
        let size = (signature_key.len() as u64).to_be_bytes();
        Self { blocks: digits(name, &[b"layercast 1.0 Fingerprint", &size, signature_key]) }
    }
}

impl fmt::Display for Fingerprint {
    /// Twelve blocks of five digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_digits(&self.blocks, f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
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
    blocks: [u32; BLOCKS],
}

impl Code {
    pub(super) fn new(authenticator: &[u8]) -> Self {
        Self { blocks: digits(authenticator, &[b"layercast 1.0 Code"]) }
    }
}

impl fmt::Display for Code {
    /// Twelve blocks of five digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_digits(&self.blocks, f)
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

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its index, which is the sender in its key ids. Another member can get it once this one is gone.
    pub index: u32,
    /// The name that it gave itself. MLS proves nothing about it: the app has to vouch for it.
    pub name: Vec<u8>,
    /// Its public signature key, which proves that messages of MLS come from it.
    pub signature_key: Vec<u8>,
    /// The digits of name and signature key.
    pub fingerprint: Fingerprint,
}

impl Member {
    pub(super) fn new(index: u32, name: &[u8], signature_key: &[u8]) -> Self {
        let fingerprint = Fingerprint::new(signature_key, name);
        Self { index, name: name.to_vec(), signature_key: signature_key.to_vec(), fingerprint }
    }
}

/// What a commit does to the group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The epoch that it begins.
    pub epoch: u64,
    /// The member who committed it, as it was before: its signature proves that.
    pub committer: Member,
    /// The members that it adds.
    pub added: Vec<Member>,
    /// The members that it removes.
    pub removed: Vec<Member>,
    /// Those of them who leave at their own wish.
    pub left: Vec<Member>,
    /// The member that it gives another name or another signature key, before and after. MLS lets a commit do that to
    /// its committer alone.
    pub renamed: Option<(Member, Member)>,
    /// The member to whom the organizer hands over.
    pub organizer: Option<Member>,
}

impl Change {
    /// The rule that it breaks, in a group of these members.
    pub(super) fn breach(&self, rules: Rules, before: &[Member]) -> Option<Breach> {
        if let (false, Some((before, after))) = (rules.rename, &self.renamed) {
            return Some(Breach::Renamed { before: before.name.clone(), after: after.name.clone() });
        }
        if rules.share_names {
            return None;
        }
        // A name that the same commit sets free is still taken: else a commit could swap a member for another.
        let mut taken: Vec<_> = before.iter().map(|member| &member.name).collect();
        let new_name = self.renamed.iter().filter(|(before, after)| before.name != after.name);
        for member in new_name.map(|(_, after)| after).chain(&self.added) {
            if taken.contains(&&member.name) {
                return Some(Breach::NameInUse { name: member.name.clone() });
            }
            taken.push(&member.name);
        }
        None
    }
}

impl Change {
    /// The rule of a group with this organizer that it breaks, if it names an organizer or does not, and if whoever is
    /// the organizer behind it is a member then.
    pub(super) fn breach_of_organizing(
        &self,
        organizer: &Member,
        names: bool,
        has_next: bool,
    ) -> Option<Breach> {
        let is_organizers = self.committer.index == organizer.index;
        match self {
            _ if is_organizers => (!has_next).then_some(Breach::NoOrganizer),
            _ if names => Some(Breach::Appoints),
            _ if !self.added.is_empty() => Some(Breach::Adds),
            _ if self.removed.len() > self.left.len() => Some(Breach::Removes),
            _ => (!has_next).then_some(Breach::NoOrganizer),
        }
    }
}

/// What commits may do in a group. Those of others that do more are refused, and our own are not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs)] // Apps build it with `..Rules::default()`.
pub struct Rules {
    /// A member may give itself another name or another signature key. `false` by default.
    pub rename: bool,
    /// Two members may have the same name, and one commit may replace a member by another of the same name. `false`
    /// by default: a person who comes back is removed by one commit and added by another.
    pub share_names: bool,
}

/// What a member did that has no place in a call, or that the [`Rules`] forbid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// It proposed something else than to leave by itself.
    #[error("proposes something else than to leave")]
    Proposal,
    /// It committed something else than to add and remove members, to renew its own keys and to hand over.
    #[error("commits something else than members and its own keys")]
    Content,
    /// It gave itself another name, or another signature key.
    #[error("goes from {} to {}, or to another key", before.escape_ascii(), after.escape_ascii())]
    Renamed {
        /// The name before.
        before: Vec<u8>,
        /// The name after.
        after: Vec<u8>,
    },
    /// It gave a name to somebody that another member has, or had until this commit.
    #[error("gives the name {} twice", name.escape_ascii())]
    NameInUse {
        /// The name.
        name: Vec<u8>,
    },
    /// It added somebody to a group with an organizer, and is not the organizer.
    #[error("adds a member and is not the organizer")]
    Adds,
    /// It removed somebody who did not ask for it from a group with an organizer, and is not the organizer.
    #[error("removes a member and is not the organizer")]
    Removes,
    /// It named an organizer, and is not the organizer.
    #[error("names an organizer and is not the organizer")]
    Appoints,
    /// It left a group with an organizer without one: the organizer leaves, changes its key, or hands over to somebody
    /// who is not a member before and after the commit.
    #[error("leaves the group without its organizer")]
    NoOrganizer,
}
