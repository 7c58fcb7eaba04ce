//! The list of cases. A case function that is missing here is dead code, and does not compile.

/// Hands the cases, by the file they are in, to a macro. In brackets: what a backend has to declare.
#[doc(hidden)]
#[macro_export]
macro_rules! __for_each_case {
    ($then:path { $($given:tt)* }) => { $then! { { $($given)* }
        streams {
            clause_1_1_a_name_stands_for_its_version_5_uuid,
            clause_1_1_without_uuid_and_name_the_id_is_random,
            clause_1_2_a_uuid_that_the_name_does_not_hash_to_is_refused,
            clause_1_3_the_same_uuid_in_another_category_is_another_stream,
            clause_1_3_the_same_uuid_in_another_tenant_is_another_stream,
            clause_1_3_equality_and_hashing_follow_uuid_and_category,
            clause_1_4_name_and_uuid_and_both_reach_the_same_stream,
            clause_1_4_the_first_append_that_knows_the_name_stores_it,
            clause_1_5_a_name_taken_by_another_uuid_is_refused,
            clause_1_5_a_taken_name_is_refused_on_an_existing_stream_too,
            clause_1_5_a_name_is_free_in_another_category_or_tenant,
            clause_1_5_a_deleted_stream_frees_its_name,
            clause_1_6_the_longest_names_are_stored_and_read_back_all_at_once,
            clause_1_6_names_may_hold_any_character_but_nul,
            clause_1_6_names_beyond_the_limits_are_refused_when_they_are_made,
            clause_1_6_an_empty_category_is_none,
            clause_1_6_the_default_tenant_has_a_name_of_its_own,
        }
        appending {
            clause_2_1_the_events_of_one_call_are_numbered_consecutively_from_1,
            clause_2_1_a_refused_append_writes_nothing,
            clause_2_2_without_an_expected_version_the_stream_must_not_exist,
            clause_2_2_an_absent_expected_version_means_that_the_stream_must_not_exist,
            clause_2_2_what_the_last_of_no_events_gives_creates_the_stream,
            clause_2_3_an_exact_version_must_be_the_current_one,
            clause_2_4_events_without_versioning_are_read_in_position_order,
            clause_2_4_appends_without_versioning_all_succeed_at_once,
            clause_2_5_a_versioned_stream_refuses_no_versioning,
            clause_2_5_an_unversioned_stream_refuses_versions,
            clause_2_5_deleting_is_the_way_to_switch,
            clause_2_6_an_append_returns_what_it_wrote,
            clause_2_9_an_append_of_no_events_is_refused,
            clause_2_14_id_and_time_are_the_callers,
            clause_2_14_id_and_time_are_made_where_the_caller_gives_none,
        }
    } };
}

use super::run::{Case, Need};

const fn first(needs: &[Need]) -> Option<Need> {
    match needs {
        [need, ..] => Some(*need),
        [] => None,
    }
}

macro_rules! list_cases {
    ({} $($subject:ident { $($case:ident $([$need:ident])?),* $(,)? })*) => {
        pub(super) const CASES: &[Case] = &[$($(
            Case {
                name: stringify!($case),
                needs: first(&[$(Need::$need)?]),
                run: |subject| Box::pin(super::$subject::$case(subject)),
            },
        )*)*];
    };
}

crate::__for_each_case! { list_cases {} }
