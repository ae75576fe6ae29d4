//! Whether the head for watch time is worth its name: the proxy trained again with another one.
//!
//! Two runs give two intervals, which overlap because users differ more than heads do. Of the same users the difference has an
//! interval of its own.

use super::PROXY;
use super::examine::Examiner;
use super::split::JudgeSplit;
use super::training::School;
use reports::schema::{JudgeQuality, WatchBaseline};
use reward::model_judge::{ModelJudge, Trained};
use std::sync::Arc;

/// The proxy beside a judge that began with the same weights, saw the same examples and has another head. Records
/// `watch_baseline/mae_gain` and `xauc_gain`.
pub(super) fn compared(
    proxy: &ModelJudge,
    examiner: &Examiner<'_>,
    (split, quality): (&JudgeSplit, &JudgeQuality),
) -> anyhow::Result<Option<WatchBaseline>> {
    let school = examiner.school;
    let (Some(kind), Some(_)) = (school.section.watch_baseline, &quality.watch_time) else { return Ok(None) };
    let context =
        Arc::new(school.context.with_watch(kind, &[split.proxy.as_slice(), &split.held_out].concat())?);
    let model = School { context: &context, ..*school }.try_out(PROXY, 0.0, &split.proxy)?;
    let fusion = school.section.fusion.clone();
    let trained = Trained { name: "other".into(), model, fusion };
    let other = ModelJudge::new(trained, context.clone(), school.stage.device())?;
    let times = |judge: &ModelJudge| examiner.examination.watch_times(judge, school.context);
    let (Some((theirs, truth)), Some((own, _))) = (times(&other), times(proxy)) else { return Ok(None) };
    let (theirs, own) = (truth.rows(&theirs), truth.rows(&own));
    let users = own.num_users();
    let mae_gain = examiner.estimate(users, &|draws| Some(theirs.mae(draws)? - own.mae(draws)?));
    let xauc_gain = examiner.estimate(users, &|draws| Some(own.xauc(draws)? - theirs.xauc(draws)?));
    let (Some(quality), Some(mae_gain)) = (examiner.watch_quality(&other, theirs), mae_gain) else {
        return Ok(None);
    };
    school.stage.metric(0, "watch_baseline/mae_gain", mae_gain.value)?;
    if let Some(gain) = xauc_gain {
        school.stage.metric(0, "watch_baseline/xauc_gain", gain.value)?;
    }
    Ok(Some(WatchBaseline { quality, mae_gain, xauc_gain }))
}
