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
            clause_1_5_of_streams_of_one_append_one_has_the_name [several_streams],
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
            clause_2_3_versions_that_no_stream_can_have_are_conflicts,
            clause_2_6_an_append_returns_what_it_wrote,
            clause_2_9_an_append_of_no_events_is_refused,
            clause_2_14_id_and_time_are_the_callers,
            clause_2_14_id_and_time_are_made_where_the_caller_gives_none,
        }
        repeats {
            clause_2_7_a_repeat_returns_what_it_has_and_writes_nothing,
            clause_2_7_a_repeat_is_recognised_by_another_handle,
            clause_2_7_a_repeat_is_recognised_whatever_version_it_expects,
            clause_2_7_a_repeat_of_an_append_without_versions_is_recognised,
            clause_2_7_only_some_of_the_ids_present_is_a_duplicate,
            clause_2_7_the_ids_in_another_order_are_a_duplicate,
            clause_2_7_ids_that_are_not_next_to_each_other_are_a_duplicate,
            clause_2_7_other_streams_between_leave_a_repeat_a_repeat,
            clause_2_7_the_ids_in_another_stream_are_a_duplicate [ids_across_streams],
            clause_2_7_the_ids_with_another_payload_are_a_duplicate,
            clause_2_7_the_ids_with_another_type_are_a_duplicate,
            clause_2_7_a_payload_that_is_equal_but_written_otherwise_is_a_repeat,
            clause_2_7_a_field_added_with_a_default_leaves_a_repeat_a_repeat,
            clause_2_7_a_type_that_was_renamed_leaves_a_repeat_a_repeat,
            clause_2_7_one_id_twice_in_one_call_is_a_duplicate,
            clause_2_7_a_type_that_writes_in_any_order_can_be_retried,
            clause_2_7_integers_beyond_64_bits_are_told_apart,
            clause_2_7_a_deleted_streams_ids_can_be_imported_again,
        }
        retrying {
            clause_2_7_a_client_that_lost_the_answer_can_retry,
            clause_2_7_a_client_whose_call_did_not_arrive_can_retry,
            clause_2_7_many_answers_can_be_lost_in_a_row,
            clause_2_7_others_may_append_between_the_loss_and_the_retry,
            clause_2_7_a_retry_that_others_overtook_gets_the_conflict,
            clause_2_7_the_same_append_twice_at_once_is_written_once,
        }
        race {
            clause_2_3_exactly_one_of_n_writers_wins,
            clause_2_3_exactly_one_of_n_processes_wins [shared],
            clause_2_4_processes_appending_without_versions_all_succeed [shared],
        }
        several_streams {
            clause_2_12_one_append_goes_to_several_streams [several_streams],
            clause_2_12_one_append_goes_to_any_number_of_streams [several_streams],
            clause_2_12_one_refused_part_leaves_nothing_of_the_others [several_streams],
            clause_2_12_a_taken_name_in_one_part_leaves_nothing_of_the_others [several_streams],
            clause_2_12_a_stream_given_twice_is_refused,
            clause_2_12_an_empty_part_is_refused,
            clause_2_12_a_requirement_has_to_hold [several_streams],
            clause_2_12_a_requirement_on_an_unversioned_stream_never_holds [several_streams],
            clause_2_12_a_requirement_is_about_the_same_tenant [several_streams],
            clause_2_12_a_requirement_is_checked_atomically_with_the_write [several_streams],
            clause_2_12_a_requirement_on_a_stream_of_a_repeat_does_not_matter [several_streams],
            clause_2_7_a_repeat_to_several_streams_is_recognised [several_streams],
            clause_2_12_appends_in_opposite_orders_do_not_deadlock [several_streams],
            clause_2_12_of_several_streams_racing_exactly_one_call_wins [several_streams],
            clause_2_12_several_streams_are_taken_or_refused_as_unsupported,
        }
        joining {
            clause_2_11_what_a_transaction_appends_is_committed_together [transactions],
            clause_2_11_nothing_of_a_failed_transaction_is_kept [transactions],
            clause_2_11_a_failed_transaction_gives_back_names_and_ids [transactions],
            clause_2_11_a_transaction_sees_what_it_has_written [transactions],
            clause_2_11_a_refused_append_leaves_the_transaction_usable [transactions],
            clause_2_11_a_part_refused_in_a_transaction_leaves_nothing_of_the_others [transactions, several_streams],
            clause_2_11_nobody_sees_a_transaction_before_it_commits [transactions],
            clause_4_3_within_a_transaction_position_order_is_the_order_of_its_appends [transactions],
            clause_6_1_a_snapshot_saved_in_a_transaction_is_found [transactions],
        }
        durability {
            clause_2_10_what_was_acknowledged_is_there_after_reopening [durable],
            clause_2_10_what_was_deleted_stays_deleted_after_reopening [durable],
            clause_4_5_what_was_settled_stays_settled_across_restarts [durable],
            clause_4_1_positions_are_not_reused_after_deleting_the_newest_stream_and_reopening [durable],
        }
        payloads {
            clause_2_13_texts_read_back_equal,
            clause_2_13_numbers_read_back_equal,
            clause_2_13_empty_and_absent_things_read_back_equal,
            clause_2_13_a_payload_of_a_megabyte_reads_back_equal,
            clause_2_13_nesting_reads_back_as_deep_as_it_is_allowed,
            clause_2_13_raw_json_reads_back_equal_as_a_value,
            clause_2_13_a_nul_is_stored_exactly_or_refused,
            clause_2_13_a_number_out_of_range_is_stored_exactly_or_refused,
            clause_2_13_numbers_that_are_not_finite_are_refused,
            clause_2_13_a_payload_is_an_object,
            clause_2_13_times_of_the_years_1_to_9999_read_back_equal,
            clause_2_13_times_are_cut_to_microseconds,
            clause_2_13_times_before_the_year_1_are_refused,
        }
        unbent {
            clause_2_16_a_key_that_stands_twice_is_refused,
            clause_2_16_a_number_that_would_be_written_out_at_length_is_refused,
            clause_2_16_what_is_larger_than_any_backend_takes_is_refused,
            clause_2_16_what_jsonb_changes_comes_back_equal_or_is_refused,
            clause_2_16_what_serde_buffers_comes_back_equal_or_is_refused,
            clause_2_16_one_value_of_a_type_does_not_vouch_for_another,
            clause_2_16_what_can_be_read_back_is_stored,
            clause_2_16_an_event_written_by_hand_is_read_back_each_time,
            clause_2_16_contexts_and_kept_states_are_read_back_too,
            clause_2_16_a_dry_run_finds_what_would_be_refused,
        }
        reading {
            clause_3_1_each_event_is_wrapped_with_what_the_store_knows,
            clause_3_1_the_version_of_a_stream_is_its_last_events,
            clause_3_1_a_backend_reads_the_last_event_alone,
            clause_3_1_an_unknown_stream_reads_as_empty,
            clause_3_2_a_range_takes_start_inclusive_and_stop_exclusive,
            clause_3_2_a_range_never_uses_snapshots,
            clause_3_2_an_unversioned_stream_refuses_a_range,
            clause_3_3_reading_starts_at_the_newest_snapshot_that_the_type_decodes,
            clause_3_3_a_type_that_does_not_know_the_snapshot_reads_the_full_history,
            clause_3_3_the_full_history_stays_readable_on_request,
            clause_3_3_a_snapshot_that_does_not_decode_gives_way_to_an_older_one,
            clause_3_4_an_event_of_an_unknown_type_is_an_error,
            clause_3_4_an_unknown_type_without_a_version_is_an_error_too,
            clause_3_4_a_payload_that_does_not_fit_the_type_is_an_error,
            clause_3_4_a_payload_that_the_types_code_panics_on_is_an_error,
            clause_3_1_a_read_is_as_of_one_moment,
        }
        long {
            clause_3_1_a_long_stream_is_loaded_whole_and_in_order,
            clause_2_11_a_transaction_reads_a_long_stream_with_what_it_has_written [transactions],
            clause_3_1_a_long_read_is_as_of_one_moment,
            clause_11_2_an_aggregate_with_a_long_history_is_loaded,
        }
        paging {
            clause_3_5_a_long_stream_reads_event_by_event_as_it_does_at_once,
            clause_3_5_a_paged_read_starts_at_the_snapshot,
            clause_3_5_the_events_before_a_bad_one_are_handed_over,
            clause_3_5_a_paged_read_keeps_to_its_range,
            clause_3_5_an_unversioned_stream_is_read_in_pages_too,
            clause_3_5_a_multiple_of_the_page_ends_where_it_ends,
            clause_3_5_what_is_appended_meanwhile_is_read_too,
            clause_3_5_a_stream_deleted_while_it_is_read_is_an_error,
            clause_3_5_a_stream_created_anew_while_it_is_read_is_an_error,
            clause_3_5_a_backend_cuts_pages_of_any_size,
            clause_3_5_behind_an_event_that_is_not_the_streams_there_is_nothing,
        }
        contexts {
            clause_3_6_unknown_root_keys_of_a_context_are_kept_and_written_back,
            clause_3_7_enrichers_run_on_every_event_and_keep_what_the_caller_set,
            clause_3_7_enrichers_run_in_order_and_see_the_event,
            clause_3_7_an_enricher_sees_what_is_to_be_stored,
            clause_3_7_an_enricher_can_leave_an_event_alone,
            clause_3_7_two_enrichers_of_one_name_are_refused,
            clause_3_7_a_component_too_deep_to_be_read_back_is_refused,
            clause_3_7_enriching_leaves_a_repeat_a_repeat,
        }
        positions {
            clause_4_1_positions_only_grow,
            clause_4_1_the_positions_of_a_deleted_newest_stream_are_not_reused,
            clause_4_3_within_a_stream_position_order_is_version_order,
            clause_4_5_the_position_of_an_empty_store_is_zero,
            clause_4_5_the_position_is_that_of_the_newest_settled_event,
            clause_4_1_a_position_handed_out_stays_the_events_position,
            clause_4_2_a_scan_reads_on_from_any_position_in_pages_of_any_size,
            clause_4_7_a_position_beyond_the_end_is_refused_with_the_numbers,
            clause_4_2_a_page_up_to_a_position_that_was_never_given_has_what_is_there,
            clause_4_2_a_filtered_scan_moves_past_what_it_leaves_out,
            clause_4_2_pages_of_a_filter_that_nothing_passes_move_on_to_the_end,
            clause_4_2_read_all_sees_what_its_type_decodes,
            clause_4_2_read_all_reads_more_than_a_page,
        }
        watching {
            clause_4_2_a_reader_is_handed_every_event_once_while_many_write,
            clause_4_2_transactions_that_are_rolled_back_in_between_hide_nothing [transactions],
            clause_8_5_a_reader_that_waits_is_woken_by_an_append,
            clause_8_5_a_reader_that_waits_finds_what_another_handle_appends,
            clause_8_5_a_reader_that_waits_is_woken_by_a_transaction [transactions],
        }
        subscribing {
            clause_8_1_a_subscription_takes_what_it_asked_for_and_no_more,
            clause_8_1_a_subscription_starts_behind_its_position,
            clause_8_1_the_type_says_which_events,
            clause_8_1_an_event_that_does_not_fit_is_an_error_and_never_skipped,
            clause_7_2_the_default_handle_sees_every_tenant_and_a_tenants_its_own,
            clause_7_2_a_tenants_handle_refuses_to_see_another_tenant,
            clause_7_2_durable_subscriptions_of_one_name_are_each_tenants_own,
            clause_8_3_caught_up_is_told_and_told_again_after_later_events,
            clause_8_3_a_subscription_goes_on_at_the_position_that_another_gave,
        }
        batches {
            clause_8_2_events_come_one_by_one_in_order,
            clause_8_2_a_batch_holds_what_is_there_and_no_more_than_asked,
            clause_8_2_a_call_waits_only_for_the_first_event_and_no_longer_than_asked,
            clause_8_2_a_batch_that_may_fill_is_handed_over_when_it_is_full_or_time_is_up,
            clause_8_2_a_batch_holds_what_came_after_its_page_was_read_ahead,
            clause_8_2_a_batch_of_none_is_refused,
            clause_8_2_a_call_that_is_given_up_loses_nothing,
            clause_8_2_calls_that_are_given_up_before_a_read_is_over_come_to_its_end_all_the_same,
            clause_8_2_a_call_may_wait_for_ever,
        }
        gone {
            clause_5_3_nothing_of_a_deleted_stream_comes_one_by_one,
            clause_5_3_what_is_made_anew_comes_though_its_namesake_was_read_ahead,
            clause_5_3_nothing_of_a_deleted_stream_comes_in_batches_and_they_are_full,
            clause_5_3_nothing_of_a_deleted_stream_comes_to_a_handler,
            clause_5_3_nothing_of_a_deleted_stream_comes_from_what_all_read_together,
        }
        large {
            clause_3_5_a_page_of_a_stream_ends_by_its_bytes,
            clause_3_5_a_range_of_versions_is_read_in_pages_that_end_by_their_bytes,
            clause_8_2_a_page_across_streams_ends_by_its_bytes,
            clause_8_2_large_events_are_handed_over_as_others_are,
        }
        following {
            clause_8_4_no_filter_misses_or_repeats_an_event_while_many_write,
            clause_8_4_no_filter_misses_an_event_while_transactions_are_rolled_back [transactions],
            clause_8_4_segments_divide_the_events_among_them,
            clause_8_4_a_subscriber_far_behind_the_others_misses_nothing,
            clause_8_4_subscribers_that_have_caught_up_share_one_read,
            clause_8_4_a_subscriber_that_started_later_holds_up_nobody,
            clause_8_4_a_subscriber_beyond_the_end_is_told_and_holds_up_nobody,
            clause_8_5_a_subscriber_is_woken_soon_by_another_handle_and_its_own,
        }
        durable {
            clause_8_6_a_second_run_goes_on_after_the_last_event_that_was_handled,
            clause_8_6_a_checkpoint_survives_reopening [durable],
            clause_8_6_it_starts_where_it_is_told_and_later_runs_go_on,
            clause_8_6_a_reset_starts_again_also_while_it_runs,
            clause_8_6_what_is_removed_begins_anew,
            clause_8_6_its_status_tells_where_it_stands,
            clause_8_6_its_status_counts_a_part_of_a_long_backlog,
            clause_8_6_what_cannot_be_is_refused,
            clause_8_6_times_may_be_as_long_as_they_can_be,
        }
        failing {
            clause_8_8_a_failed_event_is_tried_again_and_its_stream_waits,
            clause_8_8_other_streams_go_on_while_one_waits,
            clause_8_8_the_pauses_grow,
            clause_8_8_an_event_is_parked_after_the_last_attempt_with_its_error,
            clause_8_8_a_panic_is_a_failure,
            clause_8_8_an_event_that_does_not_decode_is_parked_at_once_and_not_skipped,
            clause_8_8_an_event_that_the_types_code_panics_on_is_parked_at_once,
            clause_8_8_attempts_and_waiting_survive_a_restart,
            clause_8_8_a_parked_event_keeps_nobody_busy,
            clause_8_8_events_that_nobody_wants_are_passed_over_behind_a_failed_one,
            clause_8_8_hundreds_of_blocked_streams_are_listed_and_come_free [several_streams],
            clause_8_8_what_is_no_longer_blocked_can_be_neither_replayed_nor_skipped,
            clause_8_8_what_is_skipped_again_before_anybody_runs_comes_free,
        }
        dropping {
            clause_8_8_what_a_handler_leaves_that_panics_when_it_is_dropped_harms_its_own_stream_only,
            clause_8_13_what_a_handler_of_batches_leaves_that_panics_when_it_is_dropped_harms_its_own_stream_only,
        }
        fairness {
            clause_8_8_a_stream_that_does_not_fail_goes_on_soon_however_many_others_do,
            clause_8_8_the_first_failures_of_one_tenant_s_streams_do_not_all_come_before_others,
            clause_8_8_a_tenant_s_first_failures_are_held_back_however_many_streams_are_parked [several_streams],
            clause_8_8_each_of_many_failing_streams_is_tried_again_in_its_turn,
            clause_8_8_what_failed_is_tried_again_however_many_fresh_events_come,
            clause_8_8_what_failed_is_tried_again_however_many_streams_fail_after_it,
            clause_8_8_a_handler_that_never_returns_harms_its_own_stream_only,
            clause_8_6_a_handler_that_takes_too_long_has_no_effect [transactions],
            clause_8_4_who_hangs_and_who_does_not_read_on_keep_nobody_else_waiting,
            clause_8_4_a_tenant_that_appends_at_full_speed_keeps_no_other_waiting,
            clause_8_4_subscribers_that_are_polled_once_keep_nobody_waiting,
            clause_4_5_calls_that_are_polled_once_keep_nobody_waiting,
        }
        parked {
            clause_8_8_a_replayed_event_is_followed_by_those_behind_it,
            clause_8_8_a_skipped_event_is_left_out_and_those_behind_it_follow,
            clause_8_8_what_nobody_runs_can_be_replayed_and_is_handled_by_the_next_run,
            clause_8_8_what_is_skipped_during_an_attempt_stays_left_out_however_the_attempt_ends,
            clause_8_8_a_listing_from_before_a_skip_does_not_bring_back_what_was_left_out,
            clause_8_8_two_streams_that_stand_at_one_position_are_both_listed_and_wait [several_streams],
            clause_8_8_a_blocked_stream_is_told_with_its_own_event_and_no_other_streams,
            clause_5_1_a_deleted_streams_parked_events_are_gone,
            clause_5_1_what_was_deleted_while_it_was_parked_is_not_waited_for,
            clause_5_1_a_stream_that_is_deleted_during_an_attempt_leaves_nothing_blocked,
            clause_5_1_what_is_made_anew_during_an_attempt_does_not_wait_for_the_event_that_is_gone,
            clause_5_1_a_stream_that_waits_for_an_event_that_is_gone_goes_on_without_it,
        }
        many {
            clause_8_8_thousands_of_streams_are_parked_and_replayed_in_few_commits [several_streams],
            clause_8_8_everything_that_is_parked_is_replayed_or_skipped_in_few_commits [several_streams],
            clause_8_8_replaying_everything_goes_on_where_it_was_interrupted [several_streams],
            clause_8_8_what_others_change_meanwhile_is_left_to_them_and_told [several_streams],
            clause_8_8_one_that_fails_among_many_that_are_replayed_waits_alone,
        }
        beyond {
            clause_4_7_a_run_whose_checkpoint_lies_beyond_the_end_ends_with_that,
            clause_4_7_nothing_starts_and_nobody_waits_beyond_the_end,
        }
        deployments {
            clause_8_12_who_asks_for_what_was_passed_is_told_and_takes_no_lease,
            clause_8_12_what_was_passed_is_handed_over_in_order_and_once,
            clause_8_12_what_was_passed_can_be_left_out,
            clause_8_12_nothing_from_before_the_start_is_handed_over,
            clause_8_12_workers_that_are_deployed_first_need_no_word_and_lose_nothing,
            clause_8_12_an_old_member_leaves_what_it_does_not_know_and_it_waits_in_its_stream,
            clause_8_12_other_filters_under_one_name_are_noticed,
            clause_8_12_who_wants_fewer_from_here_on_says_so,
            clause_8_12_a_stream_that_waits_is_handed_what_was_passed_in_its_place,
            clause_8_12_what_fails_as_it_is_handed_over_late_is_parked_skipped_and_replayed,
            clause_8_12_what_was_handled_is_not_handed_over_again_where_a_later_event_fails,
            clause_8_12_who_waits_for_an_event_of_a_new_name_waits_for_the_program_that_knows_it,
        }
        narrowing {
            clause_8_12_what_waits_when_fewer_are_wanted_is_not_taken_for_handled,
            clause_8_12_what_was_passed_is_left_out_of_a_stream_that_waits,
            clause_8_12_what_was_passed_is_left_out_while_something_is_handed_over,
        }
        rolling {
            clause_8_12_deployments_with_kills_and_failures_hand_over_each_event_once [transactions],
        }
        exactly_once {
            clause_8_6_each_event_takes_effect_once [transactions],
            clause_8_6_a_failure_within_a_batch_leaves_nothing_of_it [transactions],
            clause_8_6_a_panic_within_a_batch_leaves_nothing_of_it [transactions],
            clause_8_6_a_parked_event_has_no_effect [transactions],
            clause_8_6_a_run_may_be_dropped_anywhere [transactions],
            clause_8_6_a_lease_that_is_lost_takes_its_effects_with_it [transactions],
            clause_8_6_outages_are_borne_and_each_event_takes_effect_once [transactions],
            clause_8_6_outages_are_borne_and_no_event_is_lost,
        }
        own_deletions {
            clause_8_6_a_handler_may_delete_the_stream_of_the_event_that_it_tries_again [transactions],
            clause_8_6_a_handler_may_delete_another_stream_that_waits [transactions],
        }
        sharing {
            clause_8_7_members_share_the_work_and_each_event_is_handled_by_one,
            clause_8_7_members_come_and_go_and_nothing_is_lost_or_overtaken,
            clause_8_7_members_with_transactions_come_and_go_and_each_event_takes_effect_once [transactions],
            clause_8_7_a_dead_members_work_is_taken_over_after_its_lease,
            clause_8_7_a_handler_that_takes_longer_than_the_lease_keeps_it,
            clause_8_7_there_may_be_more_members_than_segments,
            clause_8_7_the_count_of_segments_is_fixed,
            clause_8_7_a_process_that_is_started_again_does_not_wait_for_the_one_that_was_killed [transactions, shared],
            clause_8_7_processes_share_the_work_and_one_that_is_killed_is_followed [transactions, shared],
        }
        listening {
            clause_9_1_a_listener_hears_each_event_in_its_turn_with_what_the_store_knows [listeners],
            clause_9_1_a_listener_hears_event_types_a_category_or_everything_and_nothing_else [listeners],
            clause_9_1_an_event_that_matches_more_than_once_is_heard_once [listeners],
            clause_9_1_listeners_are_called_in_the_order_of_their_registration [listeners],
            clause_9_1_a_listener_hears_every_tenant_and_a_tenants_its_own [listeners],
            clause_9_1_nothing_is_decoded_that_a_listener_did_not_ask_for [listeners],
            clause_9_1_a_listener_that_was_removed_hears_nothing_and_others_go_on [listeners],
            clause_9_1_where_a_listener_fails_nothing_is_appended [listeners],
            clause_9_1_what_a_listener_appends_is_committed_with_the_event_and_carries_its_context [listeners],
            clause_9_1_what_a_listener_appends_is_heard_and_what_it_sets_off_has_a_bound [listeners],
            clause_9_1_an_append_that_is_a_repeat_or_is_refused_calls_nobody [listeners],
        }
        listening_anywhere {
            clause_9_1_a_listener_hears_the_events_of_each_stream_of_an_append [listeners, several_streams],
            clause_9_1_a_listener_hears_what_a_transaction_appends_and_shares_its_fate [listeners, transactions, several_streams],
            clause_9_1_a_listener_that_fails_in_a_transaction_leaves_the_rest_of_it [listeners, transactions],
            clause_9_1_a_listener_hears_what_a_handler_appends [listeners],
            clause_9_1_a_listener_hears_what_a_handler_appends_in_its_transaction [listeners, transactions],
            clause_9_1_a_listener_hears_what_a_repository_saves_and_can_refuse_it [listeners],
            clause_9_1_an_append_whose_answer_was_lost_is_heard_once [listeners],
            clause_9_1_of_many_appends_at_once_each_is_heard_and_those_that_fail_fail_alone [listeners],
            clause_9_1_a_listener_that_takes_its_time_is_waited_for [listeners],
        }
        leases {
            clause_8_7_who_lost_a_lease_cannot_move_the_checkpoint,
            clause_8_7_progress_is_kept_as_a_whole_or_not_at_all,
            clause_8_8_one_blocked_stream_is_told_by_itself_and_with_no_more_than_is_asked_for,
            clause_8_7_who_was_not_heard_of_is_gone_whatever_the_stores_clock_says,
            clause_8_7_who_was_heard_of_is_there_whatever_the_stores_clock_says,
            clause_8_7_segments_are_dealt_out_evenly_and_given_up_for_those_who_join,
            clause_8_7_a_member_that_is_not_heard_of_again_does_not_count,
            clause_5_1_a_stream_that_is_gone_is_not_blocked,
            clause_5_1_a_stream_made_anew_is_not_blocked_by_an_event_of_the_old_one,
        }
        routing {
            clause_8_5_an_event_wakes_those_alone_who_want_it,
            clause_8_1_each_of_many_narrow_subscribers_is_handed_all_that_it_wants,
            clause_8_6_the_checkpoint_of_one_that_wants_none_of_what_comes_goes_on,
            clause_8_3_who_has_caught_up_has_caught_up_with_what_others_want,
        }
        presences {
            clause_8_7_the_members_of_a_process_renew_their_leases_together,
            clause_8_7_a_member_that_hangs_loses_its_leases_though_others_of_its_process_renew_theirs,
            clause_8_7_several_subscriptions_are_changed_as_each_would_be,
        }
        vouching {
            clause_8_7_members_that_have_nothing_to_ask_for_are_renewed_by_one_row [presences],
            clause_8_7_a_presence_vouches_for_its_members_as_long_as_nothing_changes [presences],
            clause_8_7_a_presence_that_is_renewed_before_or_behind_a_takeover_changes_nothing_of_it [presences],
            clause_8_7_a_member_that_was_dropped_is_followed_though_its_presence_is_renewed [presences],
            clause_8_7_a_member_that_is_vouched_for_is_told_of_a_reset [presences],
        }
        stopping {
            clause_8_9_a_stop_finishes_the_event_in_hand_and_no_event_comes_twice,
            clause_8_9_a_stop_finishes_the_event_in_hand_of_a_stream_that_waited,
            clause_8_9_others_take_over_from_one_that_stops_without_waiting_for_its_lease,
            clause_8_9_a_run_that_is_stopped_as_it_loses_its_lease_ends_well,
            clause_8_9_a_run_that_is_stopped_before_it_begins_ends,
        }
        together {
            clause_8_13_what_is_there_is_handed_over_together_and_in_order,
            clause_8_13_batches_grow_while_it_is_behind_and_no_further_than_asked,
            clause_8_13_a_batch_of_large_events_has_fewer_of_them,
            clause_8_13_an_event_that_fails_is_parked_alone_and_its_stream_waits,
            clause_8_13_an_event_that_panics_is_parked_alone,
            clause_8_13_the_time_limit_holds_for_a_batch,
            clause_8_13_what_fails_only_together_is_handled_in_parts,
            clause_8_13_a_stop_finishes_the_batch_in_hand,
            clause_8_13_nothing_of_a_deleted_stream_comes_in_a_batch,
            clause_8_13_a_batch_is_committed_as_a_whole [transactions],
            clause_8_13_each_event_of_a_batch_takes_effect_once [transactions],
            clause_8_13_a_batch_that_fails_has_no_effect [transactions],
            clause_8_13_a_batch_that_panics_has_no_effect [transactions],
            clause_8_13_an_event_of_a_batch_that_is_parked_has_no_effect [transactions],
            clause_8_13_a_run_of_batches_may_be_dropped_anywhere [transactions],
            clause_8_13_a_lease_that_is_lost_takes_the_batch_with_it [transactions],
            clause_8_13_outages_are_borne_and_each_event_takes_effect_once [transactions],
        }
        reacting {
            clause_8_11_what_a_handler_appends_carries_the_context_and_tenant_of_its_event,
            clause_8_11_what_a_handler_appends_through_its_transaction_carries_them_too [transactions],
            clause_8_11_what_a_handler_of_batches_appends_in_reaction_to_an_event_carries_its_context,
            clause_8_11_what_a_handler_of_batches_appends_through_its_transaction_carries_it_too [transactions],
        }
        projecting {
            clause_8_10_an_unknown_stream_is_projected_from_its_first_version [transactions],
            clause_8_10_the_next_version_is_applied [transactions],
            clause_8_10_missed_versions_are_loaded_and_applied_before [transactions],
            clause_8_10_many_missed_versions_are_all_applied_in_order [transactions],
            clause_8_10_versions_that_were_seen_are_ignored [transactions],
            clause_8_10_an_event_without_a_version_is_refused [transactions],
            clause_8_10_snapshots_stand_in_for_nothing [transactions],
            clause_8_10_each_projector_has_cursors_of_its_own [transactions],
            clause_8_10_cursors_know_tenants_and_categories [transactions],
            clause_8_10_events_of_other_names_are_passed_over [transactions],
            clause_8_10_a_deleted_stream_that_is_made_anew_is_projected_anew [transactions],
            clause_8_10_a_cursor_that_an_older_stream_has_left_counts_for_nothing [transactions],
            clause_8_10_an_event_of_a_stream_that_is_gone_is_ignored [transactions],
            clause_8_10_a_read_model_that_fails_leaves_cursor_and_model_as_they_were [transactions],
            clause_8_10_several_events_may_share_a_transaction [transactions],
            clause_8_10_cursors_survive_reopening [transactions, durable],
            clause_8_10_two_that_feed_one_projector_apply_each_version_once [transactions],
            clause_5_1_a_deleted_streams_cursors_are_gone_and_others_stay [transactions],
        }
        mending {
            clause_8_10_an_event_that_is_passed_over_is_not_given [transactions],
            clause_8_10_passing_over_an_event_of_a_stream_that_is_gone_does_nothing [transactions],
            clause_8_10_a_projector_that_is_forgotten_begins_anew_with_each_stream [transactions],
            clause_8_10_a_tenants_handle_forgets_the_cursors_of_its_streams_alone [transactions],
        }
        reaching {
            clause_8_10_what_was_waited_for_was_handled,
            clause_8_10_what_is_not_handled_in_time_is_an_error_that_can_be_retried,
            clause_8_14_who_waits_for_a_subscription_that_does_not_run_in_time_is_told,
            clause_8_14_a_subscription_that_has_not_run_yet_is_waited_for,
            clause_8_10_a_stream_that_waits_for_a_failed_event_is_not_handled,
            clause_8_10_other_parts_of_the_subscription_are_not_waited_for,
            clause_8_10_what_a_subscription_does_not_want_is_not_waited_for,
        }
        deleting {
            clause_5_1_a_deleted_streams_events_are_gone_from_every_read,
            clause_5_1_the_same_uuid_elsewhere_is_untouched,
            clause_5_1_a_deleted_streams_snapshots_do_not_show_up_again,
            clause_5_1_the_next_stream_inherits_no_snapshot,
            clause_5_1_a_deleted_streams_snapshot_ids_are_free_again,
            clause_5_1_dropping_the_outbox_can_be_asked_for,
            clause_5_2_deleting_what_does_not_exist_does_nothing,
            clause_5_2_a_deleted_stream_is_created_again_from_version_1,
            clause_5_2_a_deleted_stream_is_created_again_with_either_kind_of_versioning,
            clause_5_2_deleting_by_uuid_deletes_the_named_stream,
            clause_5_1_no_snapshot_is_taken_of_a_deleted_stream,
        }
        long_deletions {
            clause_5_1_a_long_streams_events_are_gone_from_every_read_at_once,
            clause_5_2_a_long_stream_is_made_anew_at_once_also_with_the_same_ids,
            clause_2_11_a_long_deletion_that_is_rolled_back_has_removed_nothing [transactions],
        }
        snapshots {
            clause_6_1_a_snapshot_is_for_a_version_that_the_stream_has_reached,
            clause_6_1_the_newest_snapshot_by_version_wins,
            clause_6_1_a_snapshot_keeps_what_the_caller_set,
            clause_6_1_an_id_that_a_snapshot_has_is_refused,
            clause_6_2_snapshots_change_no_other_read_and_no_append,
            clause_3_6_a_snapshot_older_than_the_first_event_is_ignored,
            clause_3_3_a_backend_finds_snapshots_by_name_and_highest_version,
        }
        tenants {
            clause_7_1_loads_see_the_tenants_streams_only,
            clause_7_1_version_checks_look_at_the_tenants_stream,
            clause_7_1_kinds_of_versioning_are_the_tenants_own,
            clause_7_1_deletions_keep_to_the_tenant,
            clause_7_1_snapshots_are_the_tenants_own,
            clause_7_1_reading_across_streams_keeps_to_the_tenant,
            clause_7_1_names_are_the_tenants_own,
            clause_7_1_event_ids_are_unique_across_tenants [ids_across_streams],
            clause_7_1_a_handle_of_a_handle_is_the_last_tenants,
            clause_7_1_tenants_that_look_alike_are_told_apart,
        }
        aggregates {
            clause_11_1_a_command_sees_the_state_that_its_events_make,
            clause_11_1_a_rejected_command_leaves_neither_events_nor_changed_state,
            clause_11_1_a_command_that_panics_leaves_neither_events_nor_changed_state,
            clause_11_1_a_pure_function_decides_as_well,
            clause_11_2_an_append_expects_the_version_that_was_loaded,
            clause_11_2_nothing_emitted_means_nothing_written,
            clause_11_2_saving_twice_does_not_write_twice,
            clause_11_2_a_save_whose_answer_was_lost_can_be_made_again,
            clause_11_2_a_command_that_meets_a_conflict_decides_again,
            clause_11_2_the_retries_are_bounded_and_can_be_left_out,
            clause_11_2_commands_at_once_all_take_effect_on_what_they_have_seen,
            clause_11_2_commands_of_one_process_do_not_get_in_each_others_way,
            clause_8_11_what_a_command_in_a_handler_emits_carries_the_context,
            clause_11_3_the_wrapped_aggregate_tells_what_the_store_knows,
            clause_11_3_the_context_is_that_of_everything_emitted,
            clause_11_3_the_type_names_the_category,
            clause_11_3_tenants_have_aggregates_of_their_own,
            clause_11_3_behind_a_snapshot_it_was_created_with_its_first_event,
            clause_11_2_an_aggregate_can_be_looked_at_as_it_was,
            clause_11_2_a_stream_without_versions_is_no_aggregate,
            clause_11_2_an_event_of_another_type_is_an_error,
        }
        command_keys {
            clause_11_2_a_command_takes_effect_once_for_each_key,
            clause_11_2_a_key_of_another_command_is_refused,
            clause_11_2_a_key_whose_events_are_in_another_stream_by_now_is_refused [ids_across_streams],
            clause_11_2_of_one_command_twice_at_once_both_return_what_the_first_one_did,
            clause_11_2_of_one_command_many_times_at_once_one_takes_effect,
        }
        expected_versions {
            clause_11_5_a_command_runs_on_the_version_that_its_caller_has_seen,
            clause_11_5_at_any_other_version_it_is_a_conflict_and_does_not_run,
            clause_11_5_a_conflict_while_it_runs_is_not_retried,
            clause_11_5_of_many_who_have_seen_one_version_one_gets_through,
            clause_11_5_a_repeat_by_its_key_is_recognised_before_the_version_is_looked_at,
            clause_11_5_of_one_request_many_times_at_once_all_get_one_answer,
        }
        states {
            clause_11_4_the_state_is_kept_every_n_events,
            clause_11_4_a_load_starts_at_the_kept_state_and_history_is_not_asked,
            clause_11_4_only_the_aggregate_sees_it,
            clause_11_4_a_state_of_another_format_is_ignored,
            clause_11_4_a_state_that_does_not_decode_gives_way_to_history,
            clause_11_4_a_repeated_command_decides_on_the_kept_state_too_but_on_none_of_later,
            clause_11_4_a_later_state_stays,
            clause_11_4_what_is_left_of_a_deleted_stream_does_not_count,
            clause_11_4_the_state_of_a_stream_that_was_exchanged_is_not_kept,
            clause_11_4_tenants_have_states_of_their_own,
            clause_11_4_a_held_aggregate_is_kept_every_n_events_and_no_more_often,
            clause_11_4_a_load_that_has_read_so_many_events_keeps_the_state_too,
            clause_11_4_a_state_that_cannot_be_written_fails_no_command,
            clause_11_4_a_state_survives_reopening [durable],
            clause_11_2_a_backend_reads_one_event_by_its_id,
        }
        evolution {
            clause_12_1_a_name_is_part_of_the_type_and_not_of_its_module,
            clause_12_1_former_names_are_read_as_aliases,
            clause_12_1_a_snapshot_under_a_former_name_is_found,
            clause_12_3_a_field_with_a_default_reads_old_events,
            clause_12_3_an_unknown_field_in_old_events_is_ignored,
        }
        outbox {
            clause_10_1_what_passes_the_filter_is_published_once_and_nothing_else [outbox],
            clause_10_1_without_an_outbox_a_run_publishes_nothing [outbox],
            clause_10_1_an_empty_outbox_calls_nobody [outbox],
            clause_10_1_the_filter_sees_the_undecoded_record [outbox],
            clause_10_1_an_append_that_is_refused_or_repeated_puts_nothing_in [outbox],
            clause_10_1_entries_share_the_fate_of_their_transaction [outbox, transactions],
            clause_10_1_each_stream_of_an_append_has_its_entries [outbox, several_streams],
            clause_10_1_what_a_handler_appends_has_its_entries [outbox],
            clause_10_1_what_a_listener_appends_has_its_entries [outbox, listeners],
            clause_10_5_what_is_published_carries_the_whole_record [outbox],
            clause_7_2_the_outbox_of_the_default_handle_sees_every_tenant_and_a_tenants_its_own [outbox],
            clause_7_2_entries_of_all_tenants_are_published_in_the_order_of_their_appends [outbox],
            clause_5_1_what_is_in_the_outbox_is_published_though_its_stream_was_deleted [outbox],
            clause_5_1_what_waits_in_the_outbox_is_published_though_its_stream_was_deleted [outbox],
            clause_5_1_what_was_dropped_from_the_outbox_is_not_published_and_holds_up_nothing [outbox],
        }
        publishing {
            clause_10_2_each_stream_is_published_in_its_order_in_batches_of_any_size [outbox],
            clause_10_2_a_refused_entry_holds_back_its_own_stream_only [outbox],
            clause_10_2_many_refused_entries_of_one_batch_are_each_tried_once_a_round [outbox],
            clause_10_2_what_was_published_and_not_taken_down_comes_again_with_its_id [outbox],
            clause_10_2_a_worker_that_is_killed_while_it_publishes_is_followed_by_another [outbox],
            clause_10_3_attempts_are_counted_and_the_entry_is_parked_listed_and_replayed [outbox],
            clause_10_3_a_skipped_entry_is_gone_and_those_behind_it_follow [outbox],
            clause_10_3_while_the_other_end_is_away_no_attempt_counts_and_everything_waits [outbox],
            clause_10_3_a_refusal_counts_though_the_other_end_is_away_behind_it [outbox],
            clause_10_3_a_publisher_that_panics_is_a_failure_of_the_entry_that_it_panics_on [outbox],
            clause_10_4_many_workers_publish_no_entry_at_the_same_time [outbox],
            clause_10_4_a_run_hands_over_no_more_than_its_limit_and_leaves_the_rest [outbox],
            clause_10_4_a_worker_that_is_told_to_stop_finishes_what_it_is_publishing [outbox],
            clause_10_4_what_was_published_can_be_kept_for_a_while_and_is_not_published_again [outbox],
            clause_10_4_a_run_hands_over_a_hundred_entries_unless_told [outbox],
            clause_10_4_a_publisher_that_is_slower_than_the_lease_is_alone_with_its_entries [outbox],
        }
        dying {
            clause_10_2_a_worker_that_dies_with_the_entries_in_its_hand_has_sent_none [outbox],
            clause_10_2_a_worker_that_dies_before_an_entry_is_sent_has_sent_none [outbox],
            clause_10_2_what_was_sent_and_not_confirmed_when_its_worker_died_comes_again [outbox],
            clause_10_2_what_was_confirmed_and_not_taken_down_when_its_worker_died_comes_again [outbox],
            clause_10_2_what_was_taken_down_is_gone_though_its_worker_died_before_it_was_told [outbox],
            clause_10_2_where_the_answer_to_its_progress_is_lost_a_worker_goes_on_from_what_is_stored [outbox],
            clause_10_2_what_was_committed_before_there_was_a_worker_is_published_after_reopening [outbox, durable],
        }
        upcasting {
            clause_12_2_a_stream_reads_every_form_as_the_current_one,
            clause_12_2_a_paged_read_upcasts,
            clause_12_2_a_snapshot_in_an_older_form_is_upcast,
            clause_12_2_a_snapshot_in_a_newer_form_is_passed_over,
            clause_12_2_a_transaction_reads_the_forms_that_it_and_others_wrote [transactions],
            clause_12_2_reading_across_streams_upcasts,
            clause_12_2_a_subscription_upcasts_what_is_there_and_what_comes,
            clause_12_2_batches_are_upcast,
            clause_12_2_a_durable_subscription_upcasts,
            clause_12_2_a_handler_in_a_transaction_is_handed_the_form [transactions],
            clause_12_2_what_is_appended_carries_the_current_version,
            clause_12_2_each_stream_of_one_append_keeps_its_forms [several_streams],
            clause_12_2_a_copy_of_an_event_keeps_its_form,
            clause_12_2_a_name_that_was_split_is_found_and_read_as_its_successors,
            clause_12_2_a_repeat_is_recognised_in_an_older_form,
            clause_12_2_equal_payloads_in_different_forms_are_no_repeat,
            clause_12_2_a_newer_form_is_an_error_and_never_guessed,
            clause_12_2_a_version_that_no_store_holds_is_refused,
            clause_12_2_a_step_that_fails_is_an_error_that_names_it,
        }
        unreadable {
            clause_3_4_a_row_that_cannot_be_read_is_an_error_of_its_event_alone,
            clause_3_4_what_stands_before_a_row_that_cannot_be_read_is_handed_over_and_reading_goes_on_behind_it,
            clause_8_1_what_stands_before_a_row_that_cannot_be_read_is_handed_over,
            clause_8_8_a_row_that_cannot_be_read_is_parked_and_other_streams_go_on,
            clause_8_8_a_row_that_cannot_be_read_behind_a_parked_event_is_parked_in_its_turn,
            clause_12_2_a_dry_run_counts_a_row_that_cannot_be_read_and_goes_on,
            clause_17_1_who_reads_by_tags_or_by_a_query_is_told_of_a_row_that_cannot_be_read [tags],
        }
        verifying {
            clause_12_2_a_dry_run_finds_what_is_not_decoded_and_changes_nothing,
            clause_12_2_a_dry_run_reads_more_than_a_page,
        }
        privacy {
            clause_13_1_any_type_round_trips_exactly_and_is_masked_as_its_own_type [keys],
            clause_13_1_nothing_that_is_encrypted_stands_in_the_clear [keys],
            clause_13_1_an_event_without_marks_is_stored_as_ever [keys],
            clause_13_1_a_ciphertext_that_was_moved_is_refused [keys],
            clause_13_1_writers_that_meet_end_with_one_key [keys],
            clause_13_2_marks_count_wherever_they_stand [keys],
            clause_13_2_without_keys_writing_and_reading_are_errors [keys],
            clause_13_2_without_a_subject_nothing_is_written [keys],
            clause_13_2_a_subject_has_a_key_in_each_tenant [keys],
            clause_13_2_a_payload_that_looks_like_what_is_encrypted_stays_as_it_is [keys],
            clause_13_2_a_copy_of_an_event_is_encrypted_too [keys],
            clause_13_2_upcasters_see_what_is_encrypted [keys],
            clause_13_4_keys_are_stored_wrapped_and_only_their_master_opens_them [keys],
        }
        shredding {
            clause_13_3_a_shredded_subject_reads_as_its_mask_everywhere [keys],
            clause_13_3_nothing_is_written_for_a_shredded_subject [keys],
            clause_13_3_writers_that_race_a_shredder_write_before_it_or_not_at_all [keys],
            clause_13_3_shredding_is_a_fact_and_happens_once [keys],
            clause_13_3_what_was_read_ahead_is_handed_over_with_masks [keys],
            clause_13_3_another_handle_reads_no_longer_than_it_was_said [keys],
            clause_13_3_a_repeat_is_recognised_by_what_is_encrypted [keys],
            clause_13_3_a_report_tells_what_there_is_before_and_after [keys],
            clause_13_3_no_state_is_kept_that_holds_what_is_encrypted [keys],
            clause_13_3_an_append_to_several_streams_is_sealed_as_a_whole [keys, several_streams],
            clause_13_3_a_handlers_transaction_seals_and_opens [keys, transactions],
            clause_13_3_a_transaction_shreds_with_all_that_it_writes_or_not_at_all [keys, transactions],
            clause_13_3_a_listener_hears_in_the_clear_and_its_append_is_sealed [keys, listeners],
        }
        fetching_keys {
            clause_13_4_a_load_reads_its_keys_once_however_many_they_are [keys],
            clause_13_4_a_long_history_reads_its_keys_once [keys],
        }
        rotating {
            clause_13_4_the_master_is_changed_while_others_write [keys],
            clause_13_4_a_key_of_a_shredded_subject_is_not_wrapped_anew [keys],
            clause_13_4_a_change_of_the_master_that_is_killed_goes_on [keys, shared],
        }
        shredded_writers {
            clause_13_3_who_has_the_key_in_memory_is_refused_whichever_way_he_writes [keys],
            clause_13_3_a_repository_is_refused_whatever_it_has_in_memory [keys],
            clause_13_3_an_append_to_several_streams_is_refused_whatever_is_in_memory [keys, several_streams],
            clause_13_3_a_decision_is_refused_whatever_is_in_memory [keys, tags],
            clause_13_3_a_handler_is_refused_whatever_is_in_memory [keys, transactions],
        }
        shredding_race {
            clause_13_3_processes_that_race_a_shredder_write_before_it_or_not_at_all [keys, shared],
        }
        masks {
            clause_13_3_whatever_is_told_reads_as_it_was_told_or_as_its_masks [keys],
        }
        errors {
            clause_14_1_a_refusal_is_not_retryable_and_says_what_to_do,
            clause_14_1_what_can_be_retried_says_so,
            clause_14_1_errors_tell_place_and_type_and_quote_the_beginning_of_a_value,
            clause_14_2_malice_in_names_is_only_text,
            clause_14_2_malice_in_a_context_is_only_text,
            clause_14_2_a_component_that_cannot_be_stored_is_refused,
            clause_14_2_extreme_ids_and_positions_are_only_values,
        }
        looking {
            clause_15_1_streams_are_listed_by_name_and_by_how_it_begins [inspect],
            clause_15_1_streams_are_listed_newest_first_with_their_last_event [inspect],
            clause_15_1_a_deleted_stream_is_listed_no_more [inspect],
            clause_15_1_tenants_and_categories_are_listed_with_counts [inspect],
            clause_15_1_a_count_that_is_not_exact_says_so [inspect, several_streams],
            clause_15_1_event_names_are_counted_stretch_by_stretch [inspect],
            clause_15_4_a_tenants_handle_sees_that_tenant_only [inspect],
            clause_15_4_a_tenants_handle_cannot_ask_for_another_nor_learn_of_it_by_a_mark [inspect],
        }
        looking_back {
            clause_15_2_a_stream_is_read_backwards_from_its_end [inspect],
            clause_15_2_the_end_of_a_long_stream_is_told_in_one_call_each [inspect],
            clause_15_2_the_newest_events_of_the_store_are_read_backwards [inspect],
            clause_15_2_an_event_is_found_by_its_id [inspect],
            clause_15_2_a_correlation_and_the_tree_of_what_an_event_caused_are_found [inspect],
            clause_15_2_a_search_for_what_is_rare_ends_and_says_where_to_go_on [inspect],
            clause_15_2_a_page_is_bounded_by_its_bytes [inspect],
            clause_15_2_a_row_that_cannot_be_read_is_told_as_that_and_fails_no_page [inspect],
            clause_15_2_who_looks_inside_sees_masks [inspect, keys],
        }
        looking_after {
            clause_15_3_subscriptions_are_listed_with_checkpoints_members_and_lag [inspect],
            clause_15_3_parked_streams_are_listed_replayed_and_skipped_without_their_type [inspect],
            clause_15_3_the_cursors_of_projectors_are_listed [inspect, transactions],
            clause_15_3_the_outbox_is_listed_and_looked_after [inspect, outbox],
            clause_15_3_the_settled_position_is_told [inspect],
            clause_15_4_a_tenants_handle_acts_on_that_tenants_subscriptions_only [inspect],
        }
        copying {
            clause_2_13_a_copy_to_another_store_and_back_is_equal,
            clause_2_7_a_copy_that_is_killed_at_any_call_goes_on_and_doubles_nothing,
            clause_4_2_what_is_written_while_it_is_copied_is_copied_once,
            clause_5_2_streams_that_are_deleted_and_live_anew_are_told_and_copied_when_asked,
            clause_3_6_holes_in_versions_are_copied_or_told [version_holes],
            clause_13_3_keys_are_copied_when_asked_and_shredding_always_is [keys],
            clause_17_1_tags_are_copied_through_a_file_and_to_another_store [tags],
            clause_17_1_tags_are_copied_or_refused_and_left_out_when_asked,
        }
        tagged_subscriptions {
            clause_17_1_a_durable_subscription_hands_over_what_has_its_tags [tags],
            clause_17_1_the_tags_of_a_durable_subscription_are_kept_with_it [tags],
        }
        tagging {
            clause_17_1_tags_are_read_with_the_event_wherever_it_is_read [tags],
            clause_17_1_whoever_looks_inside_sees_the_tags [tags, inspect],
            clause_17_1_tags_are_a_tenants [tags],
            clause_17_1_the_longest_tags_and_the_most_of_them_are_stored [tags],
            clause_17_1_a_copy_of_an_event_keeps_its_tags [tags],
            clause_17_1_subscriptions_and_reads_of_everything_are_filtered_by_tags [tags],
            clause_17_1_tags_are_taken_or_refused_as_unsupported,
            clause_17_2_an_item_matches_one_of_its_types_and_all_of_its_tags [tags],
            clause_17_2_what_matches_is_read_once_in_position_order [tags],
            clause_17_7_events_without_tags_are_seen_by_items_without_tags_only [tags],
        }
        tagging_later {
            clause_17_7_what_is_stored_is_tagged_and_boundaries_before_that_refuse [tags],
            clause_17_7_tagging_that_is_killed_at_any_call_goes_on_where_it_was [tags],
            clause_17_7_others_append_and_delete_while_it_is_tagged [tags],
            clause_17_7_what_is_gone_or_anothers_is_not_tagged [tags],
        }
        boundaries {
            clause_17_3_a_boundary_moves_with_what_matches_and_with_nothing_else [tags],
            clause_17_3_of_n_writers_with_one_boundary_exactly_one_wins [tags],
            clause_17_3_of_two_that_would_move_each_others_boundary_one_wins [tags],
            clause_17_3_a_boundary_holds_for_one_append_of_its_own [tags],
            clause_17_3_a_refused_append_leaves_nothing [tags],
            clause_17_3_a_repeat_is_recognised_whatever_has_moved [tags],
            clause_17_3_a_boundary_is_about_its_tenant_and_its_store [tags],
            clause_17_4_queries_by_types_alone_and_over_everything_are_exact [tags],
            clause_17_7_a_deletion_moves_the_boundaries_before_it [tags],
        }
        checked_boundaries {
            clause_17_3_each_boundary_that_let_an_append_through_held_in_the_log [tags],
        }
        boundaries_within {
            clause_17_5_boundaries_go_together_with_expected_versions_and_several_streams [tags, several_streams],
            clause_17_5_a_transaction_reads_and_appends_by_boundaries [tags, transactions],
            clause_17_5_nothing_of_a_failed_transaction_moves_a_boundary [tags, transactions],
            clause_17_5_what_was_read_behind_a_deletion_that_is_rolled_back_decides_nothing [tags, transactions],
            clause_17_5_what_was_read_of_ones_own_that_is_rolled_back_decides_nothing [tags, transactions],
            clause_17_5_what_is_rolled_back_and_does_not_match_moves_no_boundary [tags, transactions],
        }
        decisions {
            clause_17_6_the_rules_of_decisions_are_never_broken [tags],
            clause_17_6_a_decision_is_made_again_where_somebody_was_faster [tags],
            clause_17_6_a_rejected_decision_and_one_that_emits_nothing_write_nothing [tags],
            clause_17_6_a_decision_with_a_key_takes_effect_once [tags],
            clause_17_6_a_key_that_was_used_for_another_decision_is_refused [tags],
            clause_17_6_the_events_go_to_the_stream_that_is_given [tags],
        }
        model {
            clause_1_to_7_any_sequence_of_operations_does_what_the_model_does,
        }
    } };
}

use super::run::{Case, Need};

macro_rules! list_cases {
    ({} $($subject:ident { $($case:ident $([$($need:ident),+])?),* $(,)? })*) => {
        pub(super) const CASES: &[Case] = &[$($(
            Case {
                name: stringify!($case),
                needs: &[$($(Need::$need),+)?],
                run: |subject| Box::pin(super::$subject::$case(subject)),
            },
        )*)*];
    };
}

crate::__for_each_case! { list_cases {} }
