//! The way of tokens to their experts and back.

/// Which token goes to which expert. Rows of experts follow one another.
pub(super) struct Routes {
    /// Tokens of every expert.
    pub(super) tokens: Vec<Vec<u32>>,
    /// Where the gate of each row is among the scores, counted through.
    pub(super) gates: Vec<u32>,
    /// The rows of each token, a token's side by side.
    pub(super) back: Vec<u32>,
}

impl Routes {
    /// `chosen`: the experts of every token.
    pub(super) fn new(chosen: &[Vec<u32>], experts: usize) -> Self {
        let mut tokens = vec![Vec::new(); experts];
        for (token, of_token) in chosen.iter().enumerate() {
            for &expert in of_token {
                tokens[expert as usize].push(token as u32);
            }
        }
        let gate = |(expert, tokens): (usize, &Vec<u32>)| -> Vec<u32> {
            tokens.iter().map(|token| token * experts as u32 + expert as u32).collect()
        };
        let gates = tokens.iter().enumerate().flat_map(gate).collect();
        let mut next: Vec<u32> = tokens
            .iter()
            .scan(0, |start, tokens| Some(std::mem::replace(start, *start + tokens.len() as u32)))
            .collect();
        let mut row = |expert: u32| {
            let next = &mut next[expert as usize];
            std::mem::replace(next, *next + 1)
        };
        let back = chosen.iter().flatten().map(|&expert| row(expert)).collect();
        Self { tokens, gates, back }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_to_their_tokens() {
        let routes = Routes::new(&[vec![2, 0], vec![0, 1], vec![2, 1]], 3);
        assert_eq!(routes.tokens, [vec![0, 1], vec![1, 2], vec![0, 2]]);
        assert_eq!(routes.gates, [0, 3, 4, 7, 2, 8]);
        assert_eq!(routes.back, [4, 0, 1, 2, 5, 3]);
    }
}
