//! How operators share their work among threads: chunks forward, lanes backward. Results do not depend on the number of
//! threads.

use super::buffer::Buffer;
use super::operator::Keep;
use super::packing::Lanes;
use super::vector;
use faer::Accum;
use rayon::prelude::*;
use std::ops::Range;

/// Runs `run` on every chunk of rows and its part of an output, in parallel; `run` returns what it wants to save.
pub(super) fn forward_chunks<O: Send>(
    plan: &Lanes,
    outputs: Vec<O>,
    keep: Keep,
    run: impl Fn(&Range<usize>, O) -> Buffer + Sync,
) -> Vec<Buffer> {
    let chunks = plan.chunks.par_iter().zip(outputs);
    match keep {
        Keep::Saved => chunks.map(|(rows, out)| run(rows, out)).collect(),
        Keep::Nothing => {
            chunks.for_each(|(rows, out)| drop(run(rows, out)));
            Vec::new()
        }
    }
}

/// A chunk of rows with what forward saved for it.
pub(super) struct Chunk<'a> {
    pub(super) rows: Range<usize>,
    pub(super) saved: &'a [f32],
    /// How products enter the sums of the lane: the first chunk finds stale values.
    pub(super) accumulate: Accum,
}

/// Sizes of a lane's sums: those that are added to come first and start at zero, those that the first chunk's products
/// overwrite follow.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    pub(super) added: usize,
    pub(super) multiplied: usize,
}

/// Runs `run` on every chunk, lanes in parallel, each lane with its own `sums`; returns the total over lanes.
pub(super) fn backward_lanes<O: Send>(
    plan: &Lanes,
    (saved, outputs): (&[Buffer], Vec<O>),
    sums: Sums,
    run: impl Fn(Chunk<'_>, O, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut outputs = outputs.into_iter();
    let lanes: Vec<_> = plan
        .lanes
        .iter()
        .map(|lane| (lane.clone(), outputs.by_ref().take(lane.len()).collect::<Vec<_>>()))
        .collect();
    let partials: Vec<Buffer> = lanes
        .into_par_iter()
        .map(|(lane, outputs)| {
            let mut sum = Buffer::stale(sums.added + sums.multiplied);
            sum[..sums.added].fill(0.0);
            let mut accumulate = Accum::Replace;
            for (index, out) in lane.zip(outputs) {
                let saved = saved.get(index).map_or(&[][..], |saved| saved);
                run(Chunk { rows: plan.chunks[index].clone(), saved, accumulate }, out, &mut sum);
                accumulate = Accum::Add;
            }
            sum
        })
        .collect();
    total(&partials, sums.added + sums.multiplied)
}

/// Values that are copied or filled at a time.
const PIECE: usize = 64;
/// Pieces of a task.
const PIECES: usize = 512;

/// Zeros, written by all threads: the first touch of memory is what costs.
pub(super) fn zeros(len: usize) -> Vec<f32> {
    if !len.is_multiple_of(PIECE) {
        return vec![0.0; len];
    }
    let pieces = rayon::iter::repeat_n([0.0; PIECE], len / PIECE).with_min_len(PIECES);
    pieces.collect::<Vec<_>>().into_flattened()
}

/// A copy, made by all threads.
pub(super) fn copied(x: &[f32]) -> Vec<f32> {
    match x.as_chunks::<PIECE>() {
        (pieces, []) => pieces.par_iter().with_min_len(PIECES).copied().collect::<Vec<_>>().into_flattened(),
        _ => x.to_vec(),
    }
}

fn total(partials: &[Buffer], len: usize) -> Vec<f32> {
    /// Values added up at a time, so that they stay in the cache.
    const PART: usize = 8192;
    let Some((first, rest)) = partials.split_first() else { return vec![0.0; len] };
    let mut sum = copied(first);
    sum.par_chunks_mut(PART).enumerate().for_each(|(part, sum)| {
        for partial in rest {
            vector::add(sum, &partial[part * PART..][..sum.len()]);
        }
    });
    sum
}
