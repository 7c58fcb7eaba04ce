//! Power loss with a rollback journal, where a commit is the deletion of a file.

use faulty_vfs::{FaultyVfs, Survivors};

use crate::harness::{Mode, cuts_that_lose_rows};

#[test]
fn a_deletion_without_its_directory_synced_may_not_have_happened() {
    let vfs = FaultyVfs::register("journal-full");
    let mode = Mode { journal: "delete", synchronous: "FULL" };
    assert!(cuts_that_lose_rows(vfs, mode, &[Survivors::OnlySynced]) > 0, "the journal came back");
}

#[test]
fn a_deletion_with_its_directory_synced_is_durable() {
    let vfs = FaultyVfs::register("journal-extra");
    let mode = Mode { journal: "delete", synchronous: "EXTRA" };
    let survivors = [Survivors::OnlySynced, Survivors::Torn { seed: 1 }];
    assert_eq!(cuts_that_lose_rows(vfs, mode, &survivors), 0);
}
