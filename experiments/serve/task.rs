//! One unit of work: what a request of a batch asks for, with its bounds.

use super::api::{ItemRef, Recommend, Score};
use super::error::Refusal;
use super::limits::{Limits, MOST_ITEMS};

/// One unit of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Items for a history.
    Recommend(Recommend),
    /// Log-probabilities of items.
    Score(Score),
}

impl Task {
    /// Whose codes it says its codes are.
    pub fn codes_of(&self) -> Option<&str> {
        let (Self::Recommend(Recommend { codes_of, .. }) | Self::Score(Score { codes_of, .. })) = self;
        codes_of.as_deref()
    }

    /// All items that it names.
    pub fn items(&self) -> impl Iterator<Item = &ItemRef> {
        let lists = match self {
            Self::Recommend(wish) => [Some(&wish.history), Some(&wish.block), wish.allow.as_ref()],
            Self::Score(wish) => [Some(&wish.history), Some(&wish.candidates), None],
        };
        lists.into_iter().flatten().flatten()
    }

    /// Likewise, to be replaced.
    pub fn items_mut(&mut self) -> impl Iterator<Item = &mut ItemRef> {
        let lists = match self {
            Self::Recommend(wish) => [Some(&mut wish.history), Some(&mut wish.block), wish.allow.as_mut()],
            Self::Score(wish) => [Some(&mut wish.history), Some(&mut wish.candidates), None],
        };
        lists.into_iter().flatten().flatten()
    }

    /// Refuses what is out of bounds.
    ///
    /// # Errors
    /// The first bound that is broken, with the request's position.
    pub fn check(&self, position: usize, limits: &Limits) -> Result<(), Refusal> {
        let at_most = |key: &str, found: usize, most: usize| {
            if found <= most {
                return Ok(());
            }
            let message = format!("requests[{position}].{key} is {found} long, at most {most} is served");
            Err(Refusal::bad("too-long", message))
        };
        match self {
            Self::Recommend(wish) => {
                at_most("history", wish.history.len(), MOST_ITEMS)?;
                at_most("block", wish.block.len(), MOST_ITEMS)?;
                at_most("allow", wish.allow.as_ref().map_or(0, Vec::len), MOST_ITEMS)?;
                wish.check_sizes(position, limits)
            }
            Self::Score(wish) => {
                at_most("history", wish.history.len(), MOST_ITEMS)?;
                at_most("candidates", wish.candidates.len(), MOST_ITEMS)
            }
        }
    }
}

impl Recommend {
    fn check_sizes(&self, position: usize, limits: &Limits) -> Result<(), Refusal> {
        let most = limits.beam;
        for (key, value) in [("k", Some(self.k)), ("beam", self.beam)] {
            let value = value.map(|value| value.get() as usize);
            if let Some(value) = value.filter(|value| !(1..=most).contains(value)) {
                let message =
                    format!("requests[{position}].{key} = {value} is out of range, must be 1 to {most}");
                return Err(Refusal::bad("out-of-range", message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        let wish = serde_json::from_str(json).unwrap();
        Task::Recommend(wish).check(3, &Limits::default()).unwrap_err().message
    }

    #[test]
    fn sizes_out_of_range_are_named_with_their_range() {
        assert!(
            refusal(r#"{"history": [], "k": 0}"#)
                .contains("requests[3].k = 0 is out of range, must be 1 to 100")
        );
        assert!(refusal(r#"{"history": [], "k": 101}"#).contains("k = 101"));
        assert!(refusal(r#"{"history": [], "beam": 1000}"#).contains("beam = 1000"));
        let long = format!(r#"{{"history": [{}"x"]}}"#, "\"x\",".repeat(MOST_ITEMS));
        assert!(refusal(&long).contains("requests[3].history is 1001 long"));
    }
}
