//! The facts of an error, as text that can be compared: a stream by what identifies it.

use event_sourcery::{Error, StreamId};

fn place(stream: &StreamId) -> String {
    format!("{} in {:?}", stream.uuid(), stream.stored_category())
}

pub(super) fn facts(error: &Error) -> String {
    match error {
        Error::Conflict { stream, expected, actual } => {
            format!("Conflict: {} expected {expected} actual {actual}", place(stream))
        }
        Error::StreamNameTaken { stream, name, holder, .. } => {
            format!("StreamNameTaken: {} {name} by {holder}", place(stream))
        }
        Error::ExpectedVersionUsedOnVersionlessStream { stream } => {
            format!("ExpectedVersionUsedOnVersionlessStream: {}", place(stream))
        }
        Error::NoExpectedVersionGivenOnVersionedStream { stream } => {
            format!("NoExpectedVersionGivenOnVersionedStream: {}", place(stream))
        }
        Error::VersionRangeOnVersionlessStream { stream } => {
            format!("VersionRangeOnVersionlessStream: {}", place(stream))
        }
        Error::EmptyAppend { stream } => format!("EmptyAppend: {:?}", stream.as_ref().map(place)),
        Error::StreamGivenTwice { stream } => format!("StreamGivenTwice: {}", place(stream)),
        Error::DuplicateEvent { event_id, stream, .. } => {
            format!("DuplicateEvent: {event_id} to {}", place(stream))
        }
        Error::RequirementFailed { stream, required, actual } => {
            format!("RequirementFailed: {} required {required} actual {actual:?}", place(stream))
        }
        Error::UnknownEvent { name, stream, version } => {
            format!("UnknownEvent: {name} {} {version:?}", place(stream))
        }
        Error::InvalidEvent { name, stream, version, .. } => {
            format!("InvalidEvent: {name} {} {version:?}", place(stream))
        }
        Error::SnapshotVersionMismatch { stream, version, actual } => {
            format!("SnapshotVersionMismatch: {} at {version} actual {actual:?}", place(stream))
        }
        other => format!("{other:?}"),
    }
}
