//! Cards: what a checkpoint is for people who only get the checkpoint, and what a data set is for programs.

pub mod croissant;
pub mod model;

use crate::error::ReportError;
use crate::load::Run;

/// The cards of a run: `cards/<stage>.md` for every checkpoint, `cards/croissant.json` for the data.
///
/// # Errors
/// A card cannot be written as JSON.
pub fn all(run: &Run) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    let stages = run.stages.iter().map(|stage| stage.manifest.stage.as_str());
    let models =
        stages.filter_map(|stage| Some((format!("cards/{stage}.md"), model::card(run, stage)?.into_bytes())));
    let mut cards: Vec<_> = models.collect();
    if let Some(card) = croissant::card(run)? {
        cards.push(("cards/croissant.json".to_owned(), card.into_bytes()));
    }
    Ok(cards)
}
