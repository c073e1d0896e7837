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
--   held_wal_bytes       WAL that is held back for history
--   held_wal_limit       how many bytes of it may be before history is given up: strata.max_wal_lag, or what is derived
--                        from the room on the disk of pg_wal; null: no limit
--   redo_faults          records whose redo has ended a process (a session, or a worker, which starts again) since the
--                        server started: none of them is tried again, and the page as of moments that need one is an
--                        error (XX001); 512 are told apart
--   redo_fault,
--   redo_fault_time      the last of them: block, relation's file, LSN and reason; null when there is none
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
    OUT travel_lsn pg_lsn,
    OUT held_wal_bytes bigint,
    OUT held_wal_limit bigint,
    OUT redo_faults bigint,
    OUT redo_fault text,
    OUT redo_fault_time timestamp with time zone)
RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_status';
COMMENT ON FUNCTION strata.status() IS 'what the history of this cluster is doing, what it costs, and its last error';

-- Rows of another moment, beside those that the session sees. Each of these functions sends a traveller: a background worker
-- that goes to the moment and runs there what the function asks for, in the same database, under the current role and
-- the session's settings, reading only.
--
-- A moment is a time (timestamptz: the state that recovery to it would show), a position in WAL (pg_lsn), or text: a time in
-- any form that timestamptz reads, an interval before now ('-10 minutes', '10 minutes ago'), or an LSN.
--
-- Errors: 22023 where the moment cannot be reached, 42501 without the right to set strata.travel_time (strata.travel_lsn
-- for an LSN), 53400 where no traveller is free and this statement holds one already, 55000 where strata is off; and
-- whatever the query raises there.

-- The rows of one statement that returns rows. The arguments after it are its parameters, $1 and so on. Without a column
-- definition list (in the target list) columns whose types are not PostgreSQL's own are text. With one, types must be those
-- of the query; a type that is not PostgreSQL's own is read by its name, or as text.
CREATE FUNCTION strata.query_at(moment timestamp with time zone, query text) RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_query_at_time';
CREATE FUNCTION strata.query_at(moment pg_lsn, query text) RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_query_at_lsn';
CREATE FUNCTION strata.query_at(moment text, query text) RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_query_at_words';
CREATE FUNCTION strata.query_at(moment timestamp with time zone, query text, VARIADIC parameters "any") RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_query_at_time';
CREATE FUNCTION strata.query_at(moment pg_lsn, query text, VARIADIC parameters "any") RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_query_at_lsn';
CREATE FUNCTION strata.query_at(moment text, query text, VARIADIC parameters "any") RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_query_at_words';
COMMENT ON FUNCTION strata.query_at(timestamp with time zone, text) IS 'the rows of a query as of a time';
COMMENT ON FUNCTION strata.query_at(pg_lsn, text) IS 'the rows of a query as of an LSN';
COMMENT ON FUNCTION strata.query_at(text, text) IS 'the rows of a query as of a time, ''-10 minutes'' or an LSN';
COMMENT ON FUNCTION strata.query_at(timestamp with time zone, text, "any") IS 'the rows of a query with parameters as of a time';
COMMENT ON FUNCTION strata.query_at(pg_lsn, text, "any") IS 'the rows of a query with parameters as of an LSN';
COMMENT ON FUNCTION strata.query_at(text, text, "any") IS 'the rows of a query with parameters as of a time, ''-10 minutes'' or an LSN';

-- The rows of a table (NULL::mytable names it) with the columns that it has where the session is, matched by name: a column
-- that was not there yet is null, one that has been dropped since is left out, one of another type is cast as an
-- assignment casts, or is an error that names it (42804). The table is the one with the same OID, whatever its name was;
-- where there was none, the one of that name. 42P01 where there was neither.
CREATE FUNCTION strata.table_at(rowtype anyelement, moment timestamp with time zone) RETURNS SETOF anyelement
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_table_at_time';
CREATE FUNCTION strata.table_at(rowtype anyelement, moment pg_lsn) RETURNS SETOF anyelement
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_table_at_lsn';
CREATE FUNCTION strata.table_at(rowtype anyelement, moment text) RETURNS SETOF anyelement
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_table_at_words';
COMMENT ON FUNCTION strata.table_at(anyelement, timestamp with time zone) IS 'the rows of a table as of a time, with its columns of now';
COMMENT ON FUNCTION strata.table_at(anyelement, pg_lsn) IS 'the rows of a table as of an LSN, with its columns of now';
COMMENT ON FUNCTION strata.table_at(anyelement, text) IS 'the rows of a table as of a time, ''-10 minutes'' or an LSN, with its columns of now';

-- The rows of a table as it was, each as a JSON object: for tables that are gone, or have other columns. The name is looked up
-- at the moment, by the session's search_path where it has no schema.
CREATE FUNCTION strata.json_at("table" text, moment timestamp with time zone) RETURNS SETOF jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_json_at_time';
CREATE FUNCTION strata.json_at("table" text, moment pg_lsn) RETURNS SETOF jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_json_at_lsn';
CREATE FUNCTION strata.json_at("table" text, moment text) RETURNS SETOF jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_json_at_words';
COMMENT ON FUNCTION strata.json_at(text, timestamp with time zone) IS 'the rows of a table as of a time, as JSON';
COMMENT ON FUNCTION strata.json_at(text, pg_lsn) IS 'the rows of a table as of an LSN, as JSON';
COMMENT ON FUNCTION strata.json_at(text, text) IS 'the rows of a table as of a time, ''-10 minutes'' or an LSN, as JSON';

-- The moments just before and after a transaction ended, by a commit or by an abort: what recovery_target_xid with
-- recovery_target_inclusive = off and on would show. A transaction in between does not belong to either side by its start, but
-- by its end. Errors: 22023 for a transaction that has not ended, that ended before history begins, or whose commit log is gone.
CREATE FUNCTION strata.before_xact(xid8) RETURNS pg_lsn
LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'strata_before_xact';
CREATE FUNCTION strata.after_xact(xid8) RETURNS pg_lsn
LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'strata_after_xact';
COMMENT ON FUNCTION strata.before_xact(xid8) IS 'the LSN just before a transaction committed or aborted';
COMMENT ON FUNCTION strata.after_xact(xid8) IS 'the LSN just after a transaction committed or aborted';

-- The sessions and background workers that see the cluster in the past.
--   pid      as in pg_stat_activity
--   role     whom the session belongs to, by the name that the role has where the caller is; null where there is none
--   moment   when the last commit or abort ended that belongs to what it sees; null where history holds none, or not any more
--   lsn      the LSN at which it sees the cluster
--   since    when it went there
CREATE FUNCTION strata.travellers(
    OUT pid integer,
    OUT role text,
    OUT moment timestamp with time zone,
    OUT lsn pg_lsn,
    OUT since timestamp with time zone)
RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'strata_travellers';
COMMENT ON FUNCTION strata.travellers() IS 'who is in the past, where, and since when';
