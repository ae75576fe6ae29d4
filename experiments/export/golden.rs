//! `reference_io.safetensors`: golden requests and what this program answers, for anybody's implementation to compare with.
//!
//! | tensor | shape | |
//! |---|---|---|
//! | `history_starts`, `history_items` | `n + 1`, sum | history `i` is `history_items[history_starts[i]..history_starts[i + 1]]`, rows of `sid_map.parquet` |
//! | `input_starts`, `input_ids` | `n + 1`, sum | the tokens that the policy reads of each history |
//! | `beam_items`, `beam_log_probs` | `n, width` | beam search of that width, best first; item -1 where the catalog is smaller |
//! | `logits` | `n, levels, vocabulary` | position `l` predicts code `l` of the first item of the beam, given its codes before |

use super::bundle::Bundle;
use super::safetensor::{File, Tensors};
use anyhow::{Context as _, ensure};
use policy::batch::EncoderBatch;
use policy::history::Context;
use policy::ids::{ItemId, SemanticId};
use policy::model::Dropout;
use policy::vocab::PAD;
use sampler::beam::Search;
use std::path::Path;

/// The file.
pub const FILE: &str = "reference_io.safetensors";
/// Beam of the golden requests.
pub const WIDTH: usize = 20;
/// Requests that are answered together.
const BATCH: usize = 64;

/// Requests with their answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// Histories, oldest item first.
    pub histories: Vec<Vec<ItemId>>,
    /// Best items with their log-probabilities.
    pub beams: Vec<Vec<(ItemId, f32)>>,
    /// One row of `levels * vocabulary` values per history.
    pub logits: Vec<Vec<f32>>,
}

impl Golden {
    /// The bundle's answers.
    pub fn of(bundle: &Bundle, histories: Vec<Vec<ItemId>>) -> Self {
        let (mut beams, mut logits) = (Vec::new(), Vec::new());
        for batch in histories.chunks(BATCH) {
            let contexts: Vec<Context<'_>> = batch.iter().map(|items| items.as_slice().into()).collect();
            let exclude: Vec<&[ItemId]> = vec![&[]; contexts.len()];
            let search = Search { width: WIDTH, exclude: &exclude };
            for ranked in bundle.recommender().ranked(&contexts, &search) {
                let best = ranked.iter().take(WIDTH);
                beams.push(best.map(|found| (found.item, found.log_prob() as f32)).collect::<Vec<_>>());
            }
            let first = &beams[logits.len()..];
            logits.extend(teacher_forced(bundle, &contexts, first));
        }
        Self { histories, beams, logits }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, bundle: &Bundle, path: &Path) -> anyhow::Result<()> {
        let n = self.histories.len();
        let mut tensors = Tensors::default();
        let rows: Vec<Vec<i64>> = self.histories.iter().map(|items| numbers(items)).collect();
        packed(&mut tensors, ("history_starts", "history_items"), &rows);
        let rows: Vec<Vec<i64>> = self.histories.iter().map(|history| inputs(bundle, history)).collect();
        packed(&mut tensors, ("input_starts", "input_ids"), &rows);
        let padded = |beam: &Vec<(ItemId, f32)>| {
            let filler = std::iter::repeat_n((-1, 0.0), WIDTH - beam.len());
            beam.iter().map(|(item, log_prob)| (item.index() as i64, *log_prob)).chain(filler).collect()
        };
        let beams: Vec<Vec<(i64, f32)>> = self.beams.iter().map(padded).collect();
        tensors.integers("beam_items", &[n, WIDTH], beams.iter().flatten().map(|entry| entry.0));
        tensors.floats("beam_log_probs", &[n, WIDTH], beams.iter().flatten().map(|entry| entry.1));
        let vocab = &bundle.codebook.vocab;
        let shape = [n, vocab.levels(), vocab.size()];
        tensors.floats("logits", &shape, self.logits.iter().flatten().copied());
        tensors.write(path)
    }

    /// Reads the file of an exported directory.
    ///
    /// # Errors
    /// It is missing or damaged, or does not fit the bundle.
    pub fn read(bundle: &Bundle) -> anyhow::Result<Self> {
        let path = bundle.dir.join(FILE);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        File::parse(&bytes)
            .and_then(|file| Self::parse(&file, bundle))
            .with_context(|| format!("{} does not fit the directory it is in", path.display()))
    }

    fn parse(file: &File<'_>, bundle: &Bundle) -> anyhow::Result<Self> {
        let starts = file.integers("history_starts")?;
        let items = file.integers("history_items")?;
        let item = |row: i64| {
            let row = usize::try_from(row).ok().filter(|row| *row < bundle.description.items);
            row.map(ItemId::new).context("an item is not in the catalog")
        };
        let mut histories = Vec::new();
        for ends in starts.windows(2) {
            let range = usize::try_from(ends[0])?..usize::try_from(ends[1])?;
            let rows = items.get(range).context("history_starts does not fit history_items")?;
            histories.push(rows.iter().map(|row| item(*row)).collect::<anyhow::Result<_>>()?);
        }
        let (found, log_probs) = (file.integers("beam_items")?, file.floats("beam_log_probs")?);
        let row = bundle.codebook.vocab.levels() * bundle.codebook.vocab.size();
        let logits = file.floats("logits")?;
        let n = histories.len();
        ensure!(
            found.len() == n * WIDTH && log_probs.len() == found.len() && logits.len() == n * row,
            "the tensors are not of one number of requests"
        );
        let beam = |(items, log_probs): (&[i64], &[f32])| {
            let entries = items.iter().zip(log_probs).filter(|(row, _)| **row >= 0);
            entries.map(|(row, log_prob)| Ok((item(*row)?, *log_prob))).collect::<anyhow::Result<Vec<_>>>()
        };
        let beams =
            found.chunks(WIDTH).zip(log_probs.chunks(WIDTH)).map(beam).collect::<anyhow::Result<_>>()?;
        Ok(Self { histories, beams, logits: logits.chunks(row).map(<[f32]>::to_vec).collect() })
    }
}

/// Logits behind each history for the first item of its beam.
fn teacher_forced(bundle: &Bundle, contexts: &[Context<'_>], beams: &[Vec<(ItemId, f32)>]) -> Vec<Vec<f32>> {
    let (recommender, vocab) = (bundle.recommender(), &bundle.codebook.vocab);
    let first = |beam: &Vec<(ItemId, f32)>| bundle.codebook.catalog.semantic_id(beam[0].0);
    let read = |id: &SemanticId| {
        std::iter::once(PAD).chain(vocab.tokens(id).take(vocab.levels() - 1)).collect::<Vec<_>>()
    };
    let tokens: Vec<u32> = beams.iter().flat_map(|beam| read(first(beam))).collect();
    let encoded = recommender.encode(contexts, Dropout::Off);
    let states = recommender.model.decode(&encoded, &tokens, contexts.len(), Dropout::Off);
    let logits: Vec<f32> =
        recommender.model.logits(states, 0..vocab.size()).into_data().iter::<f32>().collect();
    logits.chunks(vocab.levels() * vocab.size()).map(<[f32]>::to_vec).collect()
}

/// The tokens that the policy reads of a history.
fn inputs(bundle: &Bundle, history: &[ItemId]) -> Vec<i64> {
    let batch =
        EncoderBatch::new(&[history.into()], bundle.description.history_items, &bundle.codebook.catalog);
    batch.tokens.into_iter().map(i64::from).collect()
}

fn numbers(items: &[ItemId]) -> Vec<i64> {
    items.iter().map(|item| item.index() as i64).collect()
}

/// Rows of different lengths as two tensors: where each starts, and all values.
fn packed(tensors: &mut Tensors, (starts, values): (&str, &str), rows: &[Vec<i64>]) {
    let mut end = 0;
    let ends = rows.iter().map(|row| {
        end += row.len() as i64;
        end
    });
    let ends: Vec<i64> = std::iter::once(0).chain(ends).collect();
    tensors.integers(starts, &[ends.len()], ends.iter().copied());
    tensors.integers(values, &[end as usize], rows.iter().flatten().copied());
}
