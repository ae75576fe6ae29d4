//! `run.budget = "smoke"`: one set of reductions under which every configuration finishes all stages in seconds.

use super::{Budget, Config, Source};

impl Config {
    /// The configuration with its budget applied. Applying it again changes nothing, so a resolved file reloads
    /// to an equal configuration.
    pub(super) fn within_budget(mut self) -> Self {
        if self.run.budget == Budget::Smoke {
            self.shrink_data();
            self.shrink_policy();
            self.shrink_alignment();
        }
        self
    }

    fn shrink_data(&mut self) {
        if let Source::World(world) = &mut self.data.source {
            at_most(&mut world.users, 200);
            at_most(&mut world.items, 200);
        } else {
            self.data.max_users = Some(self.data.max_users.map_or(300, |users| users.min(300)));
        }
        if self.tokenize.quantizer.fits_codes() {
            // Others need as many IDs as there are items.
            at_most(&mut self.tokenize.codes, 32);
        }
        at_most(&mut self.tokenize.rq_vae.epochs, 2);
        at_most(&mut self.tokenize.iterations, 5);
        at_most(&mut self.tokenize.contrastive.epochs, 2);
    }

    fn shrink_policy(&mut self) {
        let model = &mut self.model;
        at_most(&mut model.d_model, 32);
        at_most(&mut model.num_heads, 2);
        at_most(&mut model.d_kv, 16);
        at_most(&mut model.d_ff, 64);
        at_most(&mut model.encoder_layers, 1);
        at_most(&mut model.decoder_layers, 1);
        let pretrain = &mut self.pretrain;
        // 0 stands for no limit.
        pretrain.max_steps = if pretrain.max_steps == 0 { 30 } else { pretrain.max_steps.min(30) };
        at_most(&mut pretrain.batch_size, 32);
        at_most(&mut pretrain.validation_users, 50);
        pretrain.warmup_steps = pretrain.warmup_steps.min(5);
        pretrain.checkpoint_every = pretrain.checkpoint_every.min(10);
    }

    fn shrink_alignment(&mut self) {
        at_most(&mut self.reward.width, 16);
        at_most(&mut self.reward.epochs, 1);
        at_most(&mut self.reward.ensemble, 2);
        at_most(&mut self.reward.resamples, 100);
        at_most(&mut self.sample.users, 32);
        at_most(&mut self.sample.beam_width, 8);
        at_most(&mut self.align.rounds, 1);
        at_most(&mut self.align.batch_size, 16);
        at_most(&mut self.align.epochs, 1);
        self.shrink_evaluation();
    }

    fn shrink_evaluation(&mut self) {
        let evaluate = &mut self.evaluate;
        // 0 stands for all users.
        evaluate.users = if evaluate.users == 0 { 100 } else { evaluate.users.min(100) };
        at_most(&mut evaluate.beam_width, 10);
        let width = evaluate.beam_width;
        evaluate.cutoffs.retain(|cutoff| *cutoff <= width);
        if evaluate.cutoffs.is_empty() {
            evaluate.cutoffs.push(width);
        }
        at_most(&mut evaluate.judged_items, width);
        at_most(&mut evaluate.resamples, 100);
        if let Some(&fewest) = evaluate.scaling.first() {
            evaluate.scaling.retain(|candidates| *candidates <= 8.max(fewest));
        }
    }
}

fn at_most(value: &mut usize, limit: usize) {
    *value = (*value).min(limit);
}
