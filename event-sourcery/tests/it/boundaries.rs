//! The kit's checker of boundaries finds each fault that it is there to find: writers act as if the store had it.

use event_sourcery_conformance::checked_boundaries::{Fault, Violation, violations_with};

use crate::conformance::MemoryFixture;

/// Enough that each fault shows, whatever the seed.
const APPENDS: usize = 600;

#[tokio::test]
async fn each_fault_of_a_store_is_found_by_the_checker_of_boundaries() {
    for fault in Fault::ALL {
        let found = violations_with::<MemoryFixture>(fault, APPENDS, 1).await;
        let shows = |violation: &Violation| match fault {
            Fault::OverlooksDeletions => matches!(violation, Violation::LetThroughAfterDeletion { .. }),
            Fault::IsTooCoarse => matches!(violation, Violation::RefusedForNothing { .. }),
            Fault::KeepsWhatWasRolledBack => matches!(violation, Violation::NotWritten { .. }),
            Fault::LosesATag => matches!(violation, Violation::Altered { .. }),
            _ => matches!(violation, Violation::LetThrough { .. }),
        };
        assert!(found.iter().any(shows), "{fault:?}: {found:?}");
    }
}
