//! Single bits and leb128() numbers, read from a slice or written to one.

use super::error::BitstreamError;

/// Reads syntax elements from a slice, most significant bit first.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    /// A reader that stands at the first bit of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0 }
    }

    /// Bits read so far: get_position() of section 4.10.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Reads f(n); `n` is at most 32.
    ///
    /// # Errors
    /// [`BitstreamError::End`] if fewer than `n` bits are left.
    pub fn bits(&mut self, n: u32) -> Result<u32, BitstreamError> {
        debug_assert!(n <= 32);
        let end = self.position + n as usize;
        if end > self.data.len() * 8 {
            return Err(BitstreamError::End);
        }
        let mut value = 0u64;
        for byte in &self.data[self.position / 8..end.div_ceil(8)] {
            value = value << 8 | u64::from(*byte);
        }
        // The loop took at most 5 bytes. The bits after the last wanted one are shifted out.
        value >>= end.div_ceil(8) * 8 - end;
        self.position = end;
        Ok((value & ((1 << n) - 1)) as u32)
    }

    /// Reads byte_alignment(), zero bits up to the next whole byte, and returns the bytes that follow.
    ///
    /// # Errors
    /// [`BitstreamError::TrailingBits`] if one of the bits is set.
    pub fn byte_alignment(&mut self) -> Result<&'a [u8], BitstreamError> {
        let n = self.position.next_multiple_of(8) - self.position;
        if self.bits(n as u32)? != 0 {
            return Err(BitstreamError::TrailingBits);
        }
        Ok(&self.data[self.position / 8..])
    }

    /// Reads trailing_bits(): a one, then zeros to the end of the data.
    ///
    /// # Errors
    /// [`BitstreamError::TrailingBits`] if the data hold anything else.
    pub fn trailing_bits(&mut self) -> Result<(), BitstreamError> {
        let rest = self.data.len() * 8 - self.position;
        if rest == 0 || self.bits(1)? != 1 {
            return Err(BitstreamError::TrailingBits);
        }
        match self.byte_alignment()?.iter().all(|&byte| byte == 0) {
            true => Ok(()),
            false => Err(BitstreamError::TrailingBits),
        }
    }
}

/// Writes syntax elements, most significant bit first.
#[derive(Debug, Clone, Default)]
pub struct BitWriter {
    data: Vec<u8>,
    /// Bits of the last byte not yet written, 0 to 7.
    free: u32,
}

impl BitWriter {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bits written so far.
    pub fn position(&self) -> usize {
        self.data.len() * 8 - self.free as usize
    }

    /// Writes f(n), the low `n` bits of `value`; `n` is at most 32.
    pub fn bits(&mut self, n: u32, value: u32) {
        debug_assert!(n <= 32);
        let mut left = n;
        while left > 0 {
            if self.free == 0 {
                self.data.push(0);
                self.free = 8;
            }
            let take = left.min(self.free);
            let part = (u64::from(value) >> (left - take)) as u32 & ((1 << take) - 1);
            if let Some(last) = self.data.last_mut() {
                *last |= (part << (self.free - take)) as u8;
            }
            self.free -= take;
            left -= take;
        }
    }

    /// Writes byte_alignment(): zero bits up to the next whole byte.
    pub fn byte_alignment(&mut self) {
        self.free = 0;
    }

    /// Writes trailing_bits(): a one, then zeros up to the next whole byte.
    pub fn trailing_bits(&mut self) {
        self.bits(1, 1);
        self.byte_alignment();
    }

    /// The bytes written. Bits that the last one lacks are zero.
    pub fn into_bytes(self) -> Vec<u8> {
        self.data
    }
}

/// Reads the leb128() number at the start of `data`: returns its value and its length in bytes.
///
/// # Errors
/// [`BitstreamError::End`] if the data end first; [`BitstreamError::Leb128`] if the value has more than 32
/// bits or the code more than 8 bytes.
pub fn leb128(data: &[u8]) -> Result<(u32, usize), BitstreamError> {
    let mut value = 0u64;
    for i in 0..8 {
        let byte = *data.get(i).ok_or(BitstreamError::End)?;
        value |= u64::from(byte & 0x7f) << (i * 7);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| BitstreamError::Leb128)?;
            return Ok((value, i + 1));
        }
    }
    Err(BitstreamError::Leb128)
}

/// Appends `value` as leb128() in as few bytes as possible.
pub fn write_leb128(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn leb128_is_bounded() {
        assert_eq!(leb128(&[0x80]), Err(BitstreamError::End));
        assert_eq!(leb128(&[0x80; 9]), Err(BitstreamError::Leb128));
        assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(BitstreamError::Leb128));
        assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok((u32::MAX, 5)));
        assert_eq!(leb128(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 9]), Ok((1, 8)));
    }

    #[test]
    fn trailing_bits_are_one_and_zeros() {
        let tail = |data: &[u8], skip| {
            let mut r = BitReader::new(data);
            r.bits(skip).unwrap();
            r.trailing_bits()
        };
        assert_eq!(tail(&[0b1011_0000, 0], 3), Ok(()));
        assert_eq!(tail(&[0b1011_0000, 1], 3), Err(BitstreamError::TrailingBits));
        assert_eq!(tail(&[0b1011_0100], 3), Err(BitstreamError::TrailingBits));
        assert_eq!(tail(&[0b1010_0000], 3), Err(BitstreamError::TrailingBits));
        assert_eq!(tail(&[0b1010_0000], 8), Err(BitstreamError::TrailingBits));
    }

    proptest! {
        #[test]
        fn the_end_is_an_error(data in proptest::collection::vec(any::<u8>(), 0..9), n in 0u32..=32) {
            let mut r = BitReader::new(&data);
            let mut left = data.len() * 8;
            while left >= n.max(1) as usize {
                r.bits(n.max(1)).unwrap();
                left -= n.max(1) as usize;
            }
            prop_assert_eq!(r.bits(n.max(1)), Err(BitstreamError::End));
        }
    }
}
