//! The owner of the spool: spools what the engine closes, and sends it in order, one request at a time.
//!
//! 1. Closed seconds are encoded and spooled as they come, whatever the sending does.
//! 2. The oldest records go into one request as far as its limits allow. They leave the spool when the
//!    service has taken them.
//! 3. A failure that time or somebody can mend is waited out, for as long as it takes. Where no answer
//!    came the service may have counted the datums, and counts them again: that is told.
//! 4. A request that is refused for good is sent again record by record; a record that is refused alone
//!    is set aside in a file, and counted, so that it is in nobody's way.
//! 5. Datums older than the service takes are dropped and counted.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_cloudwatch::Client;
use tiertop_core::snapshot::Snapshot;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use super::datum::{Datum, MOST_BYTES, MOST_DATUMS, OLDEST_S, requests};
use super::encode::Encoder;
use super::{CloudwatchOptions, Spooled, disk_failed, send, spool_view};
use crate::ship::Intake;
use crate::ship::backoff::Backoff;
use crate::ship::cost::Meter;
use crate::ship::failure::{Failure, FailureKind};
use crate::ship::spool::{Gone, Record, Spool, SpoolError};
use crate::ship::status::Status;

/// Files of refused datums that are kept.
const SET_ASIDE_KEPT: usize = 20;

/// How fast things go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long the first record of a request waits for others.
    pub linger: Duration,
    /// Waits while time alone may mend a failure.
    pub soon: Backoff,
    /// Waits while somebody must change something.
    pub slowly: Backoff,
    /// How long to go on sending when the agent stops.
    pub farewell: Duration,
}

impl Pace {
    /// By the second, ten seconds share a request, since each costs money. By the minute there is one a minute
    /// anyway, at a moment that is drawn, so that many agents do not come in step.
    pub fn of(resolution_s: u32) -> Self {
        let drawn = Duration::from_secs(10).mul_f64(crate::jitter::jitter());
        Self {
            linger: if resolution_s == 1 { Duration::from_secs(10) } else { drawn },
            soon: Backoff::SOON,
            slowly: Backoff::SLOWLY,
            farewell: Duration::from_secs(5),
        }
    }
}

/// This machine's clock, in whole seconds.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// See the module's text.
#[derive(Debug)]
pub struct Shipper {
    options: CloudwatchOptions,
    encoder: Encoder,
    spool: Spool,
    client: Client,
    status: Status,
    pace: Pace,
    now: fn() -> u64,
    /// Failures in a row.
    failures: u64,
    /// Records to be sent each alone, since one among them was refused.
    alone: usize,
    /// When to send next, if anything waits.
    due: Option<Instant>,
    /// What it has cost.
    meter: Meter,
    /// Counts taken over from elsewhere so far.
    missed_seconds: u64,
    out_of_range: u64,
}

/// A request on its way.
#[derive(Debug, Default)]
struct Request {
    /// Records of the spool that it holds, from the front; fewer if some made room meanwhile.
    records: usize,
    /// Pieces that made room meanwhile: given up if it fails.
    gone: u64,
    /// Datums sent.
    sent: u64,
    /// Datums that were too old to be sent.
    too_old: u64,
    /// Datums in records that could not be read.
    unreadable: u64,
    /// More would not have fitted.
    is_full: bool,
}

type Call = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

impl Shipper {
    /// A shipper on an opened spool. `now` is the clock by which datums get too old.
    pub fn new(
        options: CloudwatchOptions,
        spool: Spool,
        client: Client,
        status: Status,
        pace: Pace,
        now: fn() -> u64,
    ) -> Self {
        let encoder = Encoder::new(options.encoder.clone());
        let due = (spool.records() > 0).then(Instant::now);
        Self {
            options,
            encoder,
            spool,
            client,
            status,
            pace,
            now,
            failures: 0,
            alone: 0,
            due,
            meter: Meter::default(),
            missed_seconds: 0,
            out_of_range: 0,
        }
    }

    /// Ships until the snapshots end, and then for a short while what is left.
    pub async fn run(mut self, mut intake: Intake) {
        let mut on_its_way: Option<(Request, Call)> = None;
        let mut farewell: Option<Instant> = None;
        self.tell();
        loop {
            let is_idle = on_its_way.is_none();
            let over = farewell.unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
            tokio::select! {
                snapshot = intake.snapshots.recv(), if farewell.is_none() => {
                    let gone = if let Some(snapshot) = snapshot {
                        self.take(&snapshot, &intake)
                    } else {
                        farewell = Some(Instant::now() + self.pace.farewell);
                        self.close()
                    };
                    self.made_room(gone, on_its_way.as_mut().map(|(request, _)| request));
                }
                () = sleep_until(self.due.unwrap_or(over)), if is_idle && self.due.is_some() => {
                    on_its_way = self.begin();
                }
                (request, outcome) = answer(&mut on_its_way), if !is_idle => {
                    on_its_way = None;
                    self.settle(&request, outcome);
                }
                () = sleep_until(over), if farewell.is_some() => break,
            }
            self.tell();
            let nothing_left = self.due.is_none() && on_its_way.is_none();
            if farewell.is_some() && (nothing_left || (on_its_way.is_none() && self.failures > 0)) {
                break;
            }
        }
        self.tell();
        let left = self.spool.pieces();
        info!(left, "stopped; what is left is sent at the next start");
    }

    /// Spools what a snapshot closes. Returns what made room for it.
    fn take(&mut self, snapshot: &Snapshot, intake: &Intake) -> Gone {
        let missed = intake.missed_seconds.load(Ordering::Relaxed);
        self.status.dropped("closed seconds that the spool was too slow for", missed - self.missed_seconds);
        self.missed_seconds = missed;
        let environment = &snapshot.environment;
        let datums = snapshot.closed_seconds.iter().flat_map(|second| self.encoder.take(environment, second)).collect();
        self.spool_all(datums)
    }

    /// Spools what the encoder still holds, and sends what waits at once.
    fn close(&mut self) -> Gone {
        // Nothing more will come that would be worth waiting for.
        self.pace.linger = Duration::ZERO;
        let datums = self.encoder.finish();
        let gone = self.spool_all(datums);
        if self.failures == 0 && self.spool.records() > 0 {
            self.due = Some(Instant::now());
        }
        gone
    }

    fn spool_all(&mut self, datums: Vec<Datum>) -> Gone {
        let out_of_range = self.encoder.out_of_range();
        self.status.dropped("figures that CloudWatch does not take", out_of_range - self.out_of_range);
        self.out_of_range = out_of_range;
        let mut gone = Gone::default();
        for datums in requests(datums) {
            let pieces = datums.len() as u64;
            match self.spool_one(datums) {
                Ok(made_room) => {
                    gone.records += made_room.records;
                    gone.pieces += made_room.pieces;
                }
                Err(failed) => {
                    disk_failed(&self.status, &failed);
                    self.status.dropped("the spool's disk failed", pieces);
                }
            }
        }
        if self.due.is_none() && self.spool.records() > 0 {
            self.due = Some(Instant::now() + self.pace.linger);
        }
        gone
    }

    fn spool_one(&mut self, datums: Vec<Datum>) -> Result<Gone, SpoolError> {
        let pieces = datums.len() as u32;
        let spooled = Spooled { namespace: self.options.namespace.clone(), datums };
        let bytes = spooled.to_bytes().map_err(queue_file::Error::from)?;
        self.spool.append(&Record { pieces, bytes })
    }

    /// The oldest records went to make room. What is on its way of them is given up only if it fails.
    fn made_room(&self, gone: Gone, on_its_way: Option<&mut Request>) {
        match on_its_way {
            Some(request) if request.records >= gone.records => {
                request.records -= gone.records;
                request.gone += gone.pieces;
            }
            on_its_way => {
                if let Some(request) = on_its_way {
                    request.records = 0;
                }
                self.status.dropped(MADE_ROOM, gone.pieces);
            }
        }
    }

    /// Puts the oldest records into a request and sends it.
    fn begin(&mut self) -> Option<(Request, Call)> {
        self.due = None;
        let mut request = Request::default();
        let mut namespace = None;
        let mut datums: Vec<Datum> = Vec::new();
        let mut bytes = 0;
        let most_records = if self.alone > 0 { 1 } else { usize::MAX };
        let oldest = (self.now)().saturating_sub(OLDEST_S);
        self.spool.first(|record| {
            if request.records >= most_records {
                return false;
            }
            let Some(spooled) = Spooled::from_bytes(&record.bytes) else {
                request.records += 1;
                request.unreadable += u64::from(record.pieces);
                return true;
            };
            let more: usize = spooled.datums.iter().map(Datum::bytes).sum();
            let fits = datums.len() + spooled.datums.len() <= MOST_DATUMS && bytes + more <= MOST_BYTES;
            let of_same = namespace.as_ref().is_none_or(|namespace| *namespace == spooled.namespace);
            let joins = datums.is_empty() || (fits && of_same);
            if !joins {
                request.is_full = true;
                return false;
            }
            namespace = Some(spooled.namespace);
            bytes += more;
            request.records += 1;
            let all = spooled.datums.len();
            datums.extend(spooled.datums.into_iter().filter(|datum| datum.timestamp >= oldest));
            request.too_old += all as u64;
            true
        });
        request.sent = datums.len() as u64;
        request.too_old -= request.sent;
        let namespace = namespace.filter(|_| !datums.is_empty());
        let Some(namespace) = namespace else {
            self.forget(&request);
            self.wait_for_more(request.is_full);
            return None;
        };
        if let Err(failed) = self.spool.note_in_flight(request.sent) {
            disk_failed(&self.status, &failed);
        }
        self.meter.called();
        let call = send::put(self.client.clone(), namespace, datums);
        Some((request, Box::pin(call)))
    }

    fn settle(&mut self, request: &Request, outcome: Result<(), Failure>) {
        if let Err(failed) = self.spool.note_in_flight(0) {
            disk_failed(&self.status, &failed);
        }
        match outcome {
            Ok(()) => {
                if self.failures > 0 {
                    info!(failures = self.failures, waiting = self.spool.pieces(), "CloudWatch takes metrics again");
                }
                self.failures = 0;
                self.alone = self.alone.saturating_sub(1);
                self.status.took(request.sent);
                self.forget(request);
                self.wait_for_more(request.is_full);
            }
            Err(failure) => self.settle_failure(request, &failure),
        }
    }

    fn settle_failure(&mut self, request: &Request, failure: &Failure) {
        self.status.dropped(MADE_ROOM, request.gone);
        if failure.is_final() {
            if request.records > 1 {
                self.alone = request.records;
            } else {
                error!(what = %failure.what, datums = request.sent, "CloudWatch refuses datums");
                self.set_aside();
                self.alone = self.alone.saturating_sub(1);
                self.status.refused(request.sent, failure);
                self.forget(request);
            }
            self.due = (self.spool.records() > 0).then(Instant::now);
            return;
        }
        if self.failures == 0 {
            warn!(what = %failure.what, remedy = %failure.remedy, "CloudWatch does not take metrics");
        }
        self.failures += 1;
        self.status.failed(failure);
        if failure.kind == FailureKind::Unanswered {
            self.status.maybe_twice(request.sent);
        }
        let backoff = if failure.is_blocked() { self.pace.slowly } else { self.pace.soon };
        self.due = Some(Instant::now() + backoff.wait(self.failures, failure.asked_for));
    }

    /// Removes a request's records from the spool, and counts what of them was not sent.
    fn forget(&mut self, request: &Request) {
        self.status.dropped("older than two weeks", request.too_old);
        self.status.dropped("in a record that could not be read", request.unreadable);
        if let Err(failed) = self.spool.remove(request.records) {
            disk_failed(&self.status, &failed);
        }
    }

    /// What is spooled is sent soon: at once if it did not fit into the last request.
    fn wait_for_more(&mut self, was_full: bool) {
        let wait = if was_full || self.alone > 0 { Duration::ZERO } else { self.pace.linger };
        self.due = (self.spool.records() > 0).then(|| Instant::now() + wait);
    }

    /// Keeps the oldest record in a file of its own, for somebody to look at.
    fn set_aside(&self) {
        let folder = self.options.spool.join("refused");
        let mut is_first = true;
        let first = self.spool.first(|_| std::mem::take(&mut is_first));
        let Some(spooled) = first.first().and_then(|record| Spooled::from_bytes(&record.bytes)) else { return };
        let kept = std::fs::create_dir_all(&folder).and_then(|()| {
            let text = serde_json::to_vec_pretty(&spooled)?;
            std::fs::write(folder.join(format!("{}.json", (self.now)())), text)
        });
        if let Err(failed) = kept.and_then(|()| forget_oldest(&folder)) {
            warn!(error = %failed, "refused datums could not be kept");
        }
    }

    /// Tells what waits, and what it costs.
    fn tell(&mut self) {
        let series = self.encoder.series();
        let cost = self.meter.read((self.now)(), series.used, self.options.encoder.resolution_s);
        self.status.update(|view| {
            view.cost = Some(cost);
            view.waiting = self.spool.pieces();
            view.spool = Some(spool_view(&self.spool));
            view.series = Some(series);
        });
    }
}

const MADE_ROOM: &str = "the spool was full: the oldest made room";

/// The answer to the request that is on its way.
async fn answer(on_its_way: &mut Option<(Request, Call)>) -> (Request, Result<(), Failure>) {
    match on_its_way {
        Some((request, call)) => {
            let outcome = call.await;
            (std::mem::take(request), outcome)
        }
        None => std::future::pending().await,
    }
}

/// Leaves the newest files in a folder.
fn forget_oldest(folder: &std::path::Path) -> std::io::Result<()> {
    let files = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<PathBuf> = files.into_iter().map(|entry| entry.path()).collect();
    files.sort();
    let surplus = files.len().saturating_sub(SET_ASIDE_KEPT);
    files.iter().take(surplus).try_for_each(std::fs::remove_file)
}
