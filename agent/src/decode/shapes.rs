//! Telling spans of one shape from another by one hash, so that strings are made once a shape.
//!
//! A span's *key* is a hash over the raw values of the attributes that a shape is made of. Values
//! without a bound do not go in raw: of a path its template goes in, of a statement its summary,
//! of a queue's URL its last part, each worked out once per distinct value and remembered for the
//! request. Equal keys mean equal shapes; two keys may turn out to be one shape (an old and a new
//! name for the same value), which the shape's own fingerprint finds.
//!
//! A request that brings more than [`CROWDED`] shapes is one whose client puts ids where names
//! belong. From there on names are reduced as paths are, and paths to their first words.

use std::hash::{BuildHasher, Hasher};

use hashbrown::HashMap;
use tiertop_core::observation::{SpanKind, SpanShape};
use tiertop_core::text::path_template_into;

use super::attributes::{Slot, Slots, bits};
use super::fingerprint::{HASHING, fingerprint};
use super::fold::{self, Scope, SpanParts};

/// Shapes in one request from which on names are taken to hold ids.
const CROWDED: usize = 256;

/// Segments of a path that are kept once a request is crowded.
const CROWDED_SEGMENTS: usize = 2;

/// Slots whose raw value is part of the key.
const PLAIN: u64 = bits(&[
    Slot::HttpMethod,
    Slot::HttpMethodOld,
    Slot::HttpRoute,
    Slot::HttpStatus,
    Slot::HttpStatusOld,
    Slot::PeerService,
    Slot::DbSystem,
    Slot::DbSystemOld,
    Slot::DbNamespace,
    Slot::DbName,
    Slot::DbRedisIndex,
    Slot::DbOperation,
    Slot::DbOperationOld,
    Slot::DbQuerySummary,
    Slot::DbCollection,
    Slot::DbSqlTable,
    Slot::DbCollectionOther,
    Slot::MessagingSystem,
    Slot::MessagingDestination,
    Slot::MessagingDestinationOld,
    Slot::SnsTopicArn,
    Slot::MessagingOperationType,
    Slot::MessagingOperationOld,
    Slot::MessagingOperationName,
    Slot::RpcSystem,
    Slot::RpcSystemOld,
    Slot::RpcService,
    Slot::RpcMethod,
    Slot::S3Bucket,
    Slot::FaasTrigger,
    Slot::ErrorType,
    Slot::Tier,
    Slot::CacheStatus,
    Slot::CacheHit,
]);

/// Slots that say whom a span called; of a server's span they say what the client called it by,
/// or who the client is, and those have no bound.
const PEER: u64 = bits(&[
    Slot::ServerAddress,
    Slot::NetPeerName,
    Slot::HttpHost,
    Slot::NetworkPeerAddress,
    Slot::NetSockPeerName,
    Slot::NetSockPeerAddress,
    Slot::NetPeerIp,
    Slot::ServerPort,
    Slot::NetPeerPort,
    Slot::NetworkPeerPort,
    Slot::NetSockPeerPort,
]);

/// Those of [`PEER`] that matter when the first of them holds a name.
const NAMED_PEER: u64 = bits(&[Slot::ServerAddress, Slot::ServerPort, Slot::NetPeerPort, Slot::NetworkPeerPort]);

/// Slots that are reduced before they are part of the key.
const REDUCED: u64 = bits(&[
    Slot::UrlPath,
    Slot::HttpTarget,
    Slot::UrlFull,
    Slot::HttpUrl,
    Slot::DbQueryText,
    Slot::DbStatement,
    Slot::SqsQueueUrl,
    Slot::MessagingUrl,
    Slot::AwsQueueUrl,
    Slot::MessagingBatchCount,
    Slot::UserAgent,
    Slot::UserAgentOld,
]);

/// The shapes of one request.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    known: Vec<SpanShape>,
    by_key: HashMap<u64, u32>,
    by_fingerprint: HashMap<u64, u32>,
    /// Hash of a raw value to the hash of what it is reduced to.
    reduced: HashMap<u64, u64>,
    scratch: String,
}

/// Where a span belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Index of its shape.
    pub(super) shape: u32,
    /// Hash of its raw path, or 0.
    pub(super) path_hash: u64,
}

impl Shapes {
    /// The shapes met, in the order of their indices.
    pub(super) fn into_vec(self) -> Vec<SpanShape> {
        self.known
    }

    /// Finds the shape of a span, or makes it.
    pub(super) fn place(&mut self, scope: &Scope<'_>, span: &SpanParts<'_>) -> Place {
        let crowded = self.known.len() >= CROWDED;
        let (key, path_hash) = self.key(scope, span, crowded);
        if let Some(&shape) = self.by_key.get(&key) {
            return Place { shape, path_hash };
        }
        let mut shape = fold::shape(scope, span);
        if crowded {
            shape.name = crowded_name(&shape.name);
            shape.path_template = shape.path_template.map(|path| first_segments(&path).into());
        }
        shape.fingerprint = fingerprint(scope.resource_fingerprint, &shape);
        let known = &mut self.known;
        let index = *self.by_fingerprint.entry(shape.fingerprint).or_insert_with(|| {
            known.push(shape);
            (known.len() - 1) as u32
        });
        self.by_key.insert(key, index);
        Place { shape: index, path_hash }
    }

    fn key(&mut self, scope: &Scope<'_>, span: &SpanParts<'_>, crowded: bool) -> (u64, u64) {
        let slots = span.slots;
        let server = span.kind == SpanKind::Server;
        let mut hasher = HASHING.build_hasher();
        hasher.write_u64(scope.key);
        hasher.write_u64(
            span.kind as u64 | (span.status as u64) << 8 | u64::from(slots.celery) << 16 | u64::from(crowded) << 17,
        );
        if crowded {
            let name = self.reduce(Kind::Name, HASHING.hash_one(span.name), |out| {
                out.push_str(&crowded_name(&String::from_utf8_lossy(span.name)));
            });
            hasher.write_u64(name);
        } else {
            hasher.write_u64(span.name.len() as u64);
            hasher.write(span.name);
        }
        let peer = match server {
            true => 0,
            // Load balancing gives one name many network addresses, which then do not matter.
            false if slots.has_text(Slot::ServerAddress) => NAMED_PEER,
            false => PEER,
        };
        let mut left = slots.present() & (PLAIN | peer);
        while left != 0 {
            let place = left.trailing_zeros();
            let value = slots.at(place as usize);
            hasher.write_u64(u64::from(place) << 32 | value.len() as u64);
            hasher.write(value);
            left &= left - 1;
        }
        let mut path_hash = 0;
        if slots.present() & REDUCED != 0 {
            path_hash = self.key_of_reduced(slots, server, crowded, &mut hasher);
        }
        (hasher.finish(), path_hash)
    }

    /// Adds to the key what stands for the values without a bound; gives the path's hash.
    fn key_of_reduced(&mut self, slots: &Slots<'_>, server: bool, crowded: bool, hasher: &mut impl Hasher) -> u64 {
        let mut path_hash = 0;
        if let Some((path, url)) = fold::path(slots) {
            path_hash = HASHING.hash_one(path).max(1);
            let kind = if crowded { Kind::CrowdedPath } else { Kind::Path };
            let template = self.reduce(kind, path_hash, |out| {
                path_template_into(path, out);
                if crowded {
                    out.truncate(first_segments(out).len());
                }
            });
            hasher.write_u64(template);
            if let Some(url) = url.filter(|_| !server) {
                hasher.write(url.host.as_bytes());
                hasher.write_u16(url.port);
            }
        }
        if let Some(statement) = fold::statement(slots) {
            let system = fold::db_system(slots).unwrap_or_default();
            let raw_hash = HASHING.hash_one((&*system, statement));
            let summary = self.reduce(Kind::Statement, raw_hash, |out| {
                let summary = fold::statement_summary_of(&system, statement);
                out.push_str(summary.operation.as_deref().unwrap_or_default());
                out.push('\0');
                out.push_str(summary.collection.as_deref().unwrap_or_default());
                out.push(if summary.queue_work { '1' } else { '0' });
            });
            hasher.write_u64(summary);
        }
        if let Some(name) = fold::queue_of_url(slots) {
            hasher.write(name.as_bytes());
        }
        hasher.write_u8(u8::from(fold::is_checker(slots)) | u8::from(fold::is_empty_poll(slots)) << 1);
        path_hash
    }

    /// The hash of what a raw value is reduced to, worked out on the first sight of it.
    fn reduce(&mut self, kind: Kind, raw_hash: u64, reduce: impl FnOnce(&mut String)) -> u64 {
        let key = raw_hash.rotate_left(kind as u32);
        if let Some(&reduced) = self.reduced.get(&key) {
            return reduced;
        }
        self.scratch.clear();
        reduce(&mut self.scratch);
        let reduced = HASHING.hash_one((kind as u8, &self.scratch));
        self.reduced.insert(key, reduced);
        reduced
    }
}

/// What a remembered reduction was of.
#[derive(Clone, Copy)]
enum Kind {
    Name = 1,
    Path,
    CrowdedPath,
    Statement,
}

fn crowded_name(name: &str) -> Box<str> {
    let mut template = String::with_capacity(name.len());
    for (place, word) in name.split(' ').enumerate() {
        if place > 0 {
            template.push(' ');
        }
        path_template_into(word, &mut template);
    }
    super::attributes::kept(&template)
}

/// The start of a path up to [`CROWDED_SEGMENTS`] segments.
fn first_segments(path: &str) -> &str {
    let slashes = path.char_indices().skip(1).filter(|(_, c)| *c == '/');
    match slashes.map(|(place, _)| place).nth(CROWDED_SEGMENTS - 1) {
        Some(end) => &path[..end],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowded_names_lose_their_ids_and_paths_their_ends() {
        assert_eq!(&*crowded_name("GET /content/42"), "GET /content/{id}");
        assert_eq!(&*crowded_name("job 4711"), "job {id}");
        assert_eq!(first_segments("/a/b/c/d"), "/a/b");
        assert_eq!(first_segments("/a"), "/a");
        assert_eq!(first_segments(""), "");
    }

    #[test]
    fn every_slot_that_is_read_is_part_of_the_key() {
        let all = (1_u64 << Slot::COUNT) - 1;
        assert_eq!(PLAIN | PEER | REDUCED, all & !Slot::Target.bit());
        assert_eq!((PLAIN & PEER) | (PLAIN & REDUCED) | (PEER & REDUCED), 0);
    }
}
