//! The symbols of a tile before they become bytes: some of what they tell is known only when all of the frame is decided.
//!
//! Which of two strengths of CDEF a superblock takes is told between its symbols (AV1 specification, section 5.11.56), but follows
//! from what the deblocking filter made of the frame.

use super::kernels::*;

/// The symbols of a tile, cut where superblocks tell their strengths.
pub(crate) struct Pieces {
    /// Symbols, and the superblock whose strengths are told behind them.
    before: Vec<(Recorder, usize)>,
    pub(super) last: Recorder,
}

impl Pieces {
    pub(super) fn new() -> Self {
        Self { before: Vec::new(), last: WriterRecorder::new() }
    }

    /// Notes that a superblock tells its strengths here.
    pub(super) fn cut(&mut self, superblock: usize) {
        let piece = std::mem::replace(&mut self.last, WriterRecorder::new());
        self.before.push((piece, superblock));
    }

    /// The superblocks that tell their strengths.
    pub(super) fn telling(&self) -> usize {
        self.before.len()
    }

    /// The bytes of the tile, in which those superblocks tell whether they are among `second`; nothing of it if that is none.
    pub(super) fn bytes(mut self, second: Option<&[bool]>) -> Vec<u8> {
        let mut writer = WriterEncoder::new();
        for (piece, superblock) in &mut self.before {
            piece.replay(&mut writer);
            if let Some(second) = second {
                writer.literal(1, second[*superblock].into());
            }
        }
        self.last.replay(&mut writer);
        writer.done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symbols of some probability, as the writer of a tile gets them.
    fn write(w: &mut impl Writer, symbols: &[u32]) {
        symbols.iter().for_each(|&symbol| w.symbol(symbol, &[20000, 0]));
    }

    #[test]
    fn bytes_are_those_of_all_pieces_with_what_is_told_between_them() {
        let (first, second) = ([0, 1, 1, 0, 1], [1, 0, 0, 1]);
        let mut pieces = Pieces::new();
        write(&mut pieces.last, &first);
        pieces.cut(2);
        write(&mut pieces.last, &second);
        assert_eq!(pieces.telling(), 1);
        let mut expected = WriterEncoder::new();
        write(&mut expected, &first);
        expected.literal(1, 1);
        write(&mut expected, &second);
        assert_eq!(pieces.bytes(Some(&[false, false, true])), expected.done());
    }

    #[test]
    fn nothing_is_told_where_all_have_the_same() {
        let (mut pieces, mut expected) = (Pieces::new(), WriterEncoder::new());
        write(&mut pieces.last, &[1, 0, 1]);
        pieces.cut(0);
        write(&mut pieces.last, &[0, 0]);
        write(&mut expected, &[1, 0, 1, 0, 0]);
        assert_eq!(pieces.bytes(None), expected.done());
    }
}
