//! What has to hold between the two languages, whatever the database.
//!
//! A case function that is missing in the list is dead code, and does not compile.

mod adoption;
mod appending;
mod contexts;
mod corrupt;
mod deleting;
mod drift;
mod layouts;
mod names;
mod projecting;
mod publishing;
mod racing;
mod reading;
mod snapshots;
mod tenants;
mod times;

pub use self::adoption::fill;

use crate::run::Case;

/// Hands the cases, by the file they are in, to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __for_each_case {
    ($then:path { $($given:tt)* }) => { $then! { { $($given)* }
        adoption {
            adopting_a_store_changes_no_row,
            adoption_happens_once,
            python_goes_on_with_the_connection_it_had_when_the_store_was_adopted,
            nothing_is_lost_that_python_writes_while_the_store_is_adopted,
            positions_go_on_above_those_that_the_outbox_has_promised,
            a_store_that_is_not_to_be_migrated_is_refused_and_left_alone,
        }
        appending {
            rust_appends_to_pythons_stream_with_the_right_version_only,
            python_appends_to_rusts_stream_with_the_right_version_only,
            a_stream_that_both_append_to_in_turn_stays_in_order,
            payloads_of_rusts_become_pythons_types,
            python_subscribes_to_what_rust_appends,
            a_stream_is_unversioned_for_both,
            a_stream_is_versioned_for_both,
            an_event_of_pythons_that_rust_appends_again_is_recognised,
            an_event_type_that_only_rust_has_is_a_key_error_in_python_and_hurts_no_other_stream,
        }
        contexts {
            ids_components_and_root_keys_of_pythons_are_read,
            a_context_that_is_appended_again_keeps_what_rust_knows_nothing_of,
            an_empty_context_is_empty_in_both,
            what_rust_puts_into_a_context_is_read_in_python,
            contexts_of_older_writers_are_read,
            the_trace_of_an_event_is_taken_up_by_the_other_language,
        }
        corrupt {
            a_payload_that_is_not_a_json_object_is_an_invalid_event,
            a_payload_that_does_not_fit_the_type_is_an_invalid_event,
            a_context_that_cannot_be_read_is_an_invalid_event,
            an_id_or_a_time_that_cannot_be_read_is_an_invalid_event,
            an_event_numbered_below_zero_is_an_invalid_event,
            a_stream_with_an_event_that_cannot_be_read_can_be_appended_to_and_deleted,
            an_event_that_cannot_be_read_and_is_appended_again_is_an_error,
            a_snapshot_that_cannot_be_read_gives_way_to_the_full_history,
        }
        deleting {
            a_stream_of_pythons_that_rust_deletes_is_gone_with_all_that_hung_on_it,
            what_python_put_into_its_outbox_is_still_published_after_rust_deleted_the_stream,
            rust_drops_what_python_put_into_its_outbox_when_asked_to,
            a_stream_of_rusts_that_python_deletes_is_gone_and_begins_anew,
            a_deleted_stream_can_begin_anew_without_versions_in_the_other_language,
            positions_of_a_newest_stream_that_python_deleted_are_given_to_nobody_again,
        }
        drift {
            a_row_without_events_is_no_stream,
            a_row_without_events_can_become_a_stream_without_versions,
            a_row_without_events_and_versions_can_become_a_stream_with_versions,
            a_row_without_events_gives_its_name_up,
            a_row_ahead_of_its_events_is_mended,
            a_row_behind_its_events_is_mended,
            events_with_holes_between_their_versions_are_read_in_version_order,
            events_that_the_caller_numbered_from_zero_are_all_read,
            a_stream_whose_only_event_has_version_zero_is_versioned,
            events_with_versions_under_a_row_without_one_make_a_versioned_stream,
            no_event_is_passed_over_in_a_stream_where_only_some_have_versions,
            a_row_that_has_drifted_is_mended_by_appending_only,
        }
        layouts {
            python_works_on_a_store_that_rust_made,
        }
        names {
            a_stream_that_rust_made_by_uuid_gets_its_name_when_it_is_used_with_it,
            a_stream_that_python_made_by_uuid_gets_its_name_when_rust_uses_it_with_it,
            a_name_that_rust_gave_stays_when_the_stream_is_used_by_uuid,
            a_name_that_another_uuid_has_is_refused_by_both,
        }
        projecting {
            rust_goes_on_behind_the_cursor_that_python_has_left_and_leaves_it,
            rust_begins_with_the_next_event_behind_pythons_cursor,
            pythons_cursors_count_for_the_default_tenant,
            a_cursor_of_pythons_that_the_stream_has_not_reached_counts_for_nothing,
            a_cursor_of_pythons_counts_although_a_tenant_deletes_such_a_stream_that_it_does_not_have,
            a_stream_that_python_deleted_and_made_anew_is_projected_anew,
            a_cursor_of_pythons_counts_for_nothing_where_another_tenant_has_a_stream_of_that_id,
            a_cursor_of_pythons_counts_no_more_once_the_projector_is_forgotten,
            a_cursor_of_pythons_counts_no_more_once_rust_has_deleted_the_stream,
            a_cursor_of_pythons_counts_no_more_however_often_rust_deletes_the_stream,
        }
        publishing {
            python_publishes_what_rust_has_put_into_the_outbox,
            rust_publishes_what_python_has_put_into_the_outbox,
            rust_publishes_in_the_order_of_a_stream_that_both_append_to,
            rust_publishes_what_python_has_given_up,
            what_rust_keeps_after_it_was_published_python_does_not_publish,
        }
        racing {
            of_two_appends_with_one_expectation_exactly_one_wins,
            of_two_that_create_one_stream_exactly_one_wins,
            without_versions_both_win_creation_included,
        }
        reading {
            streams_are_found_by_name_by_uuid_and_in_their_category,
            payloads_come_back_with_what_python_meant_by_them,
            an_event_without_a_name_of_its_own_is_stored_under_its_module_and_class,
            ids_and_versions_are_those_that_python_gave,
            a_range_of_versions_of_a_stream_of_pythons_is_read,
            a_stream_without_versions_is_read_in_the_order_it_was_written,
            everything_is_read_in_position_order_across_streams,
        }
        snapshots {
            rust_starts_at_pythons_snapshot_when_it_knows_its_type,
            rust_reads_the_full_history_behind_pythons_snapshot,
            the_newest_snapshot_by_version_wins_whichever_was_saved_last,
            python_starts_at_rusts_snapshot,
            a_snapshot_of_pythons_above_the_streams_version_is_ignored_until_the_stream_gets_there,
            a_snapshot_that_does_not_fit_rusts_type_is_passed_over,
            a_snapshot_of_a_type_that_python_does_not_know_makes_the_stream_unreadable_there,
        }
        tenants {
            each_handle_sees_the_streams_that_python_wrote_for_its_tenant,
            each_tenant_of_pythons_sees_the_streams_that_rust_wrote_for_it,
            rust_appends_to_and_deletes_the_stream_of_its_tenant_only,
            rust_is_not_led_astray_by_an_append_of_pythons_that_bumped_another_tenants_row,
        }
        times {
            times_that_python_wrote_are_read_to_the_microsecond,
            times_that_rust_wrote_are_read_to_the_microsecond,
            a_time_in_the_last_26_hours_of_pythons_calendar_is_an_invalid_event_and_can_be_appended_behind,
        }
    } };
}

macro_rules! list_cases {
    ({} $($subject:ident { $($case:ident),* $(,)? })*) => {
        pub(crate) const CASES: &[Case] = &[$($(
            Case { name: stringify!($case), run: |database| Box::pin($subject::$case(database)) },
        )*)*];
    };
}

crate::__for_each_case! { list_cases {} }
