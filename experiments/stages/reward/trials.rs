//! The proxy trained again on other terms: with less data, or with labels turned over.

use super::PROXY;
use super::examine::Examiner;
use policy::ids::UserId;
use rand::seq::SliceRandom as _;
use reports::schema::{JudgeTrial, TrialHead};
use reward::judge::Judge as _;
use reward::model_judge::{ModelJudge, Trained};
use reward::quality::ExaminationResult;
use std::sync::Arc;

/// One trial per share of the users, then one per share of turned labels. Records `<trial>/<head>/auc` at the number of
/// users, or at the percentage of turned labels.
pub(super) fn trials(examiner: &Examiner<'_>, users: &[UserId]) -> anyhow::Result<Vec<JudgeTrial>> {
    let section = examiner.school.section;
    let curve = section.learning_curve.iter().map(|&share| (share, 0.0));
    let noise = section.label_noise.iter().map(|&noise| (1.0, noise));
    curve.chain(noise).map(|terms| trial(examiner, users, terms)).collect()
}

fn trial(
    examiner: &Examiner<'_>,
    users: &[UserId],
    (share, label_noise): (f64, f64),
) -> anyhow::Result<JudgeTrial> {
    let school = examiner.school;
    let mut chosen = users.to_vec();
    // Larger shares contain the smaller ones.
    chosen.shuffle(&mut school.stage.key().named("trials").rng());
    chosen.truncate(((users.len() as f64 * share).round() as usize).max(1));
    chosen.sort_unstable();
    let model = school.try_out(PROXY, label_noise, &chosen)?;
    let trained = Trained { name: PROXY.into(), model, fusion: school.section.fusion.clone() };
    let judge = ModelJudge::new(trained, Arc::new(school.context.clone()), school.stage.device())?;
    let ExaminationResult { heads: results, predictions, .. } = examiner.examination.examine(&judge);
    let (family, step) = if label_noise > 0.0 {
        ("label_noise", (label_noise * 100.0).round() as u64)
    } else {
        ("learning_curve", chosen.len() as u64)
    };
    for (head, result) in judge.heads().iter().zip(&results) {
        if let Some(auc) = result.auc {
            school.stage.metric(step, &format!("{family}/{head}/auc"), auc)?;
        }
    }
    let expected = examiner.attainable.map(|attainable| attainable.expected_aucs(&predictions));
    let head = |(index, head): (usize, &String)| TrialHead {
        head: head.clone(),
        auc: results[index].auc,
        log_loss: results[index].log_loss,
        expected_auc: expected.as_ref().and_then(|aucs| aucs[index]),
    };
    let heads = judge.heads().iter().enumerate().map(head).collect();
    Ok(JudgeTrial { share, train_users: chosen.len() as u64, label_noise, heads })
}
