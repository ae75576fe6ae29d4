//! How much of a judge's distance from the Bayes-optimal prediction a better judge could make up.
//!
//! No history tells a user's tastes exactly. What one who knows the world's laws and items infers from a history is the best that
//! a judge can learn to say of it; the rest of the distance is hidden from all.

use super::Judges;
use super::examine::Examiner;
use anyhow::Context as _;
use policy::ids::UserId;
use reports::schema::InferredHead;
use reward::judge::Judge;
use reward::quality::Examination;
use reward::statistics::{HeadStatistics, Rows};
use reward::world::LogJudge;

/// Users between two looks at whether to stop.
const AT_ONCE: usize = 16;

/// The proxy beside what can be inferred of the first `reward.inferred_users` evaluation users. Records
/// `inferred/<head>/auc` and `gap`.
pub(super) fn inferred(judges: &Judges, examiner: &Examiner<'_>) -> anyhow::Result<Vec<InferredHead>> {
    let school = examiner.school;
    let users = &judges.split.evaluation;
    let users = &users[..users.len().min(school.section.inferred_users)];
    let Some(attainable) = examiner.attainable.filter(|_| !users.is_empty()) else { return Ok(Vec::new()) };
    let (world, key) = (attainable.world(), school.stage.key().named("inferred"));
    let reference = LogJudge::new(world.clone(), &school.context.config().labels, key)
        .context("reward.inferred_users needs labels of single impressions that users picked themselves")?;
    let answers = answers([&judges.proxy, &reference, attainable.judge()], examiner, users)?;
    let names = school.context.head_names().into_iter().enumerate();
    let heads: Vec<InferredHead> = names.filter_map(|head| answers.head(head, examiner)).collect();
    for InferredHead { head, auc, gap, .. } in &heads {
        tracing::info!("what the log tells, {head}: AUC {:.3}, {:.3} above the proxy", auc.value, gap.value);
        school.stage.metric(0, &format!("inferred/{head}/auc"), auc.value)?;
        school.stage.metric(0, &format!("inferred/{head}/gap"), gap.value)?;
    }
    Ok(heads)
}

/// Chances of labels, head by head, of the same impressions.
#[derive(Default)]
struct Answers {
    proxy: Vec<Vec<f64>>,
    reference: Vec<Vec<f64>>,
    truth: Vec<Vec<f64>>,
    /// Whose impression, from 0.
    users: Vec<usize>,
}

/// What proxy, reference and truth say of these users' impressions.
fn answers(
    [proxy, reference, truth]: [&dyn Judge; 3],
    examiner: &Examiner<'_>,
    users: &[UserId],
) -> anyhow::Result<Answers> {
    let school = examiner.school;
    let progress = school.stage.progress("users inferred from the log", users.len() as u64);
    let mut answers = Answers::default();
    for users in users.chunks(AT_ONCE) {
        school.stage.check_stop()?;
        let examination =
            Examination::new(school.context, users, school.section.negatives, school.stage.key());
        append(&mut answers.proxy, examination.examine(proxy).predictions);
        append(&mut answers.reference, examination.examine(reference).predictions);
        append(&mut answers.truth, examination.examine(truth).predictions);
        let before = answers.users.last().map_or(0, |last| last + 1);
        answers.users.extend(examination.truth(0).users().iter().map(|user| before + user));
        progress.inc(users.len() as u64);
    }
    Ok(answers)
}

fn append(all: &mut Vec<Vec<f64>>, more: Vec<Vec<f64>>) {
    all.resize(more.len(), Vec::new());
    all.iter_mut().zip(more).for_each(|(all, more)| all.extend(more));
}

impl Answers {
    /// `None` where an AUC is undefined.
    fn head(&self, (index, head): (usize, String), examiner: &Examiner<'_>) -> Option<InferredHead> {
        let (users, labels) = (&self.users, &self.truth[index]);
        let statistics = |scores| HeadStatistics::new(Rows { scores, labels, users });
        let (proxy, reference) = (statistics(&self.proxy[index]), statistics(&self.reference[index]));
        let users = reference.num_users();
        Some(InferredHead {
            head,
            users: users as u64,
            auc: examiner.estimate(users, &|draws| reference.auc(draws))?,
            proxy: examiner.estimate(users, &|draws| proxy.auc(draws))?,
            gap: examiner.estimate(users, &|draws| Some(reference.auc(draws)? - proxy.auc(draws)?))?,
        })
    }
}
