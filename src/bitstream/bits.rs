//! Bits in and out: the descriptors of section 4.10, and one description of a syntax for both directions.

use super::Error;

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

    /// f(n) with `n` up to 32.
    ///
    /// # Errors
    /// [`Error::End`], where fewer than `n` bits are left.
    pub fn bits(&mut self, n: u32) -> Result<u32, Error> {
        debug_assert!(n <= 32);
        let end = self.position + n as usize;
        if end > self.data.len() * 8 {
            return Err(Error::End);
        }
        let mut value = 0u64;
        for byte in &self.data[self.position / 8..end.div_ceil(8)] {
            value = value << 8 | u64::from(*byte);
        }
        // At most 5 bytes were taken; what follows the last wanted bit goes.
        value >>= end.div_ceil(8) * 8 - end;
        self.position = end;
        Ok((value & ((1 << n) - 1)) as u32)
    }

    /// byte_alignment(): zero bits up to the next whole byte; gives the bytes from there on.
    ///
    /// # Errors
    /// [`Error::TrailingBits`], where one of the bits is set.
    pub fn byte_alignment(&mut self) -> Result<&'a [u8], Error> {
        let n = self.position.next_multiple_of(8) - self.position;
        if self.bits(n as u32)? != 0 {
            return Err(Error::TrailingBits);
        }
        Ok(&self.data[self.position / 8..])
    }

    /// trailing_bits(): a one, then zeros to the end of the data.
    ///
    /// # Errors
    /// [`Error::TrailingBits`], where something else is there.
    pub fn trailing_bits(&mut self) -> Result<(), Error> {
        let rest = self.data.len() * 8 - self.position;
        if rest == 0 || self.bits(1)? != 1 {
            return Err(Error::TrailingBits);
        }
        match self.byte_alignment()?.iter().all(|&byte| byte == 0) {
            true => Ok(()),
            false => Err(Error::TrailingBits),
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
    /// A writer of no bits yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bits written so far.
    pub fn position(&self) -> usize {
        self.data.len() * 8 - self.free as usize
    }

    /// f(n) with `n` up to 32: the low `n` bits of `value`.
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

    /// byte_alignment(): zero bits up to the next whole byte.
    pub fn byte_alignment(&mut self) {
        self.free = 0;
    }

    /// trailing_bits(): a one, then zeros up to the next whole byte.
    pub fn trailing_bits(&mut self) {
        self.bits(1, 1);
        self.byte_alignment();
    }

    /// The bytes written; missing bits of the last one are zero.
    pub fn into_bytes(self) -> Vec<u8> {
        self.data
    }
}

/// leb128() at the start of `data`: the value and how many bytes it takes.
///
/// # Errors
/// [`Error::End`], where the data end first; [`Error::Leb128`] above 32 bits or 8 bytes.
pub fn leb128(data: &[u8]) -> Result<(u32, usize), Error> {
    let mut value = 0u64;
    for i in 0..8 {
        let byte = *data.get(i).ok_or(Error::End)?;
        value |= u64::from(byte & 0x7f) << (i * 7);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| Error::Leb128)?;
            return Ok((value, i + 1));
        }
    }
    Err(Error::Leb128)
}

/// Appends leb128() of `value` in as few bytes as it takes.
pub fn write_leb128(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A value with a code of some number of bits.
pub(super) trait Coded: Copy {
    fn code(self) -> u32;
    fn from_code(code: u32) -> Option<Self>;
}

macro_rules! coded_integers {
    ($($t:ty)*) => {$(
        impl Coded for $t {
            fn code(self) -> u32 {
                self.into()
            }
            fn from_code(code: u32) -> Option<Self> {
                code.try_into().ok()
            }
        }
    )*};
}
coded_integers!(u8 u16 u32);

impl Coded for bool {
    fn code(self) -> u32 {
        self.into()
    }
    fn from_code(code: u32) -> Option<Self> {
        Some(code != 0)
    }
}

/// One direction through a syntax table. A table is described once, as a function over `impl Syntax`:
/// run on a [`BitReader`] it fills the structure, on a [`BitWriter`] it writes the structure out. So
/// the two cannot drift apart.
pub(super) trait Syntax {
    /// f(n) into or from `value`.
    fn bits(&mut self, field: &'static str, n: u32, value: &mut u32) -> Result<(), Error>;

    /// An element that is not coded because others fix its value: set when reading; an error when
    /// writing a structure that says otherwise.
    fn infer<T: PartialEq>(&mut self, field: &'static str, value: &mut T, inferred: T) -> Result<(), Error>;

    /// An element that is neither coded nor looked at: set when reading, as it is when writing.
    fn absent<T>(&mut self, value: &mut T, default: T);

    /// `list` is `n` long: made so when reading, an error otherwise when writing.
    fn len<T: Clone + Default>(
        &mut self,
        field: &'static str,
        list: &mut Vec<T>,
        n: usize,
    ) -> Result<(), Error>;

    /// f(n) of any [`Coded`] value.
    fn f<T: Coded>(&mut self, field: &'static str, n: u32, value: &mut T) -> Result<(), Error> {
        let mut code = value.code();
        self.bits(field, n, &mut code)?;
        *value = T::from_code(code).ok_or(Error::Value { field })?;
        Ok(())
    }

    /// f(1).
    fn flag(&mut self, field: &'static str, value: &mut bool) -> Result<(), Error> {
        self.f(field, 1, value)
    }

    /// f(n) of a value less `base`.
    fn f_above<T: Coded>(
        &mut self,
        field: &'static str,
        n: u32,
        base: u32,
        value: &mut T,
    ) -> Result<(), Error> {
        let mut code = value.code().wrapping_sub(base);
        self.bits(field, n, &mut code)?;
        *value = code.checked_add(base).and_then(T::from_code).ok_or(Error::Value { field })?;
        Ok(())
    }

    /// A flag that says whether a structure follows.
    fn present<'a, T: Default>(
        &mut self,
        field: &'static str,
        value: &'a mut Option<T>,
    ) -> Result<Option<&'a mut T>, Error> {
        let mut present = value.is_some();
        self.flag(field, &mut present)?;
        Ok(match present {
            true => Some(value.get_or_insert_default()),
            false => {
                *value = None;
                None
            }
        })
    }

    /// su(n).
    fn su<T>(&mut self, field: &'static str, n: u32, value: &mut T) -> Result<(), Error>
    where
        T: Copy + Into<i32> + TryFrom<i32>,
    {
        let half = 1i32 << (n - 1);
        let signed: i32 = (*value).into();
        // A value outside the range keeps a bit too many, which bits() refuses.
        let mut code =
            if (-half..half).contains(&signed) { signed as u32 & ((1 << n) - 1) } else { u32::MAX };
        self.bits(field, n, &mut code)?;
        let signed = if code & (1 << (n - 1)) != 0 { code as i32 - (1 << n) } else { code as i32 };
        *value = T::try_from(signed).map_err(|_| Error::Value { field })?;
        Ok(())
    }

    /// ns(n): one of `n` values, `n` from 1 to 2^31.
    fn ns(&mut self, field: &'static str, n: u32, value: &mut u32) -> Result<(), Error> {
        let w = n.ilog2() + 1;
        let m = ((1u64 << w) - u64::from(n)) as u32;
        // Writing: v is the value where that is below m, else the upper w - 1 bits of value + m.
        let given = *value;
        let long = given >= m;
        let sum = given.wrapping_add(if long { m } else { 0 });
        let mut v = if long { sum >> 1 } else { given };
        if long && given >= n {
            v = u32::MAX;
        }
        self.bits(field, w - 1, &mut v)?;
        if v < m {
            *value = v;
            return Ok(());
        }
        let mut extra_bit = sum & 1;
        self.bits(field, 1, &mut extra_bit)?;
        *value = (v << 1) - m + extra_bit;
        Ok(())
    }

    /// uvlc().
    fn uvlc(&mut self, field: &'static str, value: &mut u32) -> Result<(), Error> {
        // 2^32 - 1 has the code of 32 leading zeros and no value bits.
        let zeros = (u64::from(*value) + 1).ilog2();
        let mut leading = 0;
        loop {
            let mut done = leading >= zeros;
            self.flag(field, &mut done)?;
            if done {
                break;
            }
            leading += 1;
        }
        if leading >= 32 {
            *value = u32::MAX;
            return Ok(());
        }
        let base = (1u32 << leading) - 1;
        let mut rest = value.wrapping_sub(base);
        self.bits(field, leading, &mut rest)?;
        *value = rest + base;
        Ok(())
    }
}

impl Syntax for BitReader<'_> {
    fn bits(&mut self, _field: &'static str, n: u32, value: &mut u32) -> Result<(), Error> {
        *value = BitReader::bits(self, n)?;
        Ok(())
    }

    fn infer<T: PartialEq>(&mut self, _field: &'static str, value: &mut T, inferred: T) -> Result<(), Error> {
        *value = inferred;
        Ok(())
    }

    fn absent<T>(&mut self, value: &mut T, default: T) {
        *value = default;
    }

    fn len<T: Clone + Default>(
        &mut self,
        _field: &'static str,
        list: &mut Vec<T>,
        n: usize,
    ) -> Result<(), Error> {
        list.resize(n, T::default());
        Ok(())
    }
}

impl Syntax for BitWriter {
    fn bits(&mut self, field: &'static str, n: u32, value: &mut u32) -> Result<(), Error> {
        if u64::from(*value) >> n != 0 {
            return Err(Error::Value { field });
        }
        BitWriter::bits(self, n, *value);
        Ok(())
    }

    fn infer<T: PartialEq>(&mut self, field: &'static str, value: &mut T, inferred: T) -> Result<(), Error> {
        if *value == inferred { Ok(()) } else { Err(Error::Inferred { field }) }
    }

    fn absent<T>(&mut self, _value: &mut T, _default: T) {}

    fn len<T: Clone + Default>(
        &mut self,
        field: &'static str,
        list: &mut Vec<T>,
        n: usize,
    ) -> Result<(), Error> {
        if list.len() == n { Ok(()) } else { Err(Error::Value { field }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `value` written and read back; the bits it took must agree.
    fn through<T: Clone + PartialEq + std::fmt::Debug>(
        value: T,
        write: impl Fn(&mut BitWriter, &mut T) -> Result<(), Error>,
        read: impl Fn(&mut BitReader<'_>, &mut T) -> Result<(), Error>,
        blank: T,
    ) -> usize {
        let mut w = BitWriter::new();
        w.bits(3, 5);
        write(&mut w, &mut value.clone()).unwrap();
        let end = w.position();
        w.bits(1, 1);
        let bytes = w.into_bytes();
        let mut r = BitReader::new(&bytes);
        assert_eq!(r.bits(3), Ok(5));
        let mut got = blank;
        read(&mut r, &mut got).unwrap();
        assert_eq!((got, r.position()), (value, end));
        end - 3
    }

    #[test]
    fn ns_follows_the_table_of_the_standard() {
        for (value, code) in [(0, "00"), (1, "01"), (2, "10"), (3, "110"), (4, "111")] {
            let mut w = BitWriter::new();
            w.ns("", 5, &mut { value }).unwrap();
            let n = w.position();
            let byte = w.into_bytes()[0];
            assert_eq!(format!("{byte:08b}")[..n], *code);
        }
        assert_eq!(BitWriter::new().ns("x", 5, &mut 5), Err(Error::Value { field: "x" }));
        assert_eq!(BitWriter::new().ns("x", 4, &mut 4), Err(Error::Value { field: "x" }));
        assert_eq!(BitWriter::new().ns("x", 1, &mut 1), Err(Error::Value { field: "x" }));
    }

    #[test]
    fn values_out_of_range_are_not_written() {
        let x = Err(Error::Value { field: "x" });
        assert_eq!(BitWriter::new().f("x", 3, &mut 8u8), x);
        assert_eq!(BitWriter::new().f_above("x", 3, 1, &mut 0u8), x);
        assert_eq!(BitWriter::new().f_above("x", 3, 1, &mut 9u8), x);
        assert_eq!(BitWriter::new().su("x", 7, &mut 64i8), x);
        assert_eq!(BitWriter::new().su("x", 7, &mut -65i8), x);
        assert_eq!(BitWriter::new().f_above("x", 3, 1, &mut 8u8), Ok(()));
        assert_eq!(BitWriter::new().su("x", 7, &mut -64i8), Ok(()));
    }

    #[test]
    fn leb128_is_bounded() {
        assert_eq!(leb128(&[0x80]), Err(Error::End));
        assert_eq!(leb128(&[0x80; 9]), Err(Error::Leb128));
        assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(Error::Leb128));
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
        assert_eq!(tail(&[0b1011_0000, 1], 3), Err(Error::TrailingBits));
        assert_eq!(tail(&[0b1011_0100], 3), Err(Error::TrailingBits));
        assert_eq!(tail(&[0b1010_0000], 3), Err(Error::TrailingBits));
        assert_eq!(tail(&[0b1010_0000], 8), Err(Error::TrailingBits));
    }

    proptest! {
        #[test]
        fn every_descriptor_comes_back(
            v in any::<u32>(),
            short in 0u32..300,
            n in 1u32..=32,
            base in 1u32..70_000,
            signed in any::<i8>(),
        ) {
            let masked = (u64::from(v) & ((1 << n) - 1)) as u32;
            let bits = through(masked, |w, x| w.f("", n, x), |r, x| r.f("", n, x), 0);
            prop_assert_eq!(bits, n as usize);
            for v in [v, short] {
                through(v, |w, x| w.uvlc("", x), |r, x| r.uvlc("", x), 7);
                let one_of = v % base;
                through(one_of, |w, x| w.ns("", base, x), |r, x| r.ns("", base, x), 7);
                let mut out = vec![];
                write_leb128(&mut out, v);
                prop_assert_eq!(leb128(&out), Ok((v, out.len())));
            }
            through(signed, |w, x| w.su("", 8, x), |r, x| r.su("", 8, x), 1);
        }

        #[test]
        fn the_end_is_an_error(data in proptest::collection::vec(any::<u8>(), 0..9), n in 0u32..=32) {
            let mut r = BitReader::new(&data);
            let mut left = data.len() * 8;
            while left >= n.max(1) as usize {
                r.bits(n.max(1)).unwrap();
                left -= n.max(1) as usize;
            }
            prop_assert_eq!(r.bits(n.max(1)), Err(Error::End));
        }
    }

    #[test]
    fn the_longest_uvlc() {
        let bits = through(u32::MAX, |w, x| w.uvlc("", x), |r, x| r.uvlc("", x), 0);
        assert_eq!(bits, 33);
    }
}
