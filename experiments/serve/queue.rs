//! Where requests become a batch: a bounded queue before the one thread that computes.
//!
//! The thread takes what waits, up to [`Limits::batch`] histories; the oldest waits at most [`Limits::wait`] for company. While a
//! batch is computed the next one gathers, so under load batches grow by themselves and nobody waits for a clock.

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
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

type Outcome = Result<Answers, Refusal>;

/// A request that waits.
struct Job {
    tasks: Vec<Task>,
    arrived: Instant,
    reply: oneshot::Sender<Outcome>,
    /// Its room in the queue, until it is answered.
    room: OwnedSemaphorePermit,
}

/// The way to the thread that computes. When the last one is dropped, the thread ends.
#[derive(Clone)]
pub struct Queue {
    sender: Sender<Job>,
    room: Arc<Semaphore>,
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
        Ok((Self { sender, room: Arc::new(Semaphore::new(limits.queue)), limits }, thread))
    }

    /// Waits for the answers.
    ///
    /// # Errors
    /// The queue is full, or the answer is not there in time.
    pub async fn ask(&self, tasks: Vec<Task>) -> Outcome {
        let gone = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the service is stopping");
        let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        let room = self.room.clone().try_acquire_many_owned(count).map_err(|_| Refusal::overloaded())?;
        let (reply, answer) = oneshot::channel();
        let job = Job { tasks, arrived: clock::now(), reply, room };
        self.sender.send(job).map_err(|_| gone())?;
        match tokio::time::timeout(self.limits.time, answer).await {
            Err(_) => Err(Refusal::late()),
            Ok(outcome) => outcome.unwrap_or_else(|_| Err(gone())),
        }
    }

    /// Histories that wait or are being answered.
    pub fn occupied(&self) -> usize {
        self.limits.queue - self.room.available_permits()
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
            drop(job.room);
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
