//! Where requests become a batch: a bounded queue before the one thread that computes.
//!
//! The thread takes what waits, up to [`Limits::batch`] histories; the oldest waits at most [`Limits::wait`] for company. While a
//! batch is computed the next one gathers, so under load batches grow by themselves and nobody waits for a clock.
//!
//! A request is taken in if what is ahead of it, not what it brings, is within [`Limits::queue`]. That bounds how long it waits, and
//! a client who sends full batches one after the other is never refused for their size.

use super::api::Answers;
use super::current::Current;
use super::engine;
use super::error::Refusal;
use super::limits::Limits;
use super::metrics::Metrics;
use super::shadow::Shadow;
use super::task::Task;
use crate::run::clock;
use crate::threads::in_pool;
use anyhow::Context as _;
use axum::http::StatusCode;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::oneshot;

type Outcome = Result<Answers, Refusal>;

/// A request that waits.
struct Job {
    tasks: Vec<Task>,
    arrived: Instant,
    reply: oneshot::Sender<Outcome>,
    place: Place,
}

/// A request's histories among [`Queue::occupied`], until they are answered.
struct Place {
    occupied: Arc<AtomicUsize>,
    histories: usize,
}

impl Place {
    /// Takes a place if at most `most` histories are ahead.
    fn take(occupied: &Arc<AtomicUsize>, histories: usize, most: usize) -> Option<Self> {
        let behind = |ahead: usize| (ahead <= most).then(|| ahead + histories);
        occupied.fetch_update(Ordering::Relaxed, Ordering::Relaxed, behind).ok()?;
        Some(Self { occupied: Arc::clone(occupied), histories })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.occupied.fetch_sub(self.histories, Ordering::Relaxed);
    }
}

/// The way to the thread that computes. When the last one is dropped, the thread ends.
#[derive(Clone)]
pub struct Queue {
    sender: Sender<Job>,
    occupied: Arc<AtomicUsize>,
    limits: Limits,
}

/// What the thread works with.
pub(super) struct Worker {
    pub(super) current: Arc<Current>,
    pub(super) shadow: Option<Shadow>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limits: Limits,
}

impl Queue {
    /// Starts the thread.
    pub(super) fn start(worker: Worker) -> anyhow::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = channel();
        let limits = worker.limits;
        let thread = std::thread::Builder::new().name("answers".into()).spawn(move || worker.run(&receiver));
        let thread = thread.context("cannot start the thread that answers")?;
        Ok((Self { sender, occupied: Arc::default(), limits }, thread))
    }

    /// Waits for the answers.
    ///
    /// # Errors
    /// The queue is full, or the answer is not there in time.
    pub async fn ask(&self, tasks: Vec<Task>) -> Outcome {
        let gone = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the service is stopping");
        let place = Place::take(&self.occupied, tasks.len(), self.limits.queue);
        let place = place.ok_or_else(Refusal::overloaded)?;
        let (reply, answer) = oneshot::channel();
        let job = Job { tasks, arrived: clock::now(), reply, place };
        self.sender.send(job).map_err(|_| gone())?;
        match tokio::time::timeout(self.limits.time, answer).await {
            Err(_) => Err(Refusal::late()),
            Ok(outcome) => outcome.unwrap_or_else(|_| Err(gone())),
        }
    }

    /// Histories that wait or are being answered.
    pub fn occupied(&self) -> usize {
        self.occupied.load(Ordering::Relaxed)
    }
}

impl Worker {
    fn run(mut self, receiver: &Receiver<Job>) {
        let mut next = None;
        while let Some(first) = next.take().or_else(|| receiver.recv().ok()) {
            let jobs;
            (jobs, next) = self.gather(first, receiver);
            self.answer(jobs);
        }
    }

    /// A batch, and the job that did not fit any more.
    fn gather(&self, first: Job, receiver: &Receiver<Job>) -> (Vec<Job>, Option<Job>) {
        let (mut size, until) = (first.tasks.len(), first.arrived + self.limits.wait);
        let mut jobs = vec![first];
        while size < self.limits.batch {
            let patience = until.saturating_duration_since(clock::now());
            let Ok(job) = receiver.recv_timeout(patience) else { break };
            if size + job.tasks.len() > self.limits.batch {
                return (jobs, Some(job));
            }
            size += job.tasks.len();
            jobs.push(job);
        }
        (jobs, None)
    }

    fn answer(&mut self, mut jobs: Vec<Job>) {
        // Whoever has gone or was told it is too late needs no answer.
        jobs.retain(|job| !job.reply.is_closed());
        let tasks: Vec<&Task> = jobs.iter().flat_map(|job| &job.tasks).collect();
        if tasks.is_empty() {
            return;
        }
        let (bundle, started) = (self.current.get(), clock::now());
        // A defect must cost the requests that meet it, not the service.
        let answered = catch_unwind(AssertUnwindSafe(|| in_pool(|| engine::answer(&bundle, &tasks))));
        self.metrics.batch(tasks.len(), started.elapsed());
        if let (Ok(answers), Some(shadow)) = (&answered, &mut self.shadow) {
            shadow.remember(&tasks, answers);
        }
        let mut answers = answered.map(Vec::into_iter);
        for job in jobs {
            let outcome = match &mut answers {
                Ok(answers) => Ok(Answers {
                    policy: bundle.description.policy_sha256.clone(),
                    results: answers.by_ref().take(job.tasks.len()).collect(),
                }),
                Err(_) => Err(defect()),
            };
            // Whoever hears the answer may ask again at once: there must be room by then.
            drop(job.place);
            // Who asked may be gone.
            drop(job.reply.send(outcome));
        }
        if let Some(shadow) = &mut self.shadow {
            shadow.compare(&self.metrics);
        }
    }
}

fn defect() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "defect", "the service failed; please report this")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ahead_decides_and_not_what_a_request_brings() {
        let occupied = Arc::default();
        let first = Place::take(&occupied, 64, 0).expect("nobody is ahead");
        assert!(Place::take(&occupied, 1, 63).is_none());
        let second = Place::take(&occupied, 64, 64).expect("64 are ahead");
        assert!(Place::take(&occupied, 1, 127).is_none());
        drop(first);
        assert_eq!(occupied.load(Ordering::Relaxed), 64);
        drop(second);
        assert!(Place::take(&occupied, 1, 0).is_some(), "answers make room");
    }
}
