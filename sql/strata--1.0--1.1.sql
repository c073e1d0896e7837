\echo Use "ALTER EXTENSION strata UPDATE TO '1.1'" to load this file. \quit

-- Functions of C called through a definition of 1.0 return the columns of 1.0: new columns come last.

-- One row: what ingest and compaction do, and what history costs.
--   state                starting, baseline (nothing can be travelled to yet), running, stopped (see last_error)
--   baseline_progress    0 .. 1
--   horizon_lsn,
--   horizon_time         the earliest moment that can be travelled to; null before the baseline is complete
--   ingested_lsn         history is complete up to here; null before it begins
--   lag_bytes            WAL that is flushed and not ingested yet
--   lag_seconds          for how long there has been such WAL: 0 where there is none
--   layers, layer_bytes,
--   levels               layer files, their size on disk, and on how many levels they are; strata.levels() has more
--   wal_bytes            WAL that was ingested since written_since
--   flush_bytes,
--   merge_bytes          what flushes of the memtable and compaction wrote of layers since then, the baseline left out
--   write_amplification  (flush_bytes + merge_bytes) / wal_bytes; null where nothing was ingested
--   written_since        the last strata.stat_reset(), or the last crash: the counters survive a clean restart only
--   chain_p50, chain_p90,
--   chain_p99, chain_max
--                        how many versions are applied to a base to rebuild a page: percentiles of 200 versions of
--                        pages, picked at random anew from the merged and flushed layers; null where there are none
--   compaction           off, waiting (for history to run), idle, merging, handover (ingest has to take a merge over),
--                        retrying (see compaction_error)
--   compaction_error,
--   compaction_error_time
--                        the merge that failed last; null when none has since one went well
--   last_error,
--   last_error_time,
--   hint                 the last error of ingest, null when there was none
--   travel_lsn           the LSN at which this session sees the cluster; null in the present
DROP FUNCTION strata.status();
CREATE FUNCTION strata.status(
    OUT state text,
    OUT baseline_progress double precision,
    OUT horizon_lsn pg_lsn,
    OUT horizon_time timestamp with time zone,
    OUT ingested_lsn pg_lsn,
    OUT lag_bytes bigint,
    OUT lag_seconds double precision,
    OUT layers integer,
    OUT layer_bytes bigint,
    OUT levels integer,
    OUT wal_bytes bigint,
    OUT flush_bytes bigint,
    OUT merge_bytes bigint,
    OUT write_amplification double precision,
    OUT written_since timestamp with time zone,
    OUT chain_p50 integer,
    OUT chain_p90 integer,
    OUT chain_p99 integer,
    OUT chain_max integer,
    OUT compaction text,
    OUT compaction_error text,
    OUT compaction_error_time timestamp with time zone,
    OUT last_error text,
    OUT last_error_time timestamp with time zone,
    OUT hint text,
    OUT travel_lsn pg_lsn)
RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_status';
COMMENT ON FUNCTION strata.status() IS 'what the history of this cluster is doing, what it costs, and its last error';
