\echo Use "CREATE EXTENSION strata" to load this file. \quit

-- Every function raises object_not_in_prerequisite_state (55000) where strata_enabled is off, but for those that compare
-- clusters.

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
    OUT hint text)
RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_status';
COMMENT ON FUNCTION strata.status() IS 'what the history of this cluster is doing, what it costs, and its last error';

-- The earliest moment that can be travelled to; nulls before the baseline is complete.
CREATE FUNCTION strata.horizon(OUT lsn pg_lsn, OUT "time" timestamp with time zone)
RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_horizon';
COMMENT ON FUNCTION strata.horizon() IS 'the earliest moment that can be travelled to';

-- The LSN that SET strata.travel_time = '...' would travel to: the state just before the first commit or abort, in WAL
-- order, whose timestamp is later. Waits until ingest has seen what decides it. A moment that cannot be reached is an
-- error (22023).
CREATE FUNCTION strata.lsn_at(moment timestamp with time zone)
RETURNS pg_lsn
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'strata_lsn_at';
COMMENT ON FUNCTION strata.lsn_at(timestamp with time zone) IS 'the LSN that stands for a time';

-- The latest commit or abort timestamp whose record ends at or before the LSN; the horizon's time where none has been
-- recorded since. Waits until ingest has reached the LSN. An LSN outside history is an error (22023).
CREATE FUNCTION strata.time_at(lsn pg_lsn)
RETURNS timestamp with time zone
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'strata_time_at';
COMMENT ON FUNCTION strata.time_at(pg_lsn) IS 'the time of the last transaction that had ended by an LSN';

-- Waits, cancellable, until history is complete up to the LSN, and returns how far it is. An LSN beyond the end of WAL
-- is an error (22023); so is a history that has stopped (55000).
CREATE FUNCTION strata.wait_for(lsn pg_lsn)
RETURNS pg_lsn
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'strata_wait_for';
COMMENT ON FUNCTION strata.wait_for(pg_lsn) IS 'wait until history has reached an LSN';

-- The layer files: level 0 is a flushed memtable, 1 is merged; image: at most one version of a key, all of them whole.
-- Versions have LSNs from lsn_begin (inclusive) to lsn_end (exclusive); bytes on disk.
CREATE FUNCTION strata.layers(
    OUT name text,
    OUT level integer,
    OUT image boolean,
    OUT lsn_begin pg_lsn,
    OUT lsn_end pg_lsn,
    OUT bytes bigint,
    OUT entries bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_layers';
COMMENT ON FUNCTION strata.layers() IS 'the layer files that hold the history';

-- The same by level, images and deltas apart. runs: how many layers a lookup may have to look into, as the layers of one
-- run have different keys.
CREATE FUNCTION strata.levels(
    OUT level integer,
    OUT image boolean,
    OUT runs bigint,
    OUT layers bigint,
    OUT bytes bigint,
    OUT entries bigint)
RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_levels';
COMMENT ON FUNCTION strata.levels() IS 'the layer files that hold the history, by level';

-- How history has been read since stats_reset, by what was asked for. Counts of all sessions, of those that have ended too;
-- a session's own come in when its transaction has ended, as in PostgreSQL's other statistics. They survive a clean
-- restart. What ingest and compaction read for themselves is not in here.
--   kind            page, commit log, relation map, ...: what a session asked for. A page's relation size, truncations
--                   and database are read with it, and count as its
--   requests        readings; one for several neighbouring pages at once
--   pages_rebuilt   pages made out of a base and records, those of the commit log too
--   redo_calls      calls of PostgreSQL's redo routines for them
--   layer_lookups   searches in the index of a layer
--   blocks_read,
--   bytes_read      blocks of layer files that were not in the session's cache, as they are stored
--   total_time      milliseconds
CREATE FUNCTION strata.stat(
    OUT kind text,
    OUT requests bigint,
    OUT pages_rebuilt bigint,
    OUT redo_calls bigint,
    OUT layer_lookups bigint,
    OUT blocks_read bigint,
    OUT bytes_read bigint,
    OUT total_time double precision,
    OUT stats_reset timestamp with time zone)
RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_stat';
COMMENT ON FUNCTION strata.stat() IS 'how history has been read; the view strata.pg_stat_strata shows it';

CREATE VIEW strata.pg_stat_strata AS SELECT * FROM strata.stat();
COMMENT ON VIEW strata.pg_stat_strata IS 'how history has been read: pages rebuilt, redo calls, layer reads, time';
GRANT SELECT ON strata.pg_stat_strata TO PUBLIC;

-- Sets pg_stat_strata and the written bytes of status() to zero. For superusers, and whom they grant EXECUTE.
CREATE FUNCTION strata.stat_reset()
RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'strata_stat_reset';
COMMENT ON FUNCTION strata.stat_reset() IS 'set the statistics of history to zero';
REVOKE EXECUTE ON FUNCTION strata.stat_reset() FROM PUBLIC;

-- Reads all files of the store and checks every checksum and all that doc/format.md says of files: order, key and LSN
-- ranges, bounds in the manifest and in the file, filters, lengths, runs that are disjoint, files that belong to nobody.
-- One row for each file; beside it history goes on, and so does compaction. A notice tells how far it is every few
-- seconds. It can be cancelled, and keeps no file from being removed for longer than it reads that file. What is only in
-- memory yet is not looked at; strata.check_pages() compares pages. For superusers, and whom they grant EXECUTE.
--   file            MANIFEST, the name of a layer, or that of a file that should not be there
--   level, entries  of a layer
--   bytes           on disk
--   problem         what is wrong with the file, null where nothing is
CREATE FUNCTION strata.verify(
    OUT file text,
    OUT level integer,
    OUT entries bigint,
    OUT bytes bigint,
    OUT problem text)
RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'strata_verify';
COMMENT ON FUNCTION strata.verify() IS 'check every checksum and every invariant of the store';
REVOKE EXECUTE ON FUNCTION strata.verify() FROM PUBLIC;

-- Rebuilds every page of a relation from its history as of now and compares it with the page that PostgreSQL has, but
-- for hint bits and the like that WAL does not carry. Main fork and visibility map; of an unlogged relation the init
-- fork. Relations without logged pages (views, temporary tables) have 0 pages. Other sessions may go on writing.
--   pages           blocks that were compared
--   redo_calls      calls of PostgreSQL's redo routines that rebuilding them took
--   mismatches      blocks that differ; anything but 0 is a defect
--   first_mismatch  where the first one differs, else null
CREATE FUNCTION strata.check_pages(
    rel regclass,
    OUT pages bigint,
    OUT redo_calls bigint,
    OUT mismatches bigint,
    OUT first_mismatch text)
RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'strata_check_pages';
COMMENT ON FUNCTION strata.check_pages(regclass) IS 'compare the pages of a relation with those rebuilt from history';

-- What rebuilding one block of a relation's main fork as of an LSN takes. A diagnosis for slow travel, and a benchmark:
--   versions    versions that were applied, the base among them
--   redo_calls  calls of PostgreSQL's redo routines
--   total_us    microseconds from the question to the page, as a travelling session reads it
--   redo_us     microseconds of applying the versions, their reading left out
-- An LSN outside history or a block that did not exist then is an error (22023).
CREATE FUNCTION strata.rebuild_cost(
    rel regclass,
    block bigint,
    lsn pg_lsn,
    OUT versions bigint,
    OUT redo_calls bigint,
    OUT total_us double precision,
    OUT redo_us double precision)
RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'strata_rebuild_cost';
COMMENT ON FUNCTION strata.rebuild_cost(regclass, bigint, pg_lsn) IS 'what rebuilding one page of the past takes';

-- Reads WAL between two LSNs, which must still be in pg_wal, and compares the page images that wal_consistency_checking
-- put there with the pages rebuilt at the end of their record. One row for each type of record that the server knows:
--   blocks          block references, but for those of the free space map
--   compared        images that are in WAL only to be compared, and were
--   applied         images that recovery applies, and that were compared too: the rebuilt page is made from them, so they
--                   prove that history keeps them, and nothing of redo
--   redo_calls      calls of PostgreSQL's redo routines that rebuilding took
--   mismatches      images that differ; anything but 0 is a defect
--   first_mismatch  where the first one differs, else null
CREATE FUNCTION strata.check_wal(
    start_lsn pg_lsn,
    end_lsn pg_lsn,
    OUT resource_manager text,
    OUT record_type text,
    OUT records bigint,
    OUT blocks bigint,
    OUT compared bigint,
    OUT applied bigint,
    OUT redo_calls bigint,
    OUT mismatches bigint,
    OUT first_mismatch text)
RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'strata_check_wal';
COMMENT ON FUNCTION strata.check_wal(pg_lsn, pg_lsn) IS 'compare the page images in WAL with pages rebuilt from history';

-- The functions below compare clusters: each answers the same on two servers that have replayed the same WAL, and in a
-- session that travels to the same moment. They need no history and answer where strata_enabled is off, too.

-- Forks, sizes in blocks and digests of the pages that WAL keeps of a relation: main fork and visibility map; of an
-- unlogged relation the init fork. Pages are digested under the mask of their resource manager, which hides hint bits
-- and the like; of the visibility map every bit counts, of heap pages PD_ALL_VISIBLE too. No rows for a relation
-- without logged pages.
CREATE FUNCTION strata.relation_digest(rel regclass, OUT fork text, OUT blocks bigint, OUT digest text)
RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_relation_digest';
COMMENT ON FUNCTION strata.relation_digest(regclass) IS 'sizes and digests of the pages of a relation';

-- One fork's pages: digest and the masked bytes.
CREATE FUNCTION strata.page_digests(rel regclass, fork text, OUT block bigint, OUT digest text, OUT masked bytea)
RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_page_digests';
COMMENT ON FUNCTION strata.page_digests(regclass, text) IS 'digest of each page of a fork';

-- One fork of a relation of any database, by its file; nulls where there is no such fork. A session in another database
-- can so compare one that it cannot connect to.
--   manager   the resource manager whose mask applies
CREATE FUNCTION strata.file_digest(
    tablespace oid, database oid, filenode oid, fork text, manager text, OUT blocks bigint, OUT digest text)
RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_file_digest';
COMMENT ON FUNCTION strata.file_digest(oid, oid, oid, text, text) IS 'size and digest of the pages of a file';

-- The transaction ID that would have been assigned next; in a travelling session, as recovery would leave it.
CREATE FUNCTION strata.next_xid()
RETURNS xid8
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_next_xid';
COMMENT ON FUNCTION strata.next_xid() IS 'the next transaction ID';

-- What the commit log says of the transactions from first_xid (inclusive) to end_xid (exclusive).
CREATE FUNCTION strata.commit_log_digest(
    first_xid xid8, end_xid xid8, OUT committed bigint, OUT aborted bigint, OUT digest text)
RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_commit_log_digest';
COMMENT ON FUNCTION strata.commit_log_digest(xid8, xid8) IS 'digest of transaction statuses';

-- The multixacts that exist now, from oldest (inclusive) to next (exclusive). An error (55000) while travelling.
CREATE FUNCTION strata.multixact_range(OUT oldest xid, OUT next xid)
RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_multixact_range';
COMMENT ON FUNCTION strata.multixact_range() IS 'the range of existing multixacts';

-- The members of the multixacts from first_multi (inclusive) to end_multi (exclusive).
CREATE FUNCTION strata.multixact_digest(
    first_multi xid, end_multi xid, OUT multixacts bigint, OUT members bigint, OUT digest text)
RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_multixact_digest';
COMMENT ON FUNCTION strata.multixact_digest(xid, xid) IS 'digest of the members of multixacts';

GRANT USAGE ON SCHEMA strata TO PUBLIC;
REVOKE EXECUTE ON FUNCTION strata.layers() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION strata.check_pages(regclass) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION strata.check_wal(pg_lsn, pg_lsn) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION strata.rebuild_cost(regclass, bigint, pg_lsn) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION strata.relation_digest(regclass) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION strata.page_digests(regclass, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION strata.file_digest(oid, oid, oid, text, text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION strata.next_xid() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION strata.commit_log_digest(xid8, xid8) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION strata.multixact_range() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION strata.multixact_digest(xid, xid) FROM PUBLIC;
