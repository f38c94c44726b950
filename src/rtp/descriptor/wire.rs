//! The syntax of A.8.2, read and written.

use std::sync::Arc;

use bytes::BufMut;

use super::types::{
    ChainDiffs, DecodeTargetIndication, DependencyDescriptor, DependencyStructure, DescriptorError,
    FrameDiffs, Indications, MAX_DECODE_TARGETS, MAX_TEMPLATES, Template,
};
use crate::bitstream::BitReader;
use crate::picture::Size;
use crate::rtp::list::List;
use crate::structure::LayerId;

impl DependencyDescriptor {
    /// Reads the bytes of the header extension. `known` is the structure that held before this packet; one
    /// that the packet brings along takes its place.
    ///
    /// Without a structure, only the fields that do not depend on it are read: the first three bytes always are.
    /// Allocates if there is a structure in the packet, and never else.
    ///
    /// # Errors
    /// [`DescriptorError`], if the bytes are no descriptor or its template is not one of the structure.
    pub fn read(bytes: &[u8], known: Option<&DependencyStructure>) -> Result<Self, DescriptorError> {
        let mut r = Reader(BitReader::new(bytes));
        let mut read = Self {
            start_of_frame: r.flag()?,
            end_of_frame: r.flag()?,
            template_id: r.f(6)? as u8,
            frame_number: r.f(16)? as u16,
            ..Self::default()
        };
        let mut flags = [false; 5];
        if bytes.len() > 3 {
            for flag in &mut flags {
                *flag = r.flag()?;
            }
        }
        let [structure, active, indications, frame_diffs, chain_diffs] = flags;
        if structure {
            read.structure = Some(Arc::new(r.structure()?));
        }
        let structure = read.structure.as_deref().or(known);
        if active {
            let targets = structure.ok_or(DescriptorError::NoStructure)?.decode_targets;
            read.active_decode_targets = Some(r.f(targets.into())?);
        }
        if let Some(structure) = structure {
            structure.template(read.template_id).ok_or(DescriptorError::Template { id: read.template_id })?;
        }
        if indications {
            let targets = structure.ok_or(DescriptorError::NoStructure)?.decode_targets;
            read.custom_indications = Some(r.indications(targets)?);
        }
        if frame_diffs {
            let mut diffs = FrameDiffs::new();
            loop {
                let size = r.f(2)?;
                if size == 0 {
                    break;
                }
                let diff = r.f(4 * size)? as u16 + 1;
                diffs.try_push(diff).map_err(|_| DescriptorError::TooManyFrameDiffs)?;
            }
            read.custom_frame_diffs = Some(diffs);
        }
        if chain_diffs {
            let chains = structure.ok_or(DescriptorError::NoStructure)?.chains;
            read.custom_chain_diffs = Some(r.chain_diffs(chains, 8)?);
        }
        Ok(read)
    }

    /// Length of the descriptor in bytes, at least 3. `known` is the structure that holds, unless the
    /// descriptor has one.
    ///
    /// # Errors
    /// [`DescriptorError::Template`] and [`DescriptorError::Value`], if it cannot be written.
    pub fn size(&self, known: &DependencyStructure) -> Result<usize, DescriptorError> {
        let mut size = 0;
        self.put(known, |_| size += 1)?;
        Ok(size)
    }

    /// Appends the descriptor. `known` is the structure that holds, unless the descriptor has one.
    ///
    /// # Errors
    /// [`DescriptorError::Template`], [`DescriptorError::Value`] and [`DescriptorError::Space`]; nothing is
    /// written then.
    pub fn write(&self, known: &DependencyStructure, into: &mut impl BufMut) -> Result<(), DescriptorError> {
        let size = self.size(known)?;
        if into.remaining_mut() < size {
            return Err(DescriptorError::Space { size });
        }
        self.put(known, |byte| into.put_u8(byte))
    }

    /// Appends the part that the sender of the frame vouches for: the descriptor without the flags that differ from
    /// packet to packet and without the active decode targets, which a relay may change. Under one structure
    /// the bytes of two descriptors are equal if and only if the frames have the same number and template,
    /// the same custom parts and the same new structure.
    ///
    /// It is to be called for a frame's first packet, as the structure may be missing in the others.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn canonical(
        &self,
        known: &DependencyStructure,
        into: &mut impl BufMut,
    ) -> Result<(), DescriptorError> {
        let vouched_for =
            Self { start_of_frame: false, end_of_frame: false, active_decode_targets: None, ..self.clone() };
        vouched_for.write(known, into)
    }

    fn put(&self, known: &DependencyStructure, put: impl FnMut(u8)) -> Result<(), DescriptorError> {
        let structure = self.structure.as_deref().unwrap_or(known);
        structure.template(self.template_id).ok_or(DescriptorError::Template { id: self.template_id })?;
        let mut w = Writer { put, held: 0, bits: 0 };
        w.f("start_of_frame", 1, self.start_of_frame.into())?;
        w.f("end_of_frame", 1, self.end_of_frame.into())?;
        w.f("frame_dependency_template_id", 6, self.template_id.into())?;
        w.f("frame_number", 16, self.frame_number.into())?;
        let flags = [
            self.structure.is_some(),
            self.active_decode_targets.is_some(),
            self.custom_indications.is_some(),
            self.custom_frame_diffs.is_some(),
            self.custom_chain_diffs.is_some(),
        ];
        if !flags.contains(&true) {
            return Ok(());
        }
        for flag in flags {
            w.f("extended_descriptor_fields", 1, flag.into())?;
        }
        if let Some(structure) = &self.structure {
            w.structure(structure)?;
        }
        if let Some(active) = self.active_decode_targets {
            w.f("active_decode_targets_bitmask", structure.decode_targets.into(), active)?;
        }
        if let Some(indications) = &self.custom_indications {
            w.indications("frame_dti", indications, structure)?;
        }
        if let Some(diffs) = &self.custom_frame_diffs {
            for &diff in diffs {
                let size = match diff {
                    0..=16 => 1,
                    17..=256 => 2,
                    _ => 3,
                };
                w.f("next_fdiff_size", 2, size)?;
                w.less_one("fdiff_minus_one", 4 * size, diff.into())?;
            }
            w.f("next_fdiff_size", 2, 0)?;
        }
        if let Some(diffs) = &self.custom_chain_diffs {
            w.chain_diffs("frame_chain_fdiff", 8, diffs, structure)?;
        }
        w.pad();
        Ok(())
    }
}

/// Reads syntax elements, whose only error is the end.
struct Reader<'a>(BitReader<'a>);

impl Reader<'_> {
    fn f(&mut self, n: u32) -> Result<u32, DescriptorError> {
        self.0.bits(n).map_err(|_| DescriptorError::End)
    }

    fn flag(&mut self) -> Result<bool, DescriptorError> {
        Ok(self.f(1)? != 0)
    }

    /// ns(n), `n` at least 1.
    fn ns(&mut self, n: u32) -> Result<u32, DescriptorError> {
        let w = n.ilog2() + 1;
        let m = (1 << w) - n;
        let v = self.f(w - 1)?;
        if v < m { Ok(v) } else { Ok((v << 1) - m + self.f(1)?) }
    }

    fn indications(&mut self, targets: u8) -> Result<Indications, DescriptorError> {
        let mut indications = Indications::new();
        for _ in 0..targets {
            indications.push(match self.f(2)? {
                0 => DecodeTargetIndication::NotPresent,
                1 => DecodeTargetIndication::Discardable,
                2 => DecodeTargetIndication::Switch,
                _ => DecodeTargetIndication::Required,
            });
        }
        Ok(indications)
    }

    fn chain_diffs(&mut self, chains: u8, n: u32) -> Result<ChainDiffs, DescriptorError> {
        (0..chains).map(|_| Ok(self.f(n)? as u8)).collect()
    }

    /// template_dependency_structure()
    fn structure(&mut self) -> Result<DependencyStructure, DescriptorError> {
        let template_id_offset = self.f(6)? as u8;
        let decode_targets = self.f(5)? as u8 + 1;
        let mut templates = self.template_layers()?;
        for template in &mut templates {
            template.decode_target_indications = self.indications(decode_targets)?;
        }
        for template in &mut templates {
            while self.flag()? {
                let diff = self.f(4)? as u16 + 1;
                template.frame_diffs.try_push(diff).map_err(|_| DescriptorError::TooManyFrameDiffs)?;
            }
        }
        let chains = self.ns(u32::from(decode_targets) + 1)? as u8;
        let mut protected_by = List::<u8, MAX_DECODE_TARGETS>::new();
        if chains > 0 {
            for _ in 0..decode_targets {
                protected_by.push(self.ns(chains.into())? as u8);
            }
            for template in &mut templates {
                template.chain_diffs = self.chain_diffs(chains, 4)?;
            }
        }
        let mut resolutions = List::new();
        if self.flag()? {
            let highest = templates.last().map_or(0, |template| template.layer.spatial_id);
            for _ in 0..=highest {
                resolutions.push(Size::new(self.f(16)? + 1, self.f(16)? + 1));
            }
        }
        Ok(DependencyStructure {
            template_id_offset,
            decode_targets,
            templates,
            chains,
            protected_by,
            resolutions,
        })
    }

    /// template_layers()
    fn template_layers(&mut self) -> Result<Vec<Template>, DescriptorError> {
        let mut templates = Vec::new();
        let mut layer = LayerId::default();
        loop {
            if layer.spatial_id > 3 || layer.temporal_id > 7 {
                return Err(DescriptorError::Layer);
            }
            if templates.len() == MAX_TEMPLATES {
                return Err(DescriptorError::TooManyTemplates);
            }
            templates.push(Template {
                layer,
                decode_target_indications: Indications::new(),
                frame_diffs: FrameDiffs::new(),
                chain_diffs: ChainDiffs::new(),
            });
            match self.f(2)? {
                0 => {}
                1 => layer.temporal_id += 1,
                2 => layer = LayerId::new(layer.spatial_id + 1, 0),
                _ => return Ok(templates),
            }
        }
    }
}

/// Writes syntax elements into whatever takes bytes, so that none are allocated.
struct Writer<F> {
    put: F,
    /// The bits that do not make a byte yet, fewer than 8.
    held: u64,
    bits: u32,
}

impl<F: FnMut(u8)> Writer<F> {
    fn f(&mut self, field: &'static str, n: u32, value: u32) -> Result<(), DescriptorError> {
        if u64::from(value) >> n != 0 {
            return Err(DescriptorError::Value { field });
        }
        self.held = self.held << n | u64::from(value);
        self.bits += n;
        while self.bits >= 8 {
            self.bits -= 8;
            (self.put)((self.held >> self.bits) as u8);
        }
        self.held &= (1 << self.bits) - 1;
        Ok(())
    }

    /// f(n) of a value from 1 to 2^n, less 1.
    fn less_one(&mut self, field: &'static str, n: u32, value: u32) -> Result<(), DescriptorError> {
        self.f(field, n, value.checked_sub(1).ok_or(DescriptorError::Value { field })?)
    }

    /// ns(n) of a value that must be below `n`.
    fn ns(&mut self, field: &'static str, n: u32, value: u32) -> Result<(), DescriptorError> {
        if value >= n {
            return Err(DescriptorError::Value { field });
        }
        let w = n.ilog2() + 1;
        let m = (1 << w) - n;
        if value < m { self.f(field, w - 1, value) } else { self.f(field, w, value + m) }
    }

    /// Zeros up to the next whole byte.
    fn pad(mut self) {
        if self.bits > 0 {
            (self.put)((self.held << (8 - self.bits)) as u8);
        }
    }

    fn indications(
        &mut self,
        field: &'static str,
        indications: &Indications,
        structure: &DependencyStructure,
    ) -> Result<(), DescriptorError> {
        if indications.len() != usize::from(structure.decode_targets) {
            return Err(DescriptorError::Value { field });
        }
        indications.iter().try_for_each(|&indication| self.f(field, 2, indication as u32))
    }

    fn chain_diffs(
        &mut self,
        field: &'static str,
        n: u32,
        diffs: &ChainDiffs,
        structure: &DependencyStructure,
    ) -> Result<(), DescriptorError> {
        if diffs.len() != usize::from(structure.chains) {
            return Err(DescriptorError::Value { field });
        }
        diffs.iter().try_for_each(|&diff| self.f(field, n, diff.into()))
    }

    /// template_dependency_structure()
    fn structure(&mut self, structure: &DependencyStructure) -> Result<(), DescriptorError> {
        let targets = u32::from(structure.decode_targets);
        self.f("template_id_offset", 6, structure.template_id_offset.into())?;
        self.less_one("dt_cnt_minus_one", 5, targets)?;
        let highest = self.template_layers(&structure.templates)?;
        for template in &structure.templates {
            self.indications("template_dti", &template.decode_target_indications, structure)?;
        }
        for template in &structure.templates {
            for &diff in &template.frame_diffs {
                self.f("fdiff_follows_flag", 1, 1)?;
                self.less_one("fdiff_minus_one", 4, diff.into())?;
            }
            self.f("fdiff_follows_flag", 1, 0)?;
        }
        self.ns("chain_cnt", targets + 1, structure.chains.into())?;
        let protected = if structure.chains == 0 { 0 } else { targets as usize };
        if structure.protected_by.len() != protected {
            return Err(DescriptorError::Value { field: "decode_target_protected_by" });
        }
        for &chain in &structure.protected_by {
            self.ns("decode_target_protected_by", structure.chains.into(), chain.into())?;
        }
        for template in &structure.templates {
            self.chain_diffs("template_chain_fdiff", 4, &template.chain_diffs, structure)?;
        }
        let present = !structure.resolutions.is_empty();
        self.f("resolutions_present_flag", 1, present.into())?;
        if present && structure.resolutions.len() != usize::from(highest) + 1 {
            return Err(DescriptorError::Value { field: "render_resolutions" });
        }
        for &Size { width, height } in &structure.resolutions {
            self.less_one("max_render_width_minus_1", 16, width)?;
            self.less_one("max_render_height_minus_1", 16, height)?;
        }
        Ok(())
    }

    /// template_layers(); gives the highest spatial_id.
    fn template_layers(&mut self, templates: &[Template]) -> Result<u8, DescriptorError> {
        let field = "next_layer_idc";
        if templates.first().is_none_or(|first| first.layer != LayerId::default()) {
            return Err(DescriptorError::Value { field });
        }
        if templates.len() > MAX_TEMPLATES {
            return Err(DescriptorError::TooManyTemplates);
        }
        for pair in templates.windows(2) {
            let [from, to] = [pair[0].layer, pair[1].layer];
            if to.spatial_id > 3 || to.temporal_id > 7 {
                return Err(DescriptorError::Layer);
            }
            let next = if to == from {
                0
            } else if to == LayerId::new(from.spatial_id, from.temporal_id + 1) {
                1
            } else if to == LayerId::new(from.spatial_id + 1, 0) {
                2
            } else {
                return Err(DescriptorError::Value { field });
            };
            self.f(field, 2, next)?;
        }
        self.f(field, 2, 3)?;
        Ok(templates.last().map_or(0, |last| last.layer.spatial_id))
    }
}
