//! A temporal unit, all its headers: what can be read can be written and read again.
#![no_main]

use layercast::bitstream::{
    BitReader, BitWriter, FrameHeader, HeaderReader, ObuType, RefSlots, SequenceHeader, obus,
    write_sequence_obu,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut reader = HeaderReader::new();
    for frame in reader.temporal_unit(data) {
        let Ok(frame) = frame else { break };
        assert!(frame.range.end <= data.len() && frame.size <= frame.range.len());
    }
    let mut slots = RefSlots::new();
    let mut sequence = None;
    for obu in obus(data).map_while(Result::ok) {
        match (obu.header.obu_type, &sequence) {
            (ObuType::SequenceHeader, _) => {
                let Ok(header) = SequenceHeader::parse(obu.payload) else { continue };
                let mut again = vec![];
                write_sequence_obu(&mut again, &header).unwrap();
                let read = obus(&again).next().unwrap().unwrap();
                assert_eq!(SequenceHeader::parse(read.payload).as_ref(), Ok(&header));
                sequence = Some(header);
            }
            (ObuType::Frame | ObuType::FrameHeader, Some(sequence)) => {
                let layer = obu.header.layer();
                let mut r = BitReader::new(obu.payload);
                let Ok(header) = FrameHeader::parse(&mut r, sequence, &slots, layer) else { continue };
                let mut w = BitWriter::new();
                header.write(&mut w, sequence, &slots, layer).unwrap();
                let again = w.into_bytes();
                let mut r = BitReader::new(&again);
                assert_eq!(FrameHeader::parse(&mut r, sequence, &slots, layer).as_ref(), Ok(&header));
                assert!(header.tile_layout(sequence).is_some());
                slots.update(sequence, &header);
            }
            _ => {}
        }
    }
});
