//! One thread for each watermark file.
//!
//! A write that was handed over is carried out whatever happens to the request: nobody can cancel it.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;
use tracing::error;

use super::plane_thread::Event;
use crate::ops::SharedDurations;
use crate::signing::Input;
use crate::types::ChainId;
use crate::watermark::{Record, WatermarkFile};

/// Writes the records of one chain, in order.
pub(super) struct Writer {
    records: mpsc::Sender<Record>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread of a file; receipts go to `events`, and how long each took to `took`.
    pub(super) fn start(
        chain: ChainId,
        mut file: WatermarkFile,
        events: UnboundedSender<Event>,
        took: SharedDurations,
    ) -> io::Result<Self> {
        let (records, queue) = mpsc::channel::<Record>();
        let name = format!("watermark-{chain}").chars().take(15).collect();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            for record in queue {
                let chain = chain.clone();
                let began = Instant::now();
                let written = file.write(&record);
                let ended = Instant::now();
                let input = match written {
                    Ok(receipt) => Input::Written { chain, receipt },
                    Err(why) => {
                        error!(%chain, %why, "the watermark was not written");
                        Input::WriteFailed { chain }
                    }
                };
                if events.send(Event::Input(input)).is_err() {
                    return;
                }
                // After the receipt, so that no signature waits for it.
                took.observe(ended.saturating_duration_since(began));
            }
        })?;
        Ok(Self { records, thread })
    }

    /// Hands a record over. `false` if the thread is gone.
    pub(super) fn write(&self, record: Record) -> bool {
        self.records.send(record).is_ok()
    }

    /// Waits for everything that was handed over.
    pub(super) fn finish(self) {
        drop(self.records);
        if self.thread.join().is_err() {
            error!("a watermark thread has panicked");
        }
    }
}
