//! What a relay reads of a STUN message before it knows whom it is from (RFC 8489). `is` reads the rest.

/// Bytes of the header of a message.
const HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Method and class of a binding request (RFC 8489, section 5).
const BINDING_REQUEST: [u8; 2] = [0, 1];
/// The attributes USERNAME, NETWORK-COST, and those that `is` writes a warning about.
const USERNAME: u16 = 0x0006;
const NETWORK_COST: u16 = 0xc057;
const NEVER_IN_CHECKS: [u16; 3] = [0x0001, 0x000a, 0x8023];

/// Whether a datagram is a STUN binding request: by its header alone, so that it may be anyone's.
pub fn is_binding_request(datagram: &[u8]) -> bool {
    is_stun(datagram) && datagram[..2] == BINDING_REQUEST
}

/// The username fragment of the link that a STUN binding request is for, which is the first half of its USERNAME (RFC
/// 8445, section 7.2.2). A server finds the link of a datagram from an unknown address by it. Nothing is authenticated:
/// [`Link::handle_datagram`](crate::Link::handle_datagram) does that.
///
/// `None` for all other datagrams. This allocates nothing.
pub fn ufrag_of(datagram: &[u8]) -> Option<&str> {
    if !is_binding_request(datagram) {
        return None;
    }
    let (_, name) = attributes(datagram).find(|&(kind, _)| kind == USERNAME)?;
    Some(str::from_utf8(name).ok()?.split_once(':')?.0)
}

/// Whether a datagram is a STUN message of one piece, by its header.
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER
        && datagram[4..8] == MAGIC_COOKIE
        && usize::from(u16::from_be_bytes([datagram[2], datagram[3]])) == datagram.len() - HEADER
}

/// Whether a message has only attributes that a connectivity check or its answer may have. `is` writes a warning for
/// each message that has others, and anybody could fill a log with them.
pub(crate) fn is_check(datagram: &[u8]) -> bool {
    is_stun(datagram)
        && attributes(datagram).all(|(kind, value)| {
            !NEVER_IN_CHECKS.contains(&kind) && (kind != NETWORK_COST || value.len() == 4)
        })
}

/// Types and values of the attributes, as far as they are whole. The datagram has a header.
fn attributes(datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = &datagram[HEADER..];
    std::iter::from_fn(move || {
        let (&[k0, k1, l0, l1], behind) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let value = behind.get(..length)?;
        rest = behind.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_be_bytes([k0, k1]), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5769, section 2.1.
    const REQUEST: &[u8] =
        b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x10STUN test client\
        \x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
        \x00\x06\x00\x09\x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20\
        \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
        \x80\x28\x00\x04\xe5\x7a\x3b\xcf";

    #[test]
    fn the_request_of_rfc_5769_is_for_evtj() {
        assert!(is_binding_request(REQUEST) && is_check(REQUEST));
        assert_eq!(ufrag_of(REQUEST), Some("evtj"));
    }

    #[test]
    fn what_is_cut_or_of_another_class_is_for_nobody() {
        for end in 0..REQUEST.len() {
            assert_eq!(ufrag_of(&REQUEST[..end]), None);
        }
        let mut response = REQUEST.to_vec();
        response[0] = 1;
        assert!(!is_binding_request(&response) && is_check(&response));
        let mut odd = REQUEST.to_vec();
        odd[20..22].copy_from_slice(&[0, 1]);
        assert!(!is_check(&odd));
        assert_eq!(ufrag_of(&odd), Some("evtj"));
    }
}
