//! One thread for what takes milliseconds to compute: hashes of long vote extensions.
//!
//! Nothing here waits for anything else, and no queue grows without bound: validators ask one request at
//! a time, members hold a permit for each unread message, and the plane refuses further long orders.

use std::io;
use std::sync::mpsc;

use tokio::sync::mpsc::UnboundedSender;

use super::plane_thread::Event;
use crate::peer::Permit;
use crate::signing::{Input, Task};

/// Does the plane's long sums, in order.
pub(super) struct Arithmetic {
    jobs: mpsc::Sender<Job>,
}

enum Job {
    Task(Box<Task>),
    /// Goes to the plane with the digest of its extension computed.
    Input(Box<Input>, Option<Permit>),
}

impl Arithmetic {
    /// Starts the thread; what comes of each job goes to `events`. It ends with this handle.
    pub(super) fn start(events: UnboundedSender<Event>) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("arithmetic".to_owned()).spawn(move || {
            for job in queue {
                let event = match job {
                    Job::Task(task) => Event::Input(Input::Computed(Box::new(task.run()))),
                    Job::Input(input, permit) => {
                        if let Some(extension) = input.long_extension() {
                            // Kept in the extension, for all its clones.
                            let _ = extension.digest();
                        }
                        Event::Prepared(input, permit)
                    }
                };
                if events.send(event).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { jobs })
    }

    /// Hands a task over. If the thread is gone its request fails by its deadline.
    pub(super) fn run(&self, task: Box<Task>) {
        // A thread that is gone has panicked, which the release build does not survive.
        let _ = self.jobs.send(Job::Task(task));
    }

    /// Hands an input over, which comes back prepared; and its permit, which is held until then.
    pub(super) fn prepare(&self, input: Box<Input>, permit: Option<Permit>) {
        // As above.
        let _ = self.jobs.send(Job::Input(input, permit));
    }
}
