use super::*;
use crate::labels::{Feedback, WatchLabel};
use crate::statistics::{HeadStatistics, Rows};
use crate::world::users::{Drifting, MIN_INTERESTS};
use crate::world::{BayesJudge, Feed, WorldConfig};
use policy::ids::UserId;

fn world() -> Arc<World> {
    Arc::new(World::generate(&WorldConfig::new(60, 300, 3)))
}

fn labels(world: &World) -> Labels {
    let durations: Vec<f32> = world.simulator.attributes().values().iter().map(|d| d.exp()).collect();
    let users: Vec<_> = (0..world.users.len()).map(UserId::new).collect();
    let feedback = Feedback { log: world.log(), durations: Some(&durations) };
    Labels::fit(feedback, &users, (1, WatchLabel::default()))
}

fn judge(world: &Arc<World>, effort: Effort) -> LogJudge {
    LogJudge { effort, ..LogJudge::new(world.clone(), &labels(world), Key::new(5)).unwrap() }
}

/// Every interaction of the first users.
fn requests(world: &World, users: usize) -> Vec<Request<'_>> {
    let of_user = |user: usize| {
        let user = UserId::new(user);
        let items = &world.log.history(user).items;
        (0..items.len()).map(move |known| Request { user, known, candidates: &items[known..=known] })
    };
    (0..users).flat_map(of_user).collect()
}

fn head(scores: &[Vec<Score>], head: usize) -> Vec<f64> {
    scores.iter().flatten().map(|score| f64::from(score.heads[head])).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

#[test]
fn chances_inferred_from_the_log_are_right_on_average_and_tell_much_of_what_is_hidden() {
    let world = world();
    let requests = requests(&world, 60);
    let inferred = judge(&world, Effort { particles: 8, moves: 60 }).score(&requests);
    let truth = BayesJudge::new(world.clone(), &labels(&world)).unwrap().score(&requests);
    for index in 0..4 {
        let (inferred, truth) = (head(&inferred, index), head(&truth, index));
        // Users are independent, their impressions are not.
        let users: Vec<usize> = requests.iter().map(|request| request.user.index()).collect();
        let error = |user: usize| {
            let rows = (0..users.len()).filter(|&row| users[row] == user);
            rows.map(|row| inferred[row] - truth[row]).sum::<f64>()
        };
        let errors: Vec<f64> = (0..60).map(error).collect();
        let bias = mean(errors.iter().copied());
        let spread = mean(errors.iter().map(|error| (error - bias).powi(2))).sqrt();
        assert!(bias.abs() < 3.0 * spread / 60_f64.sqrt(), "head {index}: {bias} of {spread}");
        let auc = |scores: &[f64]| {
            let rows = Rows { scores, labels: &truth, users: &users };
            HeadStatistics::new(rows).auc(&[1.0; 60]).unwrap()
        };
        let (known, best) = (auc(&inferred), auc(&truth));
        assert!(known - 0.5 > 0.6 * (best - 0.5) && known < best, "head {index}: {known} of {best}");
    }
}

#[test]
fn before_the_first_item_users_are_as_users_are() {
    let world = world();
    let items: Vec<ItemId> = (0..30).map(ItemId::new).collect();
    let taken = world.log.history(UserId::new(0)).items[0];
    let items: Vec<ItemId> = items.into_iter().filter(|item| *item != taken).collect();
    let request = Request { user: UserId::new(0), known: 0, candidates: &items };
    let judge = judge(&world, Effort { particles: 4000, moves: 0 });
    let inferred = judge.score(&[request]).concat();
    for (item, score) in items.iter().zip(inferred) {
        let fresh = |index: u64| {
            let user = world.simulator.user_of(Key::new(11).at(index));
            let person = Person { user: &user, ..world.person(UserId::new(0)) };
            let state = Drifting::start(&user, Key::new(12).at(index));
            judge.chances.of(person, &state, (*item, 0)).nth(3).unwrap()
        };
        let expected = mean((0..4000).map(|index| fresh(index as u64)));
        assert!((f64::from(score.heads[3]) - expected).abs() < 0.02, "{item:?}: {score:?}, {expected}");
    }
}

#[test]
fn moves_leave_users_of_whom_nothing_is_known_as_they_are() {
    let world = world();
    let person = world.person(UserId::new(0));
    let items = &world.simulator.items;
    let steps = steps(person, world.log.history(UserId::new(0)));
    // New interests are guessed from what was taken, and that must not show.
    let guesses = Guesses::new(items, &steps);
    let mut cloud = Cloud::new(person, (Effort { particles: 3000, moves: 0 }, Key::new(2)));
    for hypothesis in &mut cloud.hypotheses {
        for _ in 0..40 {
            hypothesis.step(person, (&[], &mut []), (&guesses, &mut cloud.rng));
        }
    }
    let counts: Vec<usize> = cloud.hypotheses.iter().map(Hypothesis::number_of_interests).collect();
    for count in MIN_INTERESTS..=4 {
        let share = counts.iter().filter(|&&found| found == count).count() as f64 / 3000.0;
        assert!((share - 1.0 / 3.0).abs() < 0.03, "{count} interests: {share}");
    }
    let favourite = items.get(steps[0].item).topic;
    let topics: Vec<u16> = cloud.hypotheses.iter().map(Hypothesis::first_topic).collect();
    let share = topics.iter().filter(|&&topic| topic == favourite).count() as f64 / 3000.0;
    let expected = items.topic_share(favourite);
    assert!((share - expected).abs() < 4.0 * (expected / 3000.0).sqrt(), "{share}, {expected}");
    let patience = mean(cloud.hypotheses.iter().map(|hypothesis| f64::from(hypothesis.user.patience)));
    assert!((patience - 3.4).abs() < 0.04, "{patience}");
}

#[test]
fn the_estimated_chances_of_all_choices_sum_to_one() {
    let world = world();
    let person = world.person(UserId::new(3));
    let history = world.log.history(UserId::new(3));
    let step = &steps(person, history)[4];
    let state = person.after(&history.items[..4]);
    let mut rng = Key::new(9).rng();
    // Every item in the place of the one that was taken.
    let chance =
        |item: usize, pool: &evidence::Pool| step.of(ItemId::new(item)).choice(person, &state, pool).exp();
    let possible: Vec<usize> = (0..300).filter(|&item| step.is_possible(person, ItemId::new(item))).collect();
    let total = mean((0..200).map(|_| {
        let pool = evidence::Pool::draw(&world.simulator.items, &mut rng);
        possible.iter().map(|&item| chance(item, &pool)).sum::<f64>()
    }));
    assert!((total - 1.0).abs() < 0.03, "{total}");
}

#[test]
fn threads_and_company_change_nothing() {
    let world = world();
    let requests = requests(&world, 4);
    let judge = judge(&world, Effort { particles: 4, moves: 10 });
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let all = pool(1).install(|| judge.score(&requests));
    assert_eq!(pool(2).install(|| judge.score(&requests)), all);
    let last = requests.iter().rposition(|request| request.user == UserId::new(2)).unwrap();
    assert_eq!(judge.score(&requests[last..=last])[0], all[last]);
}

#[test]
fn a_service_that_shows_slates_hides_what_it_chose_from() {
    let config = WorldConfig { feed: Some(Feed::default()), ..WorldConfig::new(20, 100, 1) };
    let world = World::generate(&config);
    let labels = labels(&world);
    assert!(LogJudge::new(world, &labels, Key::new(1)).is_none());
}

#[test]
fn particles_are_drawn_as_often_as_their_shares_say() {
    assert_eq!(systematic(&[0.5, 0.0, 0.25, 0.25], 0.5), [0, 0, 2, 3]);
    assert_eq!(systematic(&[0.0, 0.0, 1.0], 0.0), [2, 2, 2]);
    assert_eq!(systematic(&[1.0], 0.9), [0]);
}
