//! Pages over a directory of runs, for the browser of whoever sits at this machine.
//!
//! [`server`] listens on loopback only; `guard` refuses requests that other sites' pages make; `http` has the routes; `place` finds
//! directories and files by name and never outside the directory. What is shown is read again when it has changed: `listing` (state of
//! all runs), `following` (a run, its curves by offset), `compared` and `pairs`. No lock is taken and nothing is written, so a
//! run is never held up. The pages themselves are `reports::ui`.

mod compared;
mod following;
mod guard;
mod http;
mod listing;
mod pairs;
mod place;
mod reply;
pub mod server;
mod tail;
mod url;
mod view;

pub(crate) use url::encode;
