//! The descriptors of section 4.10, each for reading and for writing.

use crate::bitstream::bits::{BitReader, BitWriter};
use crate::bitstream::error::BitstreamError;
use crate::bitstream::frame::{FrameType, InterpolationFilter, RestorationType};

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

/// Enumerations whose codes count up from 0, in the order of their variants.
macro_rules! coded_enums {
    ($($t:ident { $($variant:ident),* })*) => {$(
        impl Coded for $t {
            fn code(self) -> u32 {
                self as u32
            }
            fn from_code(code: u32) -> Option<Self> {
                [$(Self::$variant),*].get(code as usize).copied()
            }
        }
    )*};
}
coded_enums! {
    FrameType { Key, Inter, IntraOnly, Switch }
    InterpolationFilter { EightTap, EightTapSmooth, EightTapSharp, Bilinear, Switchable }
    RestorationType { None, Switchable, Wiener, SgrProj }
}

/// One direction through a syntax table. Each table is one function over `impl Syntax`: with a [`BitReader`]
/// it fills the structure, with a [`BitWriter`] it writes the structure out. So reader and writer cannot
/// drift apart.
pub(super) trait Syntax {
    /// f(n) into or from `value`.
    fn bits(&mut self, field: &'static str, n: u32, value: &mut u32) -> Result<(), BitstreamError>;

    /// An element that is not coded, because others determine its value. Reading sets it; writing a structure
    /// that has another value is an error.
    fn infer<T: PartialEq>(
        &mut self,
        field: &'static str,
        value: &mut T,
        inferred: T,
    ) -> Result<(), BitstreamError>;

    /// An element that is neither coded nor looked at. Reading sets it; writing ignores it.
    fn absent<T>(&mut self, value: &mut T, default: T);

    /// A list of `n` elements. Reading makes `list` that long; writing a list of another length is an error.
    fn len<T: Clone + Default>(
        &mut self,
        field: &'static str,
        list: &mut Vec<T>,
        n: usize,
    ) -> Result<(), BitstreamError>;

    /// f(n) of any [`Coded`] value.
    fn f<T: Coded>(&mut self, field: &'static str, n: u32, value: &mut T) -> Result<(), BitstreamError> {
        let mut code = value.code();
        self.bits(field, n, &mut code)?;
        *value = T::from_code(code).ok_or(BitstreamError::Value { field })?;
        Ok(())
    }

    /// f(1).
    fn flag(&mut self, field: &'static str, value: &mut bool) -> Result<(), BitstreamError> {
        self.f(field, 1, value)
    }

    /// f(n) of a value less `base`.
    fn f_above<T: Coded>(
        &mut self,
        field: &'static str,
        n: u32,
        base: u32,
        value: &mut T,
    ) -> Result<(), BitstreamError> {
        let mut code = value.code().wrapping_sub(base);
        self.bits(field, n, &mut code)?;
        *value = code.checked_add(base).and_then(T::from_code).ok_or(BitstreamError::Value { field })?;
        Ok(())
    }

    /// A flag that announces a structure.
    fn present<'a, T: Default>(
        &mut self,
        field: &'static str,
        value: &'a mut Option<T>,
    ) -> Result<Option<&'a mut T>, BitstreamError> {
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
    fn su<T>(&mut self, field: &'static str, n: u32, value: &mut T) -> Result<(), BitstreamError>
    where
        T: Copy + Into<i32> + TryFrom<i32>,
    {
        let half = 1i32 << (n - 1);
        let signed: i32 = (*value).into();
        // A value outside the range becomes one of too many bits, which bits() refuses.
        let mut code =
            if (-half..half).contains(&signed) { signed as u32 & ((1 << n) - 1) } else { u32::MAX };
        self.bits(field, n, &mut code)?;
        let signed = if code & (1 << (n - 1)) != 0 { code as i32 - (1 << n) } else { code as i32 };
        *value = T::try_from(signed).map_err(|_| BitstreamError::Value { field })?;
        Ok(())
    }

    /// ns(n): one of `n` values, `n` from 1 to 2^31.
    fn ns(&mut self, field: &'static str, n: u32, value: &mut u32) -> Result<(), BitstreamError> {
        let w = n.ilog2() + 1;
        let m = ((1u64 << w) - u64::from(n)) as u32;
        // Writing: v is the value if that is below m, else the upper w - 1 bits of value + m.
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
    fn uvlc(&mut self, field: &'static str, value: &mut u32) -> Result<(), BitstreamError> {
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

    /// A number coded as its distance to `min` in ones, which end at a zero or at `max`.
    fn increments(
        &mut self,
        field: &'static str,
        min: u32,
        max: u32,
        value: &mut u8,
    ) -> Result<(), BitstreamError> {
        let mut n = min;
        while n < max {
            let mut more = n < u32::from(*value);
            self.flag(field, &mut more)?;
            if !more {
                break;
            }
            n += 1;
        }
        self.infer(field, value, n as u8)
    }
}

impl Syntax for BitReader<'_> {
    fn bits(&mut self, _field: &'static str, n: u32, value: &mut u32) -> Result<(), BitstreamError> {
        *value = BitReader::bits(self, n)?;
        Ok(())
    }

    fn infer<T: PartialEq>(
        &mut self,
        _field: &'static str,
        value: &mut T,
        inferred: T,
    ) -> Result<(), BitstreamError> {
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
    ) -> Result<(), BitstreamError> {
        list.resize(n, T::default());
        Ok(())
    }
}

impl Syntax for BitWriter {
    fn bits(&mut self, field: &'static str, n: u32, value: &mut u32) -> Result<(), BitstreamError> {
        if u64::from(*value) >> n != 0 {
            return Err(BitstreamError::Value { field });
        }
        BitWriter::bits(self, n, *value);
        Ok(())
    }

    fn infer<T: PartialEq>(
        &mut self,
        field: &'static str,
        value: &mut T,
        inferred: T,
    ) -> Result<(), BitstreamError> {
        if *value == inferred { Ok(()) } else { Err(BitstreamError::Inferred { field }) }
    }

    fn absent<T>(&mut self, _value: &mut T, _default: T) {}

    fn len<T: Clone + Default>(
        &mut self,
        field: &'static str,
        list: &mut Vec<T>,
        n: usize,
    ) -> Result<(), BitstreamError> {
        if list.len() == n { Ok(()) } else { Err(BitstreamError::Value { field }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitstream::bits::{leb128, write_leb128};
    use proptest::prelude::*;

    /// `value` written and read back; the bits it took must agree.
    fn through<T: Clone + PartialEq + std::fmt::Debug>(
        value: T,
        write: impl Fn(&mut BitWriter, &mut T) -> Result<(), BitstreamError>,
        read: impl Fn(&mut BitReader<'_>, &mut T) -> Result<(), BitstreamError>,
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
        assert_eq!(BitWriter::new().ns("x", 5, &mut 5), Err(BitstreamError::Value { field: "x" }));
        assert_eq!(BitWriter::new().ns("x", 4, &mut 4), Err(BitstreamError::Value { field: "x" }));
        assert_eq!(BitWriter::new().ns("x", 1, &mut 1), Err(BitstreamError::Value { field: "x" }));
    }

    #[test]
    fn values_out_of_range_are_not_written() {
        let x = Err(BitstreamError::Value { field: "x" });
        assert_eq!(BitWriter::new().f("x", 3, &mut 8u8), x);
        assert_eq!(BitWriter::new().f_above("x", 3, 1, &mut 0u8), x);
        assert_eq!(BitWriter::new().f_above("x", 3, 1, &mut 9u8), x);
        assert_eq!(BitWriter::new().su("x", 7, &mut 64i8), x);
        assert_eq!(BitWriter::new().su("x", 7, &mut -65i8), x);
        assert_eq!(BitWriter::new().f_above("x", 3, 1, &mut 8u8), Ok(()));
        assert_eq!(BitWriter::new().su("x", 7, &mut -64i8), Ok(()));
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

    }

    #[test]
    fn the_longest_uvlc() {
        let bits = through(u32::MAX, |w, x| w.uvlc("", x), |r, x| r.uvlc("", x), 0);
        assert_eq!(bits, 33);
    }
}
