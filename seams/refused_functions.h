/*
 * SQL functions that a travelling session refuses: REFUSED_FUNCTION(name of the C function).
 * No include guard: each includer defines the macro. seams/symbols.txt must name the same functions.
 */

/* What WAL and the commit log of the moment do not say, and the present's files would. */
REFUSED_FUNCTION(pg_xact_commit_timestamp)
REFUSED_FUNCTION(pg_xact_commit_timestamp_origin)
REFUSED_FUNCTION(pg_last_committed_xact)
REFUSED_FUNCTION(pg_control_checkpoint)
REFUSED_FUNCTION(pg_control_recovery)
REFUSED_FUNCTION(pg_replication_origin_progress)
REFUSED_FUNCTION(pg_replication_origin_session_progress)
REFUSED_FUNCTION(pg_show_replication_origin_status)
REFUSED_FUNCTION(pg_tablespace_databases)

/* A travelling session is not a standby: there is no replay to steer. */
REFUSED_FUNCTION(pg_promote)
REFUSED_FUNCTION(pg_wal_replay_pause)
REFUSED_FUNCTION(pg_wal_replay_resume)

/* What a standby may do and a traveller may not: change the server or its files. */
REFUSED_FUNCTION(pg_backup_start)
REFUSED_FUNCTION(pg_backup_stop)
REFUSED_FUNCTION(pg_create_physical_replication_slot)
REFUSED_FUNCTION(pg_create_logical_replication_slot)
REFUSED_FUNCTION(pg_copy_physical_replication_slot_a)
REFUSED_FUNCTION(pg_copy_physical_replication_slot_b)
REFUSED_FUNCTION(pg_copy_logical_replication_slot_a)
REFUSED_FUNCTION(pg_copy_logical_replication_slot_b)
REFUSED_FUNCTION(pg_copy_logical_replication_slot_c)
REFUSED_FUNCTION(pg_drop_replication_slot)
REFUSED_FUNCTION(pg_replication_slot_advance)
REFUSED_FUNCTION(pg_sync_replication_slots)
REFUSED_FUNCTION(pg_logical_slot_get_changes)
REFUSED_FUNCTION(pg_logical_slot_get_binary_changes)
REFUSED_FUNCTION(pg_logical_slot_peek_changes)
REFUSED_FUNCTION(pg_logical_slot_peek_binary_changes)
REFUSED_FUNCTION(pg_import_system_collations)
REFUSED_FUNCTION(pg_stat_reset)
REFUSED_FUNCTION(pg_stat_reset_backend_stats)
REFUSED_FUNCTION(pg_stat_reset_replication_slot)
REFUSED_FUNCTION(pg_stat_reset_shared)
REFUSED_FUNCTION(pg_stat_reset_single_function_counters)
REFUSED_FUNCTION(pg_stat_reset_single_table_counters)
REFUSED_FUNCTION(pg_stat_reset_slru)
REFUSED_FUNCTION(pg_stat_reset_subscription_stats)
