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
--                        retrying (see compaction_error), missing (max_worker_processes leaves no place for it)
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
--   clock_behind_until   where the server's clock has been set back: the latest timestamp of a transaction, which is later than
--                        now. Until the clock has passed it, times, 'now' among them, stand for moments before the first such
--                        transaction; LSNs reach everything. Null as a rule
--   given_up,
--   given_up_time        why and when the history before this one was given up; null when none was since the server started
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
    OUT redo_fault_time timestamp with time zone,
    OUT clock_behind_until timestamp with time zone,
    OUT given_up text,
    OUT given_up_time timestamp with time zone)
RETURNS record
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_status';
COMMENT ON FUNCTION strata.status() IS 'what the history of this cluster is doing, what it costs, and its last error';

-- The LSN that stands for a time in the forms that strata.travel_time takes: as timestamptz reads it, or an interval that lies in
-- the past ('-10 minutes', '10 minutes ago'), counted from the start of the transaction as 'now' is. Errors: 22007 for another
-- text, 22023 for a time that cannot be reached.
CREATE FUNCTION strata.lsn_at(moment text)
RETURNS pg_lsn
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'strata_lsn_at_words';
COMMENT ON FUNCTION strata.lsn_at(text) IS 'the LSN that stands for a time, or for ''-10 minutes''';

-- As in 1.0, with what a damaged layer takes away. The function is a new one: who was granted EXECUTE needs that again.
--   file            MANIFEST, the name of a layer, or that of a file that should not be there
--   level, entries  of a layer
--   bytes           on disk
--   problem         what is wrong with the file, null where nothing is
--   affected_from,
--   affected_to     LSNs of the first version that cannot be read, and behind the last one: moments from affected_from on
--                   need one, of each page until a newer image of it comes; null where the damage takes nothing away
--   affected        what has such versions: the file of a relation in its main tablespace (base/5/16384, of which
--                   pg_filenode_relation() knows the table), or the kind of what else it is (commit-log); null where
--                   that cannot be told: all that has versions between the two LSNs
DROP FUNCTION strata.verify();
CREATE FUNCTION strata.verify(
    OUT file text,
    OUT level integer,
    OUT entries bigint,
    OUT bytes bigint,
    OUT problem text,
    OUT affected_from pg_lsn,
    OUT affected_to pg_lsn,
    OUT affected text[])
RETURNS SETOF record
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'strata_verify';
COMMENT ON FUNCTION strata.verify() IS 'check every checksum and every invariant of the store';
REVOKE EXECUTE ON FUNCTION strata.verify() FROM PUBLIC;

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

-- ---------------------------------------------------------------------------------------------------------------------
-- Getting back what was dropped
--
-- undrop() asks a traveller just before the DROP for the commands that make the object, what belonged to it and what
-- CASCADE took with it, and runs them in the present, in the transaction of the caller and with the caller's rights.

-- The LSN of a moment in words: a time in any form that timestamptz reads, an interval before now ('-10 minutes'), or an
-- LSN. Errors as of query_at().
CREATE FUNCTION strata.lsn_of(moment text) RETURNS pg_lsn
LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'strata_lsn_of';
COMMENT ON FUNCTION strata.lsn_of(text) IS 'the LSN that stands for a moment: a time, ''-10 minutes'' or an LSN';

-- Part of undrop() and dropped(): the rows of a catalog (pg_class, pg_proc, pg_type, pg_namespace, pg_database) that a commit
-- deleted. It walks the versions of the catalog's pages.
--   since, until  commits in (since, until]; null: all of history
--   name          only objects of this name; null: all
--   lsn           the end of the commit: the object was there just before
--   xid           the transaction that deleted it, or its subtransaction
CREATE FUNCTION strata.ended_objects(catalog regclass, since pg_lsn DEFAULT NULL, until pg_lsn DEFAULT NULL, name text DEFAULT NULL,
    OUT oid oid, OUT object_name text, OUT lsn pg_lsn, OUT xid xid8)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'strata_ended_objects';
COMMENT ON FUNCTION strata.ended_objects(regclass, pg_lsn, pg_lsn, text) IS 'rows of a catalog that were deleted, and when';

-- Part of undrop(): the query that finds a relation at a moment. $1 the name, parsed; $2 the search path.
CREATE FUNCTION strata.undrop_find() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN $query$
SELECT c.oid, n.nspname::text, c.relname::text, c.relowner, pg_get_userbyid(c.relowner)::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = ($1)[array_upper($1, 1)]
  AND CASE WHEN array_length($1, 1) > 1 THEN n.nspname = ($1)[array_upper($1, 1) - 1] ELSE n.nspname = ANY ($2) END
  AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
ORDER BY array_position($2, n.nspname::text) LIMIT 1
$query$;

-- Part of undrop(): the query that writes the commands. It runs at the moment, with pg_catalog as the search path.
--   $1  what comes back: the OID of a relation or schema
--   $2  the LSN of the moment, for the commands that copy rows
--   $3  a mark that stands nowhere in the catalogs. Names of relations and roles are of the present: in their place a command has
--       mark kind OID:name mark, where kind is r (qualified name), l (the same as a literal), n (bare name), u (role),
--       s (qualified name of a statistics object).
--   $4  its catalog: pg_class or pg_namespace
-- One row for each command:
--   phase, place        the order; phase 0: no command, but a relation, its name and schema
--   classid, objid      the object that it makes or finishes
--   kind, identity      as undrop() shows it
--   own                 belongs to the relation, and was not merely taken by CASCADE
--   quiet               finishes an object that another row has made: shown only where it fails
--   command             null: an object of a kind that does not come back, or, with `after`, a remark
--   after               a command that may fail: the object comes back without what it does
--   as_role             the role that must run it; null: the caller
--   tablespace          where it goes if that is still there
CREATE FUNCTION strata.undrop_commands() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN $query$
WITH RECURSIVE
-- What DROP ... CASCADE takes: all that depends on what it takes, and the owner of what is internal to another object.
closure(classid, objid, objsubid, own) AS (
    SELECT $4::regclass::oid, $1, 0, true
    UNION
    SELECT next.classid, next.objid, next.objsubid, next.own
    FROM closure c CROSS JOIN LATERAL (
        SELECT d.classid, d.objid, d.objsubid, c.own AND d.deptype <> 'n'
        FROM pg_depend d
        WHERE d.refclassid = c.classid AND d.refobjid = c.objid AND c.objsubid IN (0, d.refobjsubid)
          AND d.deptype IN ('n', 'a', 'i', 'P', 'S')
        UNION ALL
        SELECT d.refclassid, d.refobjid, d.refobjsubid, false
        FROM pg_depend d
        WHERE d.classid = c.classid AND d.objid = c.objid AND d.objsubid = c.objsubid AND d.deptype = 'i'
    ) AS next(classid, objid, objsubid, own)
),
gone AS MATERIALIZED (
    SELECT c.classid, c.objid, c.objsubid, bool_or(c.own) AS own
    FROM closure c
    WHERE c.objsubid = 0 OR NOT EXISTS (
        SELECT FROM closure w WHERE w.classid = c.classid AND w.objid = c.objid AND w.objsubid = 0)
    GROUP BY 1, 2, 3
),
-- What a type makes by itself: the functions and the cast of a range type.
internal AS (
    SELECT d.classid, d.objid FROM gone g JOIN pg_depend d ON d.classid = g.classid AND d.objid = g.objid
    WHERE d.deptype = 'i' AND g.classid IN ('pg_proc'::regclass, 'pg_cast'::regclass)
),
rel AS NOT MATERIALIZED (
    SELECT c.*, n.nspname, format('%I.%I', n.nspname, c.relname) AS name,
           format('%sr%s:%I.%I%1$s', $3, c.oid, n.nspname, c.relname) AS ref,
           format('%sl%s:%I.%I%1$s', $3, c.oid, n.nspname, c.relname) AS literal,
           format('%sn%s:%I%1$s', $3, c.oid, c.relname) AS bare
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
),
mine AS MATERIALIZED (
    SELECT r.*, g.own FROM gone g JOIN rel r ON r.oid = g.objid
    WHERE g.classid = 'pg_class'::regclass AND g.objsubid = 0 AND r.relkind <> 't' AND r.nspname <> 'pg_toast'
),
-- Parents come before their children.
depth(oid, depth) AS (
    SELECT oid, 0 FROM mine
    UNION
    SELECT i.inhrelid, d.depth + 1 FROM depth d JOIN pg_inherits i ON i.inhparent = d.oid
),
place AS (SELECT oid, (max(depth)::bigint << 32) + oid::bigint AS place FROM depth GROUP BY oid),
role AS NOT MATERIALIZED (
    SELECT 0::oid AS oid, 'PUBLIC' AS ref
    UNION ALL
    SELECT oid, format('%su%s:%s%1$s', $3, oid, rolname) FROM pg_roles
),
identity_sequence AS (
    SELECT s.*, d.refobjid AS tableid, d.refobjsubid AS attnum
    FROM mine s JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype = 'i'
    WHERE s.relkind = 'S'
),
sequence_options AS (
    SELECT seqrelid, format('START %s INCREMENT %s MINVALUE %s MAXVALUE %s CACHE %s', seqstart, seqincrement, seqmin, seqmax, seqcache)
           || CASE WHEN seqcycle THEN ' CYCLE' ELSE '' END AS options, format_type(seqtypid, NULL) AS type
    FROM pg_sequence
),
options AS (
    SELECT r.oid, string_agg(format('%s%I=%L', o.prefix, split_part(o.option, '=', 1), substr(o.option, strpos(o.option, '=') + 1)), ', ') AS list
    FROM mine r CROSS JOIN LATERAL (
        SELECT '', unnest(r.reloptions)
        UNION ALL
        SELECT 'toast.', unnest(t.reloptions) FROM pg_class t WHERE t.oid = r.reltoastrelid) AS o(prefix, option)
    GROUP BY r.oid
),
-- Columns that a table has by itself. A partition gets all of them, and is attached later.
column_of AS (
    SELECT r.oid, a.attnum, a.attgenerated, a.attname, format_type(a.atttypid, a.atttypmod) AS type,
           format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
           || CASE WHEN a.attstorage = t.typstorage THEN '' ELSE ' STORAGE ' ||
                  CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END
           || CASE a.attcompression WHEN 'p' THEN ' COMPRESSION pglz' WHEN 'l' THEN ' COMPRESSION lz4' ELSE '' END
           || coalesce(' OPTIONS (' || (SELECT string_agg(format('%I %L', f.option_name, f.option_value), ', ')
                                        FROM pg_options_to_table(a.attfdwoptions) f) || ')', '')
           || CASE WHEN a.attcollation = t.typcollation OR a.attcollation = 0 THEN '' ELSE
                  (SELECT format(' COLLATE %I.%I', n.nspname, o.collname)
                   FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace WHERE o.oid = a.attcollation) END
           || CASE a.attgenerated WHEN '' THEN '' ELSE format(' GENERATED ALWAYS AS (%s) %s', pg_get_expr(d.adbin, d.adrelid),
                  CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END) END AS definition,
           r.reloftype = 0 AND (a.attislocal OR r.relispartition) AS is_local
    FROM mine r JOIN pg_attribute a ON a.attrelid = r.oid JOIN pg_type t ON t.oid = a.atttypid
         LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE r.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped
),
element AS (
    SELECT oid, attnum AS place, definition FROM column_of WHERE is_local
    UNION ALL
    SELECT c.conrelid, 2000, format('CONSTRAINT %I %s', c.conname, pg_get_constraintdef(c.oid))
    FROM pg_constraint c JOIN mine r ON r.oid = c.conrelid
    WHERE c.contype = 'n' AND c.convalidated AND (c.conislocal OR r.relispartition) AND r.relkind IN ('r', 'p', 'f')
),
elements AS (SELECT oid, string_agg(definition, ', ' ORDER BY place, definition) AS list FROM element GROUP BY oid),
parents AS (
    SELECT i.inhrelid AS oid, string_agg(p.ref, ', ' ORDER BY i.inhseqno) AS list
    FROM pg_inherits i JOIN mine r ON r.oid = i.inhrelid JOIN rel p ON p.oid = i.inhparent
    WHERE NOT r.relispartition AND r.relkind IN ('r', 'f')
    GROUP BY i.inhrelid
),
own_index AS (
    SELECT i.*, x.indrelid, t.ref AS table_ref, t.name AS table_name, t.relkind AS table_kind, x.indisunique, x.indisvalid, x.indisclustered,
           x.indisreplident, c.oid AS constraint_oid, c.contype
    FROM mine i JOIN pg_index x ON x.indexrelid = i.oid JOIN rel t ON t.oid = x.indrelid
         LEFT JOIN pg_constraint c ON c.conindid = i.oid AND c.conrelid = x.indrelid AND c.contype IN ('p', 'u', 'x')
    WHERE x.indisvalid OR i.relkind = 'I'
),
-- Types that no table brings with it
own_type AS (
    SELECT t.*, format('%I.%I', n.nspname, t.typname) AS name
    FROM gone g JOIN pg_type t ON t.oid = g.objid JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE g.classid = 'pg_type'::regclass AND t.typtype IN ('e', 'd', 'r', 'c')
      AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
),
-- What has a name of its own in COMMENT and its like.
object(classid, objid, syntax, identity) AS (
    SELECT 'pg_class'::regclass::oid, oid, CASE relkind WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
               WHEN 'S' THEN 'SEQUENCE' WHEN 'i' THEN 'INDEX' WHEN 'I' THEN 'INDEX' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, ref
    FROM mine
    UNION ALL
    SELECT g.classid, c.oid, 'CONSTRAINT', format('%s ON %s', coalesce(i.bare, quote_ident(c.conname)), r.ref)
    FROM gone g JOIN pg_constraint c ON c.oid = g.objid JOIN rel r ON r.oid = c.conrelid
         LEFT JOIN mine i ON i.oid = c.conindid AND c.contype IN ('p', 'u', 'x')
    WHERE g.classid = 'pg_constraint'::regclass
    UNION ALL
    SELECT g.classid, t.oid, 'TRIGGER', format('%I ON %s', t.tgname, r.ref)
    FROM gone g JOIN pg_trigger t ON t.oid = g.objid JOIN rel r ON r.oid = t.tgrelid
    WHERE g.classid = 'pg_trigger'::regclass
    UNION ALL
    SELECT g.classid, w.oid, 'RULE', format('%I ON %s', w.rulename, r.ref)
    FROM gone g JOIN pg_rewrite w ON w.oid = g.objid JOIN rel r ON r.oid = w.ev_class
    WHERE g.classid = 'pg_rewrite'::regclass
    UNION ALL
    SELECT g.classid, p.oid, 'POLICY', format('%I ON %s', p.polname, r.ref)
    FROM gone g JOIN pg_policy p ON p.oid = g.objid JOIN rel r ON r.oid = p.polrelid
    WHERE g.classid = 'pg_policy'::regclass
    UNION ALL
    SELECT g.classid, p.oid, 'ROUTINE', p.oid::regprocedure::text
    FROM gone g JOIN pg_proc p ON p.oid = g.objid
    WHERE g.classid = 'pg_proc'::regclass
    UNION ALL
    SELECT g.classid, s.oid, 'STATISTICS', format('%ss%s:%I.%I%1$s', $3, s.oid, n.nspname, s.stxname)
    FROM gone g JOIN pg_statistic_ext s ON s.oid = g.objid JOIN pg_namespace n ON n.oid = s.stxnamespace
    WHERE g.classid = 'pg_statistic_ext'::regclass
    UNION ALL
    SELECT g.classid, d.oid, 'DEFAULT', format('%s.%I', r.ref, a.attname)
    FROM gone g JOIN pg_attrdef d ON d.oid = g.objid JOIN rel r ON r.oid = d.adrelid
         JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    WHERE g.classid = 'pg_attrdef'::regclass
    UNION ALL
    SELECT g.classid, t.oid, 'TYPE', r.ref
    FROM gone g JOIN pg_type t ON t.oid = g.objid JOIN mine r ON r.reltype = t.oid AND r.relkind <> 'c'
    WHERE g.classid = 'pg_type'::regclass
    UNION ALL
    SELECT 'pg_type'::regclass, oid, CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, name FROM own_type
    UNION ALL
    SELECT g.classid, n.oid, 'SCHEMA', quote_ident(n.nspname)
    FROM gone g JOIN pg_namespace n ON n.oid = g.objid
    WHERE g.classid = 'pg_namespace'::regclass
    UNION ALL
    SELECT g.classid, m.oid, 'PUBLICATION TABLE', format('%s IN %I', r.ref, p.pubname)
    FROM gone g JOIN pg_publication_rel m ON m.oid = g.objid JOIN pg_publication p ON p.oid = m.prpubid JOIN rel r ON r.oid = m.prrelid
    WHERE g.classid = 'pg_publication_rel'::regclass
),
-- An access control list, for the object as GRANT names it, with one row for each grantor and grantee.
privileges(classid, objid, target, owner, grantor, grantee, is_grantable, list, place) AS (
    SELECT 'pg_class'::regclass::oid, r.oid, CASE r.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || r.ref, r.relowner,
           e.grantor, e.grantee, e.is_grantable, string_agg(e.privilege_type, ', '), min(e.place)
    FROM mine r CROSS JOIN LATERAL aclexplode(r.relacl) WITH ORDINALITY AS e(grantor, grantee, privilege_type, is_grantable, place)
    GROUP BY r.oid, r.relkind, r.ref, r.relowner, e.grantor, e.grantee, e.is_grantable
    UNION ALL
    SELECT 'pg_class'::regclass, r.oid, 'TABLE ' || r.ref, r.relowner,
           e.grantor, e.grantee, e.is_grantable, string_agg(format('%s (%I)', e.privilege_type, a.attname), ', '), min(e.place)
    FROM mine r JOIN pg_attribute a ON a.attrelid = r.oid
         CROSS JOIN LATERAL aclexplode(a.attacl) WITH ORDINALITY AS e(grantor, grantee, privilege_type, is_grantable, place)
    GROUP BY r.oid, r.ref, r.relowner, e.grantor, e.grantee, e.is_grantable
    UNION ALL
    SELECT o.classid, o.objid, 'ROUTINE ' || o.identity, p.proowner, e.grantor, e.grantee, e.is_grantable, string_agg(e.privilege_type, ', '), min(e.place)
    FROM object o JOIN pg_proc p ON p.oid = o.objid
         CROSS JOIN LATERAL aclexplode(p.proacl) WITH ORDINALITY AS e(grantor, grantee, privilege_type, is_grantable, place)
    WHERE o.classid = 'pg_proc'::regclass
    GROUP BY o.classid, o.objid, o.identity, p.proowner, e.grantor, e.grantee, e.is_grantable
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, 'TYPE ' || t.name, t.typowner, e.grantor, e.grantee, e.is_grantable, string_agg(e.privilege_type, ', '), min(e.place)
    FROM own_type t CROSS JOIN LATERAL aclexplode(t.typacl) WITH ORDINALITY AS e(grantor, grantee, privilege_type, is_grantable, place)
    GROUP BY t.oid, t.name, t.typowner, e.grantor, e.grantee, e.is_grantable
    UNION ALL
    SELECT o.classid, o.objid, 'SCHEMA ' || o.identity, n.nspowner, e.grantor, e.grantee, e.is_grantable, string_agg(e.privilege_type, ', '), min(e.place)
    FROM object o JOIN pg_namespace n ON n.oid = o.objid
         CROSS JOIN LATERAL aclexplode(n.nspacl) WITH ORDINALITY AS e(grantor, grantee, privilege_type, is_grantable, place)
    WHERE o.classid = 'pg_namespace'::regclass
    GROUP BY o.classid, o.objid, o.identity, n.nspowner, e.grantor, e.grantee, e.is_grantable
),
command(phase, place, classid, objid, quiet, command, after, as_role, tablespace) AS (
    -- Every relation that comes back, with its name and schema in place of commands.
    SELECT 0, r.oid::bigint, 'pg_class'::regclass::oid, r.oid, true, r.relname::text, r.nspname::text, NULL::text, NULL::oid
    FROM mine r
    UNION ALL
    SELECT 0, s.oid::bigint, g.classid, s.oid, true, s.stxname::text, n.nspname::text, NULL, NULL
    FROM gone g JOIN pg_statistic_ext s ON s.oid = g.objid JOIN pg_namespace n ON n.oid = s.stxnamespace
    WHERE g.classid = 'pg_statistic_ext'::regclass

    UNION ALL -- The schema, and its types
    SELECT 2, 0, o.classid, o.objid, false, 'CREATE SCHEMA ' || o.identity, NULL, NULL, NULL
    FROM object o WHERE o.classid = 'pg_namespace'::regclass
    UNION ALL
    SELECT 5, t.oid::bigint, 'pg_type'::regclass, t.oid, false,
           CASE t.typtype
               WHEN 'e' THEN format('CREATE TYPE %s AS ENUM (%s)', t.name, (
                   SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid))
               WHEN 'c' THEN format('CREATE TYPE %s AS (%s)', t.name, (
                   SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
                       || coalesce((SELECT format(' COLLATE %I.%I', n.nspname, o.collname) FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace
                                    WHERE o.oid = a.attcollation AND o.oid <> y.typcollation), ''), ', ' ORDER BY a.attnum)
                   FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
               WHEN 'd' THEN format('CREATE DOMAIN %s AS %s', t.name, format_type(t.typbasetype, t.typtypmod))
                   || coalesce((SELECT format(' COLLATE %I.%I', n.nspname, o.collname) FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace
                                JOIN pg_type y ON y.oid = t.typbasetype WHERE o.oid = t.typcollation AND o.oid <> y.typcollation), '')
                   || coalesce(' DEFAULT ' || t.typdefault, '')
                   || coalesce((SELECT string_agg(format(' CONSTRAINT %I %s', c.conname, pg_get_constraintdef(c.oid)), '' ORDER BY c.oid)
                                FROM pg_constraint c WHERE c.contypid = t.oid AND c.convalidated), '')
               WHEN 'r' THEN (SELECT format('CREATE TYPE %s AS RANGE (SUBTYPE = %s', t.name, format_type(r.rngsubtype, NULL))
                   || format(', MULTIRANGE_TYPE_NAME = %s', format_type(r.rngmultitypid, NULL))
                   || coalesce((SELECT format(', SUBTYPE_OPCLASS = %I.%I', n.nspname, o.opcname) FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace
                                WHERE o.oid = r.rngsubopc), '')
                   || coalesce((SELECT format(', COLLATION = %I.%I', n.nspname, o.collname) FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace
                                WHERE o.oid = r.rngcollation), '')
                   || CASE WHEN r.rngsubdiff = 0 THEN '' ELSE ', SUBTYPE_DIFF = ' || r.rngsubdiff::regproc END || ')'
                   FROM pg_range r WHERE r.rngtypid = t.oid) END, NULL, NULL, NULL
    FROM own_type t

    UNION ALL
    -- Sequences, but for those of identity columns.
    SELECT 10, 0, 'pg_class'::regclass, r.oid, false,
           format('CREATE %sSEQUENCE %s AS %s %s', CASE r.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, r.ref, s.type, s.options),
           NULL, NULL, NULL
    FROM mine r JOIN sequence_options s ON s.seqrelid = r.oid
    WHERE NOT EXISTS (SELECT FROM identity_sequence i WHERE i.oid = r.oid)

    UNION ALL -- Tables
    SELECT 20, p.place, 'pg_class'::regclass, r.oid, false,
           format('CREATE %s%sTABLE %s', CASE r.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END,
                  CASE r.relkind WHEN 'f' THEN 'FOREIGN ' ELSE '' END, r.ref)
           || CASE WHEN r.reloftype = 0 THEN format(' (%s)', e.list)
                   ELSE ' OF ' || format_type(r.reloftype, NULL) || coalesce(' (' || e.list || ')', '') END
           || coalesce(' INHERITS (' || i.list || ')', '')
           || CASE r.relkind WHEN 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(r.oid) ELSE '' END
           || coalesce((SELECT format(' USING %I', am.amname) FROM pg_am am WHERE am.oid = r.relam), '')
           || coalesce(' WITH (' || o.list || ')', '')
           || coalesce((SELECT format(' SERVER %I', s.srvname) || coalesce(' OPTIONS (' || (
                            SELECT string_agg(format('%I %L', x.option_name, x.option_value), ', ') FROM pg_options_to_table(f.ftoptions) x) || ')', '')
                        FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = r.oid), ''),
           NULL, NULL, r.reltablespace
    FROM mine r JOIN place p USING (oid) LEFT JOIN elements e USING (oid) LEFT JOIN parents i USING (oid) LEFT JOIN options o USING (oid)
    WHERE r.relkind IN ('r', 'p', 'f')

    UNION ALL -- Identity columns; partitions have those of their parents
    SELECT 25, a.attnum, 'pg_class'::regclass, r.oid, true,
           format('ALTER TABLE %s%s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s%s %s)',
                  CASE r.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, r.ref, a.attname,
                  CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, s.ref,
                  CASE WHEN s.relpersistence = r.relpersistence THEN '' WHEN s.relpersistence = 'u' THEN ' UNLOGGED' ELSE ' LOGGED' END,
                  o.options), NULL, NULL, NULL
    FROM identity_sequence s JOIN mine r ON r.oid = s.tableid JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = s.attnum
         JOIN sequence_options o ON o.seqrelid = s.oid

    UNION ALL -- How columns are stored that CREATE does not say it of
    SELECT CASE r.relkind WHEN 'm' THEN 78 ELSE 26 END, a.attnum, 'pg_class'::regclass, r.oid, true,
           format('ALTER TABLE ONLY %s ALTER COLUMN %I SET %s', r.ref, a.attname, x.setting), NULL, NULL, NULL
    FROM mine r JOIN pg_attribute a ON a.attrelid = r.oid JOIN pg_type t ON t.oid = a.atttypid
         LEFT JOIN column_of c ON c.oid = r.oid AND c.attnum = a.attnum
         CROSS JOIN LATERAL (VALUES
            ('STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END, a.attstorage <> t.typstorage),
            ('COMPRESSION ' || CASE a.attcompression WHEN 'p' THEN 'pglz' ELSE 'lz4' END, a.attcompression <> '')) AS x(setting, is_own)
    WHERE r.relkind IN ('r', 'p', 'f', 'm') AND a.attnum > 0 AND NOT a.attisdropped AND x.is_own AND NOT coalesce(c.is_local, false)

    UNION ALL -- Rows
    SELECT 30, r.oid::bigint, 'pg_class'::regclass, r.oid, true,
           format('INSERT INTO %s%s OVERRIDING SYSTEM VALUE SELECT %s FROM strata.query_at(%L::pg_catalog.pg_lsn, %L) AS r(%s)', r.ref,
                  ' (' || string_agg(quote_ident(c.attname), ', ' ORDER BY c.attnum) || ')',
                  coalesce(string_agg('r.' || quote_ident(c.attname), ', ' ORDER BY c.attnum), ''), $2,
                  format('SELECT %s FROM ONLY %s', coalesce(string_agg(quote_ident(c.attname), ', ' ORDER BY c.attnum), '1'), r.name),
                  coalesce(string_agg(quote_ident(c.attname) || ' ' || c.type, ', ' ORDER BY c.attnum), 'n int')), NULL, NULL, NULL
    FROM mine r LEFT JOIN column_of c ON c.oid = r.oid AND c.attgenerated = ''
    WHERE r.relkind = 'r' AND r.relpersistence = 'p'
    GROUP BY r.oid, r.ref, r.name
    UNION ALL
    SELECT 30, 0, 'pg_class'::regclass, r.oid, true, NULL, 'without rows: history has none of unlogged tables', NULL, NULL
    FROM mine r WHERE r.relkind = 'r' AND r.relpersistence = 'u'

    UNION ALL -- Positions and owners of sequences
    SELECT 32, 0, 'pg_class'::regclass, r.oid, true, format('SELECT pg_catalog.setval(%s, %s, %L)', r.literal, d.last_value, d.is_called), NULL, NULL, NULL
    FROM mine r CROSS JOIN LATERAL pg_get_sequence_data(r.oid) d
    WHERE r.relkind = 'S' AND d.last_value IS NOT NULL
    UNION ALL
    SELECT 33, 0, 'pg_class'::regclass, r.oid, true, format('ALTER SEQUENCE %s OWNED BY %s.%I', r.ref, t.ref, a.attname), NULL, NULL, NULL
    FROM mine r JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.refclassid = d.classid AND d.deptype = 'a'
         JOIN rel t ON t.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE r.relkind = 'S'

    UNION ALL -- Conditions, those of children first; a partition must have those of its parent before it is attached
    SELECT 42, -p.place, g.classid, c.oid, c.contype = 'n',
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', r.ref, c.conname, pg_get_constraintdef(c.oid)), NULL, NULL, NULL
    FROM gone g JOIN pg_constraint c ON c.oid = g.objid JOIN rel r ON r.oid = c.conrelid LEFT JOIN place p ON p.oid = r.oid
    WHERE g.classid = 'pg_constraint'::regclass AND (c.conislocal OR r.relispartition)
      AND (c.contype = 'c' OR c.contype = 'n' AND NOT c.convalidated)

    UNION ALL -- Partitions of what comes back with them
    SELECT 45, p.place, 'pg_class'::regclass, r.oid, true,
           format('ALTER TABLE ONLY %s ATTACH PARTITION %s %s', t.ref, r.ref, pg_get_expr(r.relpartbound, r.oid)), NULL, NULL, NULL
    FROM mine r JOIN place p USING (oid) JOIN pg_inherits i ON i.inhrelid = r.oid JOIN mine t ON t.oid = i.inhparent
    WHERE r.relispartition AND r.relkind IN ('r', 'p', 'f')

    UNION ALL -- Indexes
    SELECT CASE i.table_kind WHEN 'm' THEN 78 ELSE 50 END, i.oid::bigint, 'pg_class'::regclass, i.oid, false,
           format('CREATE %sINDEX %s ON %s%s USING %s', d.is_unique, i.bare, d.is_only, i.table_ref,
                  substr(pg_get_indexdef(i.oid), length(format('CREATE %sINDEX %I ON %s%s USING ', d.is_unique, i.relname, d.is_only, i.table_name)) + 1)),
           NULL, NULL, i.reltablespace
    FROM own_index i CROSS JOIN LATERAL (SELECT CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END AS is_unique,
                                                CASE i.relkind WHEN 'I' THEN 'ONLY ' ELSE '' END AS is_only) d
    WHERE i.constraint_oid IS NULL
    UNION ALL
    SELECT 50, i.oid::bigint, 'pg_constraint'::regclass, i.constraint_oid, false,
           format('ALTER TABLE ONLY %s ADD CONSTRAINT %s %s', i.table_ref, i.bare, pg_get_constraintdef(i.constraint_oid)), NULL, NULL, i.reltablespace
    FROM own_index i WHERE i.constraint_oid IS NOT NULL
    UNION ALL
    SELECT 52, 0, 'pg_class'::regclass, i.oid, true, format('ALTER INDEX %s SET (%s)', i.ref, o.list), NULL, NULL, NULL
    FROM own_index i JOIN options o USING (oid) WHERE i.constraint_oid IS NOT NULL
    UNION ALL
    SELECT 52, 0, 'pg_class'::regclass, i.oid, true, format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', i.ref, a.attnum, a.attstattarget), NULL, NULL, NULL
    FROM own_index i JOIN pg_attribute a ON a.attrelid = i.oid WHERE a.attstattarget >= 0
    UNION ALL
    SELECT 55, p.place, 'pg_class'::regclass, r.oid, true, format('ALTER INDEX %s ATTACH PARTITION %s', t.ref, r.ref), NULL, NULL, NULL
    FROM mine r JOIN place p USING (oid) JOIN pg_inherits i ON i.inhrelid = r.oid JOIN mine t ON t.oid = i.inhparent
    WHERE r.relkind IN ('i', 'I')
    UNION ALL
    SELECT 57, 0, 'pg_class'::regclass, i.indrelid, true, format('ALTER TABLE %s CLUSTER ON %s', i.table_ref, i.bare), NULL, NULL, NULL
    FROM own_index i WHERE i.indisclustered
    UNION ALL
    SELECT 57, 0, 'pg_class'::regclass, r.oid, true,
           format('ALTER TABLE ONLY %s REPLICA IDENTITY %s', r.ref, CASE r.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' ELSE 'USING INDEX ' || i.bare END),
           NULL, NULL, NULL
    FROM mine r LEFT JOIN own_index i ON i.indrelid = r.oid AND i.indisreplident
    WHERE r.relkind IN ('r', 'p') AND r.nspname <> 'pg_catalog' AND (r.relreplident IN ('f', 'n') OR i.oid IS NOT NULL)

    UNION ALL -- Settings of columns
    SELECT 57, a.attnum, 'pg_class'::regclass, r.oid, true, format('ALTER TABLE ONLY %s ALTER COLUMN %I SET STATISTICS %s', r.ref, a.attname, a.attstattarget), NULL, NULL, NULL
    FROM mine r JOIN pg_attribute a ON a.attrelid = r.oid
    WHERE r.relkind IN ('r', 'p', 'f', 'm') AND a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget >= 0
    UNION ALL
    SELECT CASE r.relkind WHEN 'm' THEN 78 ELSE 57 END, a.attnum, 'pg_class'::regclass, r.oid, true,
           format('ALTER TABLE ONLY %s ALTER COLUMN %I SET (%s)', r.ref, a.attname,
                  (SELECT string_agg(format('%I=%L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') FROM unnest(a.attoptions) o)), NULL, NULL, NULL
    FROM mine r JOIN pg_attribute a ON a.attrelid = r.oid
    WHERE r.relkind IN ('r', 'p', 'f', 'm') AND a.attnum > 0 AND NOT a.attisdropped AND a.attoptions IS NOT NULL

    UNION ALL -- A partition of a table that was not dropped
    SELECT 58, 0, 'pg_class'::regclass, r.oid, true,
           format('ALTER TABLE %s ATTACH PARTITION %s %s', t.ref, r.ref, pg_get_expr(r.relpartbound, r.oid)), NULL, NULL, NULL
    FROM mine r JOIN pg_inherits i ON i.inhrelid = r.oid JOIN rel t ON t.oid = i.inhparent
    WHERE r.relispartition AND r.relkind IN ('r', 'p', 'f') AND NOT EXISTS (SELECT FROM mine m WHERE m.oid = i.inhparent)

    UNION ALL -- Defaults
    SELECT 60, d.oid::bigint, g.classid, d.oid, true,
           format('ALTER TABLE ONLY %s ALTER COLUMN %I SET DEFAULT %s', r.ref, a.attname,
                  coalesce((SELECT replace(x.expression, quote_literal(s.name), s.literal)
                            FROM mine s JOIN pg_depend u ON u.refclassid = 'pg_class'::regclass AND u.refobjid = s.oid
                            WHERE u.classid = g.classid AND u.objid = d.oid AND s.relkind = 'S' LIMIT 1), x.expression)), NULL, NULL, NULL
    FROM gone g JOIN pg_attrdef d ON d.oid = g.objid JOIN rel r ON r.oid = d.adrelid
         JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
         CROSS JOIN LATERAL pg_get_expr(d.adbin, d.adrelid) AS x(expression)
    WHERE g.classid = 'pg_attrdef'::regclass AND a.attgenerated = ''

    UNION ALL -- Functions and procedures
    SELECT 65, p.oid::bigint, g.classid, p.oid, false,
           'CREATE ' || substr(pg_get_functiondef(p.oid), length('CREATE OR REPLACE ') + 1), NULL, NULL, NULL
    FROM gone g JOIN pg_proc p ON p.oid = g.objid
    WHERE g.classid = 'pg_proc'::regclass AND p.prokind <> 'a' AND NOT EXISTS (SELECT FROM internal i WHERE i.classid = g.classid AND i.objid = g.objid)

    UNION ALL -- Extended statistics
    SELECT 70, s.oid::bigint, g.classid, s.oid, false,
           'CREATE STATISTICS ' || o.identity || left(substr(d.definition, length(format('CREATE STATISTICS %I.%I', n.nspname, s.stxname)) + 1), -length(r.name)) || r.ref,
           NULL, NULL, NULL
    FROM gone g JOIN pg_statistic_ext s ON s.oid = g.objid JOIN pg_namespace n ON n.oid = s.stxnamespace JOIN rel r ON r.oid = s.stxrelid
         JOIN object o ON o.classid = g.classid AND o.objid = s.oid
         CROSS JOIN LATERAL pg_get_statisticsobjdef(s.oid) AS d(definition)
    WHERE g.classid = 'pg_statistic_ext'::regclass
    UNION ALL
    SELECT 71, 0, o.classid, o.objid, true, format('ALTER STATISTICS %s SET STATISTICS %s', o.identity, s.stxstattarget), NULL, NULL, NULL
    FROM object o JOIN pg_statistic_ext s ON s.oid = o.objid
    WHERE o.classid = 'pg_statistic_ext'::regclass AND s.stxstattarget >= 0

    UNION ALL -- Views
    SELECT 75, r.oid::bigint, 'pg_class'::regclass, r.oid, false,
           format('CREATE VIEW %s%s AS %s', r.ref, coalesce(' WITH (' || o.list || ')', ''), rtrim(pg_get_viewdef(r.oid), ';')), NULL, NULL, NULL
    FROM mine r LEFT JOIN options o USING (oid) WHERE r.relkind = 'v'
    UNION ALL
    SELECT 75, r.oid::bigint, 'pg_class'::regclass, r.oid, false,
           format('CREATE MATERIALIZED VIEW %s%s%s AS %s WITH NO DATA', r.ref,
                  coalesce((SELECT format(' USING %I', am.amname) FROM pg_am am WHERE am.oid = r.relam), ''),
                  coalesce(' WITH (' || o.list || ')', ''), rtrim(pg_get_viewdef(r.oid), ';')), NULL, NULL, r.reltablespace
    FROM mine r LEFT JOIN options o USING (oid) WHERE r.relkind = 'm'
    UNION ALL
    SELECT 77, r.oid::bigint, 'pg_class'::regclass, r.oid, true, format('REFRESH MATERIALIZED VIEW %s', r.ref), NULL, NULL, NULL
    FROM mine r WHERE r.relkind = 'm' AND r.relispopulated

    UNION ALL -- Rules and triggers
    SELECT 80, w.oid::bigint, g.classid, w.oid, false,
           overlay(d.definition PLACING ' TO ' || r.ref FROM strpos(d.definition, ' TO ' || r.name) FOR length(' TO ' || r.name)), NULL, NULL, NULL
    FROM gone g JOIN pg_rewrite w ON w.oid = g.objid JOIN rel r ON r.oid = w.ev_class CROSS JOIN LATERAL pg_get_ruledef(w.oid) AS d(definition)
    WHERE g.classid = 'pg_rewrite'::regclass AND w.rulename <> '_RETURN'
    UNION ALL
    SELECT 82, t.oid::bigint, g.classid, t.oid, false,
           overlay(d.definition PLACING ' ON ' || r.ref FROM strpos(d.definition, ' ON ' || r.name) FOR length(' ON ' || r.name)), NULL, NULL, NULL
    FROM gone g JOIN pg_trigger t ON t.oid = g.objid JOIN rel r ON r.oid = t.tgrelid CROSS JOIN LATERAL pg_get_triggerdef(t.oid) AS d(definition)
    WHERE g.classid = 'pg_trigger'::regclass AND NOT t.tgisinternal AND t.tgparentid = 0
    UNION ALL
    SELECT 83, t.oid::bigint, g.classid, t.oid, true,
           format('ALTER TABLE ONLY %s %s TRIGGER %I', r.ref, CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, t.tgname),
           NULL, NULL, NULL
    FROM gone g JOIN pg_trigger t ON t.oid = g.objid JOIN rel r ON r.oid = t.tgrelid
    WHERE g.classid = 'pg_trigger'::regclass AND NOT t.tgisinternal AND t.tgenabled <> 'O'
    UNION ALL
    SELECT 83, w.oid::bigint, g.classid, w.oid, true,
           format('ALTER TABLE %s %s RULE %I', r.ref, CASE w.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, w.rulename),
           NULL, NULL, NULL
    FROM gone g JOIN pg_rewrite w ON w.oid = g.objid JOIN rel r ON r.oid = w.ev_class
    WHERE g.classid = 'pg_rewrite'::regclass AND w.rulename <> '_RETURN' AND w.ev_enabled <> 'O'

    UNION ALL -- Policies
    SELECT 84, p.oid::bigint, g.classid, p.oid, false,
           format('CREATE POLICY %I ON %s AS %s FOR %s TO %s', p.polname, r.ref, CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                  CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                  (SELECT string_agg(o.ref, ', ') FROM role o WHERE o.oid = ANY (p.polroles)))
           || coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
           || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''), NULL, NULL, NULL
    FROM gone g JOIN pg_policy p ON p.oid = g.objid JOIN rel r ON r.oid = p.polrelid
    WHERE g.classid = 'pg_policy'::regclass

    UNION ALL -- Foreign keys in both directions; those of partitions come with their parents'
    SELECT 86, c.oid::bigint, g.classid, c.oid, false,
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', r.ref, c.conname,
                  overlay(d.definition PLACING ' REFERENCES ' || f.ref FROM strpos(d.definition, ' REFERENCES ' || f.name) FOR length(' REFERENCES ' || f.name)))
           || CASE WHEN c.convalidated THEN ' NOT VALID' ELSE '' END,
           CASE WHEN c.convalidated THEN format('ALTER TABLE %s VALIDATE CONSTRAINT %I', r.ref, c.conname) END, NULL, NULL
    FROM gone g JOIN pg_constraint c ON c.oid = g.objid JOIN rel r ON r.oid = c.conrelid JOIN rel f ON f.oid = c.confrelid
         CROSS JOIN LATERAL pg_get_constraintdef(c.oid) AS d(definition)
    WHERE g.classid = 'pg_constraint'::regclass AND c.contype = 'f' AND c.conparentid = 0

    UNION ALL -- Publications
    SELECT 88, m.oid::bigint, g.classid, m.oid, false,
           format('ALTER PUBLICATION %I ADD TABLE ONLY %s', p.pubname, r.ref)
           || coalesce(' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                                WHERE a.attrelid = m.prrelid AND a.attnum = ANY (m.prattrs)) || ')', '')
           || coalesce(' WHERE (' || pg_get_expr(m.prqual, m.prrelid) || ')', ''), NULL, NULL, NULL
    FROM gone g JOIN pg_publication_rel m ON m.oid = g.objid JOIN pg_publication p ON p.oid = m.prpubid JOIN rel r ON r.oid = m.prrelid
    WHERE g.classid = 'pg_publication_rel'::regclass

    UNION ALL -- Row security
    SELECT 89, 0, 'pg_class'::regclass, r.oid, true, format('ALTER TABLE %s %s ROW LEVEL SECURITY', r.ref, x.action), NULL, NULL, NULL
    FROM mine r CROSS JOIN LATERAL (VALUES ('ENABLE', r.relrowsecurity), ('FORCE', r.relforcerowsecurity)) AS x(action, is_on)
    WHERE x.is_on

    UNION ALL -- Owners, before anything runs code of theirs: indexes and materialized views are made with their rights
    SELECT CASE WHEN r.relkind IN ('v', 'm') THEN 76 ELSE 41 END, 0, 'pg_class'::regclass, r.oid, true, format('ALTER TABLE %s OWNER TO %s', r.ref, o.ref), NULL, NULL, NULL
    FROM mine r JOIN role o ON o.oid = r.relowner
    WHERE r.relkind IN ('r', 'p', 'f', 'v', 'm') OR r.relkind = 'S' AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.refclassid = d.classid AND d.deptype IN ('a', 'i'))
    UNION ALL
    SELECT 66, 0, o.classid, o.objid, true, format('ALTER ROUTINE %s OWNER TO %s', o.identity, u.ref), NULL, NULL, NULL
    FROM object o JOIN pg_proc p ON p.oid = o.objid JOIN role u ON u.oid = p.proowner WHERE o.classid = 'pg_proc'::regclass
    UNION ALL
    SELECT 90, 0, o.classid, o.objid, true, format('ALTER %s %s OWNER TO %s', o.syntax, o.identity, u.ref), NULL, NULL, NULL
    FROM object o JOIN own_type t ON t.oid = o.objid JOIN role u ON u.oid = t.typowner WHERE o.classid = 'pg_type'::regclass
    UNION ALL
    SELECT 90, 0, o.classid, o.objid, true, format('ALTER SCHEMA %s OWNER TO %s', o.identity, u.ref), NULL, NULL, NULL
    FROM object o JOIN pg_namespace n ON n.oid = o.objid JOIN role u ON u.oid = n.nspowner WHERE o.classid = 'pg_namespace'::regclass
    UNION ALL
    SELECT 72, 0, o.classid, o.objid, true, format('ALTER STATISTICS %s OWNER TO %s', o.identity, u.ref), NULL, NULL, NULL
    FROM object o JOIN pg_statistic_ext s ON s.oid = o.objid JOIN role u ON u.oid = s.stxowner WHERE o.classid = 'pg_statistic_ext'::regclass

    UNION ALL -- Privileges: none of the defaults of now, and what was granted then
    SELECT 91, 0, 'pg_class'::regclass, r.oid, true, format('SELECT strata.undrop_revoke(%s::pg_catalog.regclass, %L)', r.literal, r.relacl IS NULL), NULL, NULL, NULL
    FROM mine r WHERE r.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
    UNION ALL
    SELECT 91, 0, o.classid, o.objid, true, format('REVOKE ALL ON ROUTINE %s FROM PUBLIC, %s', o.identity, u.ref), NULL, NULL, NULL
    FROM object o JOIN pg_proc p ON p.oid = o.objid JOIN role u ON u.oid = p.proowner WHERE o.classid = 'pg_proc'::regclass AND p.proacl IS NOT NULL
    UNION ALL
    SELECT 91, 0, 'pg_type'::regclass, t.oid, true, format('REVOKE ALL ON TYPE %s FROM PUBLIC, %s', t.name, u.ref), NULL, NULL, NULL
    FROM own_type t JOIN role u ON u.oid = t.typowner WHERE t.typacl IS NOT NULL
    UNION ALL
    SELECT 91, 0, o.classid, o.objid, true, format('REVOKE ALL ON SCHEMA %s FROM %s', o.identity, u.ref), NULL, NULL, NULL
    FROM object o JOIN pg_namespace n ON n.oid = o.objid JOIN role u ON u.oid = n.nspowner WHERE o.classid = 'pg_namespace'::regclass AND n.nspacl IS NOT NULL
    UNION ALL
    SELECT 92, (p.grantor <> p.owner)::int * 1000 + p.place, p.classid, p.objid, true,
           format('GRANT %s ON %s TO %s%s', p.list, p.target, e.ref, CASE WHEN p.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), NULL,
           CASE WHEN p.grantor <> p.owner THEN o.ref END, NULL
    FROM privileges p JOIN role e ON e.oid = p.grantee JOIN role o ON o.oid = p.grantor

    UNION ALL -- Comments and security labels
    SELECT 93, 0, o.classid, o.objid, true, format('COMMENT ON %s %s IS %L', o.syntax, o.identity, d.description), NULL, NULL, NULL
    FROM object o JOIN pg_description d ON d.classoid = o.classid AND d.objoid = o.objid AND d.objsubid = 0
    UNION ALL
    SELECT 93, d.objsubid, 'pg_class'::regclass, r.oid, true, format('COMMENT ON COLUMN %s.%I IS %L', r.ref, a.attname, d.description), NULL, NULL, NULL
    FROM mine r JOIN pg_description d ON d.classoid = 'pg_class'::regclass AND d.objoid = r.oid
         JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = d.objsubid
    WHERE r.relkind <> 'i'
    UNION ALL
    SELECT 94, 0, o.classid, o.objid, true, format('SECURITY LABEL FOR %I ON %s %s IS %L', l.provider, o.syntax, o.identity, l.label), NULL, NULL, NULL
    FROM object o JOIN pg_seclabel l ON l.classoid = o.classid AND l.objoid = o.objid AND l.objsubid = 0
    UNION ALL
    SELECT 94, l.objsubid, 'pg_class'::regclass, r.oid, true, format('SECURITY LABEL FOR %I ON COLUMN %s.%I IS %L', l.provider, r.ref, a.attname, l.label), NULL, NULL, NULL
    FROM mine r JOIN pg_seclabel l ON l.classoid = 'pg_class'::regclass AND l.objoid = r.oid
         JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = l.objsubid
    UNION ALL
    SELECT 95, 0, 'pg_class'::regclass, r.oid, true, format('ALTER EXTENSION %I ADD %s %s', x.extname, o.syntax, o.identity), NULL, NULL, NULL
    FROM mine r JOIN object o ON o.classid = 'pg_class'::regclass AND o.objid = r.oid
         JOIN pg_depend d ON d.classid = o.classid AND d.objid = r.oid AND d.deptype = 'e' JOIN pg_extension x ON x.oid = d.refobjid
)
SELECT c.phase, c.place, c.classid, c.objid, lower(o.syntax), o.identity, g.own, c.quiet, c.command, c.after, c.as_role,
       (SELECT s.spcname::text FROM pg_tablespace s WHERE s.oid = c.tablespace)
FROM command c LEFT JOIN gone g ON g.classid = c.classid AND g.objid = c.objid AND g.objsubid = 0
     LEFT JOIN object o ON o.classid = c.classid AND o.objid = c.objid
UNION ALL
-- What no command makes and is not part of another object.
SELECT 99, 0, CASE g.objsubid WHEN 0 THEN g.classid END, g.objid, i.type, i.identity, g.own, false, NULL, NULL, NULL, NULL
FROM gone g CROSS JOIN LATERAL pg_identify_object(g.classid, g.objid, g.objsubid) i
WHERE NOT EXISTS (SELECT FROM command c WHERE c.classid = g.classid AND c.objid = g.objid AND NOT c.quiet AND g.objsubid = 0)
  AND NOT EXISTS (SELECT FROM internal i WHERE i.classid = g.classid AND i.objid = g.objid)
  AND NOT EXISTS (SELECT FROM pg_type t WHERE g.classid = 'pg_type'::regclass AND t.oid IN (g.objid, (SELECT e.typelem FROM pg_type e WHERE e.oid = g.objid AND e.typcategory = 'A'))
                  AND (t.typrelid <> 0 OR t.oid <> g.objid OR t.typtype = 'm' OR t.typcategory = 'A'))
  AND NOT EXISTS (SELECT FROM pg_class t WHERE g.classid = 'pg_class'::regclass AND g.objsubid = 0 AND t.oid = g.objid
                  AND (t.relkind IN ('t', 'i', 'I', 'c') OR EXISTS (SELECT FROM identity_sequence s WHERE s.oid = t.oid)))
  AND NOT EXISTS (SELECT FROM pg_constraint t WHERE g.classid = 'pg_constraint'::regclass AND t.oid = g.objid AND (t.contype IN ('n', 't') OR t.contypid <> 0 OR t.conparentid <> 0 OR NOT t.conislocal))
  AND NOT EXISTS (SELECT FROM pg_trigger t WHERE g.classid = 'pg_trigger'::regclass AND t.oid = g.objid AND (t.tgisinternal OR t.tgparentid <> 0))
  AND g.classid NOT IN ('pg_attrdef'::regclass, 'pg_rewrite'::regclass)
ORDER BY 1, 2, 4
$query$;

-- What undrop() and its sisters did: one row for each object.
--   kind        table, index, constraint, trigger, view, routine, ...
--   identity    its name, and that of the table which it belongs to
--   outcome     restored, exists already, skipped
--   reason      why; how many rows a table got
CREATE TYPE strata.restored AS (kind text, identity text, outcome text, reason text);

-- Parts of undrop(): a row of undrop_commands(), and what became of an object.
CREATE TYPE strata.undrop_command AS (phase int, place bigint, classid oid, objid oid, kind text, identity text, own boolean,
    quiet boolean, command text, after text, as_role text, tablespace text);
CREATE TYPE strata.undrop_outcome AS (classid oid, objid oid, kind text, identity text, outcome text, reason text);

-- Part of undrop(): takes away what default privileges of the present have granted on a new relation. Where the relation had
-- none but the built-in privileges, those are granted again.
CREATE FUNCTION strata.undrop_revoke(relation regclass, built_in boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    c pg_class := (SELECT c FROM pg_class c WHERE c.oid = relation);
    target text := CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || relation::text;
    standard aclitem[] := acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner);
    holder oid;
BEGIN
    IF built_in AND (c.relacl IS NULL OR c.relacl = standard) THEN RETURN; END IF;
    FOR holder IN SELECT DISTINCT grantee FROM aclexplode(coalesce(c.relacl, standard)) LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', target, CASE holder WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(holder)) END);
    END LOOP;
    IF built_in THEN
        EXECUTE format('GRANT ALL ON %s TO %I', target, pg_get_userbyid(c.relowner));
    END IF;
END $$;

-- Part of undrop(): a command with the names of the present. `names`: the qualified name of each relation that comes back by its
-- OID, and its bare name as "n" and the OID; of a statistics object the qualified name as "s" and the OID.
CREATE FUNCTION strata.undrop_named(command text, mark text, names jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    result text := command;
    token record;
    name text;
BEGIN
    FOR token IN SELECT DISTINCT m[1] AS whole, m[2] AS kind, m[3]::oid AS id, m[4] AS old
                 FROM regexp_matches(command, '(' || mark || '([rlnus])([0-9]+?):(.*?)' || mark || ')', 'g') AS m
    LOOP
        IF token.kind = 'u' THEN
            name := (SELECT quote_ident(rolname) FROM pg_roles WHERE oid = token.id);
            IF name IS NULL THEN
                RAISE undefined_object USING MESSAGE = format('role "%s" does not exist any more', token.old);
            END IF;
        ELSIF token.kind IN ('n', 's') THEN
            name := coalesce(names ->> (token.kind || token.id), token.old);
        ELSE
            name := coalesce(names ->> token.id::text,
                             (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                              WHERE c.oid = token.id), token.old);
            IF token.kind = 'l' THEN name := quote_literal(name); END IF;
        END IF;
        result := replace(result, token.whole, name);
    END LOOP;
    RETURN result;
END $$;

-- Part of undrop(): a name for a relation or statistics object that comes back in this schema: its own, or where that is taken one that begins
-- with `prefix` in place of `old_prefix`.
CREATE FUNCTION strata.undrop_free_name(schema text, name text, old_prefix text, prefix text, statistics boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    base text := left(prefix, 40) || CASE WHEN starts_with(name, old_prefix) THEN substr(name, length(old_prefix) + 1) ELSE '_' || name END;
    candidate text := name;
    is_taken boolean;
BEGIN
    FOR attempt IN 1 .. 1000 LOOP
        is_taken := to_regclass(format('%I.%I', schema, candidate)) IS NOT NULL;
        IF statistics THEN
            is_taken := EXISTS (SELECT FROM pg_statistic_ext WHERE stxname = candidate AND stxnamespace = to_regnamespace(quote_ident(schema)));
        END IF;
        IF NOT is_taken THEN RETURN candidate; END IF;
        candidate := left(base, 58) || CASE attempt WHEN 1 THEN '' ELSE attempt::text END;
    END LOOP;
    RAISE duplicate_table USING MESSAGE = format('no name is free for "%s" in schema "%s"', name, schema);
END $$;

-- Part of undrop(): runs commands. They may need each other, whatever their order, so those that fail are tried again as long as
-- others succeed. Those of phases before 40 must succeed in the end.
CREATE FUNCTION strata.undrop_run(commands strata.undrop_command[], mark text, names jsonb, dry_run boolean)
RETURNS strata.undrop_outcome[] LANGUAGE plpgsql AS $$
DECLARE
    session_role text := pg_catalog.current_setting('role');
    outcomes strata.undrop_outcome[] := '{}';
    made text[] := '{}';
    waiting strata.undrop_command[] := commands;
    failed strata.undrop_command[];
    reasons text[];
    states text[];
    one strata.undrop_command;
    text_of_one text;
    remark text;
    problem text;
    state text;
    row_count bigint;
BEGIN
    LOOP
        failed := '{}';
        reasons := '{}';
        states := '{}';
        FOREACH one IN ARRAY waiting LOOP
            remark := NULL;
            CONTINUE WHEN dry_run AND (one.phase IN (30, 77));
            IF one.command IS NULL THEN
                outcomes := outcomes || ROW(one.classid, one.objid, one.kind, one.identity, CASE WHEN one.after IS NULL THEN 'skipped' END,
                    coalesce(one.after, 'objects of this kind are not restored'))::strata.undrop_outcome;
                CONTINUE;
            END IF;
            BEGIN
                text_of_one := strata.undrop_named(one.command, mark, names);
                IF one.phase < 60 OR one.phase IN (75, 78) THEN
                    PERFORM set_config('default_tablespace', coalesce((SELECT spcname::text FROM pg_tablespace WHERE spcname = one.tablespace), ''), true);
                    IF one.tablespace <> current_setting('default_tablespace') THEN
                        remark := format('in the default tablespace: "%s" is gone', one.tablespace);
                    END IF;
                END IF;
                IF one.as_role IS NOT NULL THEN
                    EXECUTE 'SET LOCAL ROLE ' || strata.undrop_named(one.as_role, mark, names);
                END IF;
                EXECUTE text_of_one;
                GET DIAGNOSTICS row_count = ROW_COUNT;
                IF one.as_role IS NOT NULL THEN PERFORM set_config('role', session_role, true); END IF;
                IF one.phase = 30 THEN remark := row_count || CASE row_count WHEN 1 THEN ' row' ELSE ' rows' END; END IF;
                IF one.after IS NOT NULL AND NOT dry_run THEN
                    BEGIN
                        EXECUTE strata.undrop_named(one.after, mark, names);
                    EXCEPTION WHEN foreign_key_violation THEN
                        remark := 'NOT VALID: ' || SQLERRM;
                    END;
                END IF;
                IF NOT one.quiet OR remark IS NOT NULL THEN
                    outcomes := outcomes || ROW(one.classid, one.objid, one.kind, one.identity, CASE WHEN NOT one.quiet THEN 'restored' END, remark)::strata.undrop_outcome;
                END IF;
                made := made || (one.classid || '/' || one.objid);
            EXCEPTION WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT, state = RETURNED_SQLSTATE;
                IF one.phase < 40 AND state NOT IN ('42P01', '42704', '42883', '3F000') OR left(state, 2) IN ('25', '40', '53', '54', '57', '58', 'XX') OR state IN ('55P03', '55006') THEN RAISE; END IF;
                failed := failed || one;
                reasons := reasons || problem;
                states := states || state;
            END;
        END LOOP;
        EXIT WHEN cardinality(failed) IN (0, cardinality(waiting));
        waiting := failed;
    END LOOP;
    FOR i IN 1 .. cardinality(failed) LOOP
        one := failed[i];
        IF one.phase < 40 THEN
            RAISE EXCEPTION USING ERRCODE = states[i], MESSAGE = reasons[i],
                DETAIL = format('It was needed for %s %s.', one.kind, strata.undrop_shown(one.identity, mark));
        END IF;
        -- What finishes an object is not missed where the object is.
        CONTINUE WHEN one.quiet AND one.phase >= 60 AND one.classid <> 'pg_attrdef'::regclass AND (one.classid || '/' || one.objid) <> ALL (made);
        outcomes := outcomes || ROW(CASE WHEN NOT one.quiet THEN one.classid END, one.objid, one.kind, one.identity,
            CASE WHEN NOT one.quiet AND states[i] IN ('42P07', '42710', '42723') THEN 'exists already' ELSE 'skipped' END,
            CASE WHEN one.quiet THEN left(split_part(strata.undrop_shown(one.command, mark), E'\n', 1), 120) || ': ' ELSE '' END || reasons[i])::strata.undrop_outcome;
    END LOOP;
    RETURN outcomes;
END $$;

-- Part of undrop(): a command with the names that it was written with.
CREATE FUNCTION strata.undrop_shown(command text, mark text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN pg_catalog.regexp_replace(command, mark || '[rlnus][0-9]+?:(.*?)' || mark, '\1', 'g');

-- Part of undrop() and undrop_schema(): what the commands of a moment bring back.
CREATE FUNCTION strata.undrop_all(catalog text, root oid, root_name text, at pg_lsn, new_name text, dry_run boolean) RETURNS SETOF strata.restored
LANGUAGE plpgsql
SET search_path = pg_catalog
-- Rows that a policy hides would be missing without a word: an error instead.
SET row_security = off
SET check_function_bodies = off
SET default_tablespace = ''
-- Merged columns and the like.
SET client_min_messages = warning
-- Values of some types cross as text.
SET datestyle = 'ISO' SET intervalstyle = 'postgres' SET extra_float_digits = 3 SET xmloption = content SET synchronize_seqscans = off
-- Rows come in the order of their pages.
SET max_parallel_workers_per_gather = 0
AS $$
DECLARE
    mark text := 'm' || replace(gen_random_uuid()::text, '-', 'm');
    commands strata.undrop_command[];
    chosen strata.undrop_command[] := '{}';
    outcomes strata.undrop_outcome[] := '{}';
    names jsonb := '{}';
    one strata.undrop_command;
    target text;
BEGIN
    SELECT array_agg(c::strata.undrop_command ORDER BY c.phase, c.place, c.objid) INTO commands
    FROM strata.query_at(at, strata.undrop_commands(), root, at::text, mark, catalog)
        AS c(phase int, place bigint, classid oid, objid oid, kind text, identity text, own boolean, quiet boolean, command text, after text, as_role text, tablespace text);

    -- Which of them are wanted, and how what they make is called.
    FOREACH one IN ARRAY commands LOOP
        IF one.phase = 0 AND one.kind = 'statistics' THEN
            CONTINUE WHEN NOT one.own;
            names := names || jsonb_build_object('s' || one.objid, format('%I.%I', one.after,
                strata.undrop_free_name(one.after, one.command, root_name, coalesce(new_name, root_name), true)));
        ELSIF one.phase = 0 THEN
            target := CASE WHEN one.objid = root AND catalog = 'pg_class' THEN coalesce(new_name, root_name)
                           WHEN one.own AND one.kind IN ('index', 'sequence') OR new_name IS NOT NULL
                           THEN strata.undrop_free_name(one.after, one.command, root_name, coalesce(new_name, root_name))
                           ELSE one.command END;
            IF new_name IS NOT NULL AND one.own OR NOT EXISTS (SELECT FROM pg_class WHERE oid = one.objid) THEN
                names := names || jsonb_build_object(one.objid::text, format('%I.%I', one.after, target), 'n' || one.objid, quote_ident(target));
            END IF;
        ELSIF new_name IS NOT NULL AND NOT coalesce(one.own, false) THEN
            IF NOT one.quiet AND pg_describe_object(one.classid, one.objid, 0) IS NULL THEN
                outcomes := outcomes || ROW(NULL, NULL, one.kind, one.identity, 'skipped', 'it depended on the relation under its old name')::strata.undrop_outcome;
            END IF;
        ELSIF new_name IS NULL AND pg_describe_object(one.classid, one.objid, 0) IS NOT NULL THEN
            IF NOT one.quiet THEN
                outcomes := outcomes || ROW(NULL, NULL, one.kind, one.identity, 'exists already', NULL)::strata.undrop_outcome;
            END IF;
        ELSE
            chosen := chosen || one;
        END IF;
    END LOOP;

    BEGIN
        outcomes := strata.undrop_run(chosen, mark, names, dry_run) || outcomes;
        IF dry_run THEN RAISE SQLSTATE 'ST001'; END IF;
    EXCEPTION WHEN SQLSTATE 'ST001' THEN
        NULL;
    END;
    RETURN QUERY
        SELECT (array_agg(o.kind))[1], strata.undrop_named((array_agg(o.identity))[1], mark, names), coalesce(max(o.outcome), 'restored'), string_agg(o.reason, '; ' ORDER BY o.n)
        FROM unnest(outcomes) WITH ORDINALITY AS o(classid, objid, kind, identity, outcome, reason, n)
        GROUP BY coalesce(o.classid || '/' || o.objid, 'n' || o.n)
        ORDER BY min(o.n);
END $$;

-- Part of undrop(): only members of the role that owned it may bring something back; of one that is gone, superusers.
CREATE FUNCTION strata.undrop_require_owner(owner oid, owner_name text, what text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE oid = owner) THEN
        IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN RETURN; END IF;
    ELSIF pg_has_role(owner, 'SET') AND pg_has_role(owner, 'USAGE') THEN
        RETURN;
    END IF;
    RAISE insufficient_privilege USING MESSAGE = 'must be owner of ' || what, DETAIL = format('It belonged to role "%s".', owner_name);
END $$;

-- Part of undrop(): everything, with the name parsed, the search path of the caller, and the moment found.
CREATE FUNCTION strata.undrop_relation(name text[], path text[], at pg_lsn, new_name text, dry_run boolean) RETURNS SETOF strata.restored
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    target text;
    root record;
BEGIN
    FOR root IN SELECT * FROM strata.query_at(at, strata.undrop_find(), name, path)
        AS f(id oid, schema text, name text, owner oid, owner_name text) LOOP
    END LOOP;
    IF root IS NULL THEN
        RAISE undefined_table USING MESSAGE = format('relation "%s" did not exist at LSN %s', array_to_string(name, '.'), at),
            HINT = 'Give another moment, or the schema.';
    END IF;
    PERFORM strata.undrop_require_owner(root.owner, root.owner_name, format('relation %I.%I', root.schema, root.name));
    IF new_name IS NULL AND EXISTS (SELECT FROM pg_class WHERE oid = root.id) THEN
        RAISE duplicate_table USING MESSAGE = format('relation %s has not been dropped', root.id::regclass),
            HINT = 'With new_name, another one is made as it was.';
    END IF;
    target := coalesce(new_name, root.name);
    IF to_regnamespace(quote_ident(root.schema)) IS NULL THEN
        RAISE invalid_schema_name USING MESSAGE = format('schema "%s" does not exist', root.schema), HINT = 'Create it first.';
    END IF;
    IF to_regclass(format('%I.%I', root.schema, target)) IS NOT NULL THEN
        RAISE duplicate_table USING MESSAGE = format('relation "%s" already exists in schema "%s"', target, root.schema),
            HINT = 'Give another name as new_name.';
    END IF;

    RETURN QUERY SELECT * FROM strata.undrop_all('pg_class', root.id, root.name, at, new_name, dry_run);
END $$;

-- Part of undrop(): the LSN just before the newest DROP of a relation of this name.
CREATE FUNCTION strata.undrop_moment(name text[], path text[]) RETURNS pg_lsn
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    dropped record;
    found record;
BEGIN
    FOR dropped IN SELECT e.oid, e.lsn - 1 AS before FROM strata.ended_objects('pg_class', name => name[array_upper(name, 1)]) e ORDER BY e.lsn DESC LOOP
        FOR found IN SELECT * FROM strata.query_at(dropped.before, strata.undrop_find(), name, path)
            AS f(id oid, schema text, name text, owner oid, owner_name text) LOOP
            IF found.id = dropped.oid THEN RETURN dropped.before; END IF;
        END LOOP;
    END LOOP;
    RAISE undefined_table USING MESSAGE = format('no relation "%s" has been dropped in this database since %s', array_to_string(name, '.'),
        (SELECT horizon_time FROM strata.status())), HINT = 'strata.dropped() lists what was dropped.';
END $$;

-- Brings back a relation (a table, view, materialized view, foreign table or sequence) that was dropped, with everything that belonged to it
-- and what CASCADE took elsewhere: foreign keys of other tables, views, functions over its row type. One row for each object.
--   table     its name then, by the session's search_path where it has no schema
--   new_name  its name now, in the same schema; what belongs to it keeps its name where that is free. What CASCADE took elsewhere
--             stays away then. A relation that was not dropped gets a copy as of the moment.
--   moment    as query_at(); just before the DROP of the newest relation of that name where it is null
--   dry_run   says what would come back (without looking at rows: foreign keys may turn out NOT VALID), and changes nothing
-- It is part of the caller's transaction. What cannot come back is a row that says why: a privilege of a role that is gone, a trigger
-- whose function is gone. Where the relation itself or its rows cannot, that is an error.
-- Indexes and materialized views are made with the rights of their owners; generated columns, domains and checks are computed
-- with those of the caller, as pg_restore does.
-- The caller must be a member of the role that owned it, and have CREATE on the schema. Errors: those of query_at(); 42P01 no such
-- relation then; 42P07 the name is taken, or the relation was not dropped; 3F000 the schema is gone; 42501.
CREATE FUNCTION strata.undrop("table" text, new_name text DEFAULT NULL, moment text DEFAULT NULL, dry_run boolean DEFAULT false)
RETURNS SETOF strata.restored LANGUAGE sql VOLATILE ROWS 20
BEGIN ATOMIC
    SELECT r.* FROM strata.undrop_relation(pg_catalog.parse_ident("table"), pg_catalog.current_schemas(false)::text[],
        CASE WHEN moment IS NULL THEN strata.undrop_moment(pg_catalog.parse_ident("table"), pg_catalog.current_schemas(false)::text[])
             ELSE strata.lsn_of(moment) END, new_name, dry_run) AS r;
END;
COMMENT ON FUNCTION strata.undrop(text, text, text, boolean) IS 'brings back a relation that was dropped, and all that went with it';
CREATE FUNCTION strata.undrop("table" text, moment pg_lsn, new_name text DEFAULT NULL, dry_run boolean DEFAULT false)
RETURNS SETOF strata.restored LANGUAGE sql VOLATILE ROWS 20
BEGIN ATOMIC
    SELECT r.* FROM strata.undrop("table", new_name, moment::text, dry_run) AS r;
END;
COMMENT ON FUNCTION strata.undrop(text, pg_lsn, text, boolean) IS 'brings back a relation as of an LSN, and all that went with it';
CREATE FUNCTION strata.undrop("table" text, moment timestamp with time zone, new_name text DEFAULT NULL, dry_run boolean DEFAULT false)
RETURNS SETOF strata.restored LANGUAGE sql VOLATILE ROWS 20
BEGIN ATOMIC
    SELECT r.* FROM strata.undrop("table", new_name, strata.lsn_at(moment)::text, dry_run) AS r;
END;
COMMENT ON FUNCTION strata.undrop(text, timestamp with time zone, text, boolean) IS 'brings back a relation as of a time, and all that went with it';

-- Brings back a schema that was dropped, with all that was in it and what CASCADE took elsewhere: types, sequences, tables with their rows,
-- routines, views and what belongs to them. Arguments, rows, rights and errors as of undrop(); 42P06 where a schema of that name exists.
-- What undrop_schema() does not know how to make (aggregates, operators, casts, text search objects, ...) is a row with the outcome skipped.
CREATE FUNCTION strata.undrop_schema(schema text, moment text DEFAULT NULL, dry_run boolean DEFAULT false) RETURNS SETOF strata.restored
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    dropped record;
    root record;
    at pg_lsn := strata.lsn_of(moment);
BEGIN
    IF at IS NULL THEN
        SELECT e.lsn - 1 INTO at FROM strata.ended_objects('pg_namespace', name => schema) e ORDER BY e.lsn DESC LIMIT 1;
        IF at IS NULL THEN
            RAISE invalid_schema_name USING MESSAGE = format('no schema "%s" has been dropped in this database since %s', schema,
                (SELECT horizon_time FROM strata.status())), HINT = 'strata.dropped() lists what was dropped.';
        END IF;
    END IF;
    FOR root IN SELECT * FROM strata.query_at(at, 'SELECT oid, nspowner, pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = $1', schema)
        AS f(id oid, owner oid, owner_name text) LOOP
    END LOOP;
    IF root IS NULL THEN
        RAISE invalid_schema_name USING MESSAGE = format('schema "%s" did not exist at LSN %s', schema, at);
    END IF;
    PERFORM strata.undrop_require_owner(root.owner, root.owner_name, format('schema %I', schema));
    IF to_regnamespace(quote_ident(schema)) IS NOT NULL OR EXISTS (SELECT FROM pg_namespace WHERE oid = root.id) THEN
        RAISE duplicate_schema USING MESSAGE = format('schema "%s" already exists', schema),
            HINT = 'Rename it first, or bring back single tables with strata.undrop().';
    END IF;
    RETURN QUERY SELECT * FROM strata.undrop_all('pg_namespace', root.id, '', at, NULL, dry_run);
END $$;
COMMENT ON FUNCTION strata.undrop_schema(text, text, boolean) IS 'brings back a schema that was dropped, and all that was in it';

-- Part of dropped(): the query that describes objects just before they went. $1, $2 their catalogs and OIDs.
CREATE FUNCTION strata.dropped_objects() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN $query$
SELECT o.catalog, o.oid, i.type, i.identity, pg_get_userbyid(w.owner)::text, w.bytes
FROM unnest($1, $2) AS o(catalog, oid)
     CROSS JOIN LATERAL pg_identify_object(o.catalog::regclass, o.oid, 0) AS i
     CROSS JOIN LATERAL (
        SELECT c.relowner, CASE WHEN c.relkind IN ('r', 'm') THEN pg_total_relation_size(c.oid)
                                WHEN c.relkind IN ('i', 'S') THEN pg_relation_size(c.oid) END
        FROM pg_class c WHERE o.catalog = 'pg_class' AND c.oid = o.oid AND c.relpersistence <> 't' AND c.relkind NOT IN ('t', 'c')
          AND c.relnamespace <> 'pg_toast'::regnamespace
        UNION ALL
        SELECT p.proowner, NULL FROM pg_proc p WHERE o.catalog = 'pg_proc' AND p.oid = o.oid
        UNION ALL -- Types that no table brings with it
        SELECT t.typowner, NULL FROM pg_type t
        WHERE o.catalog = 'pg_type' AND t.oid = o.oid AND t.typcategory <> 'A'
          AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
        UNION ALL
        SELECT n.nspowner, NULL FROM pg_namespace n
        WHERE o.catalog = 'pg_namespace' AND n.oid = o.oid AND n.nspname !~ '^pg_(toast_)?temp_'
        UNION ALL
        SELECT d.datdba, pg_database_size(d.oid) FROM pg_database d WHERE o.catalog = 'pg_database' AND d.oid = o.oid
     ) AS w(owner, bytes)
$query$;

-- What was dropped in a span of time: tables, partitions, indexes, views, materialized views, foreign tables, sequences, routines,
-- types and schemas of this database, and databases. Tables that were truncated or rewritten are none of them, nor are columns.
--   since, until     moments as of query_at(); until null: now
--   kind, identity   as pg_identify_object() names them
--   owner            then
--   dropped_at, lsn  when the DROP committed: undrop(..., moment => lsn - 1) goes to just before it
--   xid              the transaction, or its subtransaction
--   bytes            with indexes and TOAST, without free space maps; null where it had no pages
--   reachable_until  when retention may take it away, by strata.retention_time; null: no limit is set
-- Errors: as of query_at().
CREATE FUNCTION strata.dropped(since text, until text DEFAULT NULL,
    OUT oid oid, OUT kind text, OUT identity text, OUT owner text, OUT dropped_at timestamp with time zone, OUT lsn pg_lsn, OUT xid xid8,
    OUT bytes bigint, OUT reachable_until timestamp with time zone)
RETURNS SETOF record LANGUAGE plpgsql SET search_path = pg_catalog AS $$
#variable_conflict use_column
DECLARE
    first pg_lsn := strata.lsn_of(since);
    last pg_lsn := strata.lsn_of(coalesce(until, clock_timestamp()::text));
    kept interval := nullif(current_setting('strata.retention_time'), '0')::interval;
    drop_of_all record;
BEGIN
    FOR drop_of_all IN
        SELECT e.lsn, array_agg(c.catalog) AS catalogs, array_agg(e.oid) AS oids, array_agg(e.xid) AS xids
        FROM unnest(ARRAY['pg_class', 'pg_proc', 'pg_type', 'pg_namespace', 'pg_database']) AS c(catalog)
             CROSS JOIN LATERAL strata.ended_objects(c.catalog::regclass, first, last) e
        GROUP BY e.lsn ORDER BY e.lsn
    LOOP
        RETURN QUERY
            SELECT o.id, o.kind, o.identity, o.owner, strata.time_at(drop_of_all.lsn), drop_of_all.lsn,
                   drop_of_all.xids[array_position(drop_of_all.oids, o.id)], o.bytes, strata.time_at(drop_of_all.lsn) + kept
            FROM strata.query_at(drop_of_all.lsn - 1, strata.dropped_objects(), drop_of_all.catalogs, drop_of_all.oids)
                AS o(catalog text, id oid, kind text, identity text, owner text, bytes bigint);
    END LOOP;
END $$;
COMMENT ON FUNCTION strata.dropped(text, text) IS 'what was dropped between two moments';
CREATE FUNCTION strata.dropped(since timestamp with time zone, until timestamp with time zone DEFAULT NULL,
    OUT oid oid, OUT kind text, OUT identity text, OUT owner text, OUT dropped_at timestamp with time zone, OUT lsn pg_lsn, OUT xid xid8,
    OUT bytes bigint, OUT reachable_until timestamp with time zone)
RETURNS SETOF record LANGUAGE sql VOLATILE
BEGIN ATOMIC SELECT d.* FROM strata.dropped(since::text, until::text) AS d; END;
COMMENT ON FUNCTION strata.dropped(timestamp with time zone, timestamp with time zone) IS 'what was dropped between two times';
CREATE FUNCTION strata.dropped(since pg_lsn, until pg_lsn DEFAULT NULL,
    OUT oid oid, OUT kind text, OUT identity text, OUT owner text, OUT dropped_at timestamp with time zone, OUT lsn pg_lsn, OUT xid xid8,
    OUT bytes bigint, OUT reachable_until timestamp with time zone)
RETURNS SETOF record LANGUAGE sql VOLATILE
BEGIN ATOMIC SELECT d.* FROM strata.dropped(since::text, until::text) AS d; END;
COMMENT ON FUNCTION strata.dropped(pg_lsn, pg_lsn) IS 'what was dropped between two LSNs';

-- Part of restore_table() and restore_rows(): the query that finds the table of then: that with the same OID ($1), or else that with the same
-- qualified name ($2).
CREATE FUNCTION strata.restore_find() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN $query$
SELECT c.oid, n.nspname::text, c.relname::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = $1 OR format('%I.%I', n.nspname, c.relname) = $2
ORDER BY c.oid = $1 DESC LIMIT 1
$query$;

-- Part of restore_table() and restore_rows(): one MERGE that makes rows equal to those of the moment, by primary key. Triggers of users
-- do not fire unless `fire`; foreign keys are looked at when it ends.
CREATE FUNCTION strata.restore_merge(relation regclass, at pg_lsn, condition text, delete_new boolean, fire boolean) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog SET row_security = off SET extra_float_digits = 3 AS $$
DECLARE
    shared text[] := (SELECT array_agg(a.name) FROM strata.query_at(at,
        format('SELECT a.attname::text FROM (%s) AS t(id, schema, name) JOIN pg_attribute a ON a.attrelid = t.id WHERE a.attnum > 0 AND NOT a.attisdropped',
               strata.restore_find()), relation::oid, relation::text) AS a(name text));
    key text[] := (SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                   WHERE i.indrelid = relation AND i.indisprimary);
    columns text;
    theirs text;
    same text;
    changes text;
    differs text;
    silenced text[];
    again text[];
    command text;
    counts record;
BEGIN
    IF shared IS NULL THEN
        RAISE undefined_table USING MESSAGE = format('table %s did not exist at LSN %s', relation, at),
            HINT = 'strata.undrop() brings back a table that was dropped.';
    END IF;
    IF EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent WHERE i.inhparent = relation AND c.relkind <> 'p') THEN
        RAISE feature_not_supported USING MESSAGE = format('table %s has children that inherit from it: its rows and theirs cannot be told apart', relation),
            HINT = 'strata.restore_table() with mode => ''copy'' makes another table as it was.';
    END IF;
    IF key IS NULL OR NOT key <@ shared THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = format('table %s has no primary key by which its rows are known, or had not then', relation),
            HINT = 'strata.restore_table() with mode => ''copy'' makes another table as it was.';
    END IF;
    SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum),
           string_agg(format('o.%I', a.attname), ', ' ORDER BY a.attnum),
           string_agg(format('n.%1$I = o.%1$I', a.attname), ' AND ') FILTER (WHERE a.attname = ANY (key)),
           string_agg(format('%1$I = o.%1$I', a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE a.attname <> ALL (key) AND a.attidentity <> 'a'),
           string_agg(format('n.%1$I::text IS DISTINCT FROM o.%1$I::text', a.attname), ' OR ' ORDER BY a.attnum) FILTER (WHERE a.attname <> ALL (key) AND a.attidentity <> 'a')
    INTO columns, theirs, same, changes, differs
    FROM pg_attribute a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attname = ANY (shared);
    WITH RECURSIVE tree(oid) AS (SELECT relation::oid UNION SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid)
    SELECT array_agg(format('ALTER TABLE ONLY %s DISABLE TRIGGER %I', t.tgrelid::regclass, t.tgname)),
           array_agg(format('ALTER TABLE ONLY %s ENABLE %s TRIGGER %I', t.tgrelid::regclass,
                            CASE t.tgenabled WHEN 'R' THEN 'REPLICA' WHEN 'A' THEN 'ALWAYS' ELSE '' END, t.tgname))
    INTO silenced, again
    FROM pg_trigger t JOIN tree ON tree.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND NOT fire;
    FOREACH command IN ARRAY coalesce(silenced, '{}') LOOP
        EXECUTE command;
    END LOOP;
    EXECUTE format('WITH done AS (MERGE INTO %s AS n USING (SELECT * FROM strata.table_at(NULL::%s, %L::pg_lsn) AS t WHERE %s) AS o ON %s%s'
                   || ' WHEN NOT MATCHED THEN INSERT (%s) OVERRIDING SYSTEM VALUE VALUES (%s)%s RETURNING merge_action() AS action)'
                   || ' SELECT count(*) FILTER (WHERE action = ''INSERT'') AS inserted, count(*) FILTER (WHERE action = ''UPDATE'') AS updated,'
                   || ' count(*) FILTER (WHERE action = ''DELETE'') AS deleted FROM done',
                   relation, relation, at, coalesce('(' || condition || ')', 'true'), same,
                   coalesce(format(' WHEN MATCHED AND (%s) THEN UPDATE SET %s', differs, changes), ''),
                   columns, theirs,
                   CASE WHEN delete_new THEN ' WHEN NOT MATCHED BY SOURCE THEN DELETE' ELSE '' END)
    INTO counts;
    FOREACH command IN ARRAY coalesce(again, '{}') LOOP
        EXECUTE command;
    END LOOP;
    RETURN format('%s inserted, %s updated, %s deleted', counts.inserted, counts.updated, counts.deleted);
END $$;

-- Part of restore_table(): gives the present table another name, makes the one of then, and moves what depended on the present one.
CREATE FUNCTION strata.restore_replace(relation regclass, at pg_lsn, keep_as text) RETURNS SETOF strata.restored
LANGUAGE plpgsql SET search_path = pg_catalog SET check_function_bodies = off SET client_min_messages = warning AS $$
DECLARE
    mark text := 'm' || replace(gen_random_uuid()::text, '-', 'm');
    root oid := relation;
    now_named record;
    then_named record;
    kept text;
    commands strata.undrop_command[];
    moved strata.undrop_command[] := '{}';
    names jsonb := '{}';
    one strata.undrop_command;
    command text;
BEGIN
    SELECT n.nspname::text AS schema, c.relname::text AS name INTO now_named FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = root;
    kept := coalesce(keep_as, left(now_named.name, 50) || '_replaced');
    FOR then_named IN SELECT * FROM strata.query_at(at,
        strata.restore_find(), root, relation::text) AS t(id oid, schema text, name text) LOOP
    END LOOP;
    IF then_named IS NULL THEN
        RAISE undefined_table USING MESSAGE = format('table %s did not exist at LSN %s', relation, at),
            HINT = 'strata.undrop() brings back a table that was dropped.';
    END IF;
    EXECUTE format('SELECT array_agg(c::strata.undrop_command ORDER BY phase, place, objid) FROM (%s) AS c(phase, place, classid, objid, kind,
        identity, own, quiet, command, after, as_role, tablespace)', strata.undrop_commands())
        INTO commands USING root, at::text, mark, 'pg_class';

    EXECUTE format('ALTER TABLE %I.%I RENAME TO %I', now_named.schema, now_named.name, kept);
    FOREACH one IN ARRAY commands LOOP
        IF one.phase = 0 AND one.own AND one.kind = 'statistics' THEN
            EXECUTE format('ALTER STATISTICS %I.%I RENAME TO %I', one.after, one.command,
                           strata.undrop_free_name(one.after, one.command, now_named.name, kept, true));
        ELSIF one.phase = 0 AND one.own THEN
            names := names || jsonb_build_object(one.objid::text, format('%I.%I', one.after, one.command), 'n' || one.objid, quote_ident(one.command));
            IF one.objid <> root THEN
                EXECUTE format('ALTER TABLE %I.%I RENAME TO %I', one.after, one.command,
                               strata.undrop_free_name(one.after, one.command, now_named.name, kept));
            END IF;
        ELSIF one.phase > 0 AND NOT one.own THEN
            IF NOT one.quiet AND (one.command IS NULL OR one.kind NOT IN ('constraint', 'view', 'materialized view', 'routine', 'index', 'rule', 'trigger', 'policy')) THEN
                RAISE feature_not_supported USING MESSAGE = format('%s %s depends on table %s and cannot be moved', one.kind, strata.undrop_shown(one.identity, mark),
                    format('%I.%I', now_named.schema, now_named.name)),
                    HINT = 'strata.restore_table() with mode => ''copy'' makes another table as it was.';
            END IF;
            moved := moved || one;
        END IF;
    END LOOP;

    RETURN NEXT ROW('table', format('%I.%I', now_named.schema, kept), 'exists already', 'the table of now under its new name')::strata.restored;
    RETURN QUERY SELECT * FROM strata.undrop_relation(ARRAY[then_named.schema, then_named.name], '{}', at, now_named.name, false);

    FOREACH one IN ARRAY moved LOOP
        CONTINUE WHEN one.quiet OR pg_describe_object(one.classid, one.objid, 0) IS NULL;
        command := CASE one.kind
            WHEN 'constraint' THEN (SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint WHERE oid = one.objid)
            WHEN 'routine' THEN format('DROP ROUTINE %s CASCADE', one.objid::regprocedure)
            WHEN 'rule' THEN (SELECT format('DROP RULE %I ON %s', rulename, ev_class::regclass) FROM pg_rewrite WHERE oid = one.objid)
            WHEN 'trigger' THEN (SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger WHERE oid = one.objid)
            WHEN 'policy' THEN (SELECT format('DROP POLICY %I ON %s', polname, polrelid::regclass) FROM pg_policy WHERE oid = one.objid)
            ELSE format('DROP %s %s CASCADE', one.kind, one.objid::regclass) END;
        EXECUTE command;
    END LOOP;
    RETURN QUERY
        SELECT o.kind, strata.undrop_named(o.identity, mark, names), o.outcome, concat_ws('; ', 'moved', o.reason)
        FROM unnest(strata.undrop_run(moved, mark, names, false)) AS o WHERE o.outcome IS NOT NULL;
END $$;

-- Makes a table as it was at a moment.
--   "table"     a table that exists; one that was dropped is brought back by undrop()
--   moment      as query_at()
--   mode        copy: makes another table, as undrop() does
--               replace: makes it under the table's own name, and gives the present one the name `keep_as`. Views, foreign keys of other
--               tables and functions over its row type go over to it, as they are now; where one cannot, that is an error
--               merge: makes the rows equal by primary key: lost ones come back, changed ones change back. Columns that did not
--               exist then keep their values, and have their defaults in rows that come back
--   keep_as     replace: the name of the present table; "table" with _replaced where it is null
--   new_name    copy: the name of the copy; "table" with _restored where it is null
--   delete_new  merge: rows that came since are deleted, too
--   triggers    merge: triggers of users fire. Without it they are off while it runs
--   dry_run     says what would be done, and does nothing. A dry run of merge and replace does all and takes it back; one of copy leaves rows out
-- One row for each object; the table's reason says how many rows it got, or how many were inserted, updated and deleted.
-- Errors: those of undrop() and query_at(); 22023 for another mode; 55000 where merge finds no primary key; 0A000 where it finds children that inherit
-- from the table; 23503 where rows that come back refer to others that are gone.
CREATE FUNCTION strata.restore_table("table" regclass, moment text, mode text DEFAULT 'merge', keep_as text DEFAULT NULL, new_name text DEFAULT NULL,
    delete_new boolean DEFAULT false, triggers boolean DEFAULT false, dry_run boolean DEFAULT false) RETURNS SETOF strata.restored
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    at pg_lsn := strata.lsn_of(moment);
    now_named record;
    then_named record;
    done strata.restored[];
    failed strata.restored;
    counts text;
BEGIN
    SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind INTO now_named
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = "table";
    IF mode = 'merge' THEN
        BEGIN
            counts := strata.restore_merge("table", at, NULL, delete_new, triggers);
            IF dry_run THEN RAISE SQLSTATE 'ST001'; END IF;
        EXCEPTION WHEN SQLSTATE 'ST001' THEN
            NULL;
        END;
        RETURN NEXT ROW('table', format('%I.%I', now_named.schema, now_named.name), 'restored', counts)::strata.restored;
    ELSIF mode = 'copy' THEN
        FOR then_named IN SELECT * FROM strata.query_at(at,
            strata.restore_find(), "table"::oid, "table"::text) AS t(id oid, schema text, name text) LOOP
        END LOOP;
        IF then_named IS NULL THEN
            RAISE undefined_table USING MESSAGE = format('table %s did not exist at LSN %s', "table", at);
        END IF;
        RETURN QUERY SELECT * FROM strata.undrop_relation(ARRAY[then_named.schema, then_named.name], '{}', at,
            coalesce(new_name, left(now_named.name, 50) || '_restored'), dry_run);
    ELSIF mode = 'replace' THEN
        BEGIN
            SELECT array_agg(r) INTO done FROM strata.restore_replace("table", at, keep_as) AS r;
            SELECT * INTO failed FROM unnest(done) AS f WHERE f.outcome = 'skipped' AND f.reason LIKE 'moved%' LIMIT 1;
            IF failed IS NOT NULL THEN
                RAISE dependent_objects_still_exist USING MESSAGE = format('%s %s cannot be moved to the table as it was', failed.kind, failed.identity),
                    DETAIL = failed.reason;
            END IF;
            IF dry_run THEN RAISE SQLSTATE 'ST001'; END IF;
        EXCEPTION WHEN SQLSTATE 'ST001' THEN
            NULL;
        END;
        RETURN QUERY SELECT * FROM unnest(done);
    ELSE
        RAISE invalid_parameter_value USING MESSAGE = format('mode "%s" is not known', mode), HINT = 'It is copy, replace or merge.';
    END IF;
END $$;
COMMENT ON FUNCTION strata.restore_table(regclass, text, text, text, text, boolean, boolean, boolean)
    IS 'makes a table as it was at a moment: its rows by primary key (merge), in its place (replace), or beside it (copy)';

-- Gives rows of a table back as they were at a moment: those that fulfilled a condition then. Lost ones are inserted, changed ones
-- are updated, by primary key; nothing is deleted. The condition is SQL over the table's columns of now. The row that it returns
-- says how many. Triggers of users do not fire unless `triggers`. Errors: as restore_table() with merge.
CREATE FUNCTION strata.restore_rows("table" regclass, moment text, condition text, triggers boolean DEFAULT false, dry_run boolean DEFAULT false)
RETURNS SETOF strata.restored LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    counts text;
BEGIN
    BEGIN
        counts := strata.restore_merge("table", strata.lsn_of(moment), condition, false, triggers);
        IF dry_run THEN RAISE SQLSTATE 'ST001'; END IF;
    EXCEPTION WHEN SQLSTATE 'ST001' THEN
        NULL;
    END;
    RETURN NEXT ROW('table', "table"::text, 'restored', counts)::strata.restored;
END $$;
COMMENT ON FUNCTION strata.restore_rows(regclass, text, text, boolean, boolean) IS 'gives rows of a table back as they were at a moment';

-- The versions of a table's rows (NULL::mytable names it) that began or ended from one moment to another, each as one transaction
-- left it, by the commits that did it. A row that did not change in between is not among them; the cost goes with the
-- pages that changed.
--   operation   I (the transaction inserted the row), U (it updated it) or D (it deleted it: the row as it was); null for a
--               version that is older than from_moment
--   start_lsn,
--   start_time  the end of the commit, and its time; null for a version that is older than from_moment
--   end_lsn,
--   end_time    the commit that updated or deleted it; null where it stands at to_moment, and for D
--   xid         the top-level transaction of start_lsn
--   ctid        where it stood; VACUUM FULL, CLUSTER and the like move it
--   row         with the columns of the session's moment, matched by name as table_at() does
-- A moment is a timestamp with time zone, a pg_lsn, or text as for query_at(); to_moment null: where the session is. `condition` is
-- an expression over the columns of the row. A partitioned table means all of its partitions at either moment, and the rights to it
-- count. all_versions: those, too, that a transaction itself replaced or deleted. unchanged: those, too,
-- that stood throughout, at the cost of reading the whole table. Row locks
-- and what VACUUM does are no versions. TRUNCATE and DROP TABLE delete each row. The right to SELECT the table is asked where the
-- window ends, or the table did; row-level security that binds the role is an error.
-- Errors: those of query_at(); 22023 where from_moment lies after to_moment; 42809 for what is no table; 0A000 where the database
-- moved to another tablespace in between.
CREATE FUNCTION strata.versions(
    rowtype anyelement,
    from_moment "any",
    to_moment "any" DEFAULT NULL,
    condition text DEFAULT NULL,
    all_versions boolean DEFAULT false,
    unchanged boolean DEFAULT false,
    OUT operation text,
    OUT start_lsn pg_lsn,
    OUT start_time timestamp with time zone,
    OUT end_lsn pg_lsn,
    OUT end_time timestamp with time zone,
    OUT xid xid8,
    OUT ctid tid,
    OUT "row" anyelement)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_versions';
COMMENT ON FUNCTION strata.versions(anyelement, "any", "any", text, boolean, boolean) IS 'the versions of a table''s rows from one moment to another';

-- The same with each row as JSON, with the columns of its own time: for tables that are gone, or have other columns. The name is
-- looked up at to_moment, or else at from_moment; 42P01 where there was none at either. `condition` is over the columns of then.
CREATE FUNCTION strata.versions_json(
    "table" text,
    from_moment "any",
    to_moment "any" DEFAULT NULL,
    condition text DEFAULT NULL,
    all_versions boolean DEFAULT false,
    unchanged boolean DEFAULT false,
    OUT operation text,
    OUT start_lsn pg_lsn,
    OUT start_time timestamp with time zone,
    OUT end_lsn pg_lsn,
    OUT end_time timestamp with time zone,
    OUT xid xid8,
    OUT ctid tid,
    OUT "row" jsonb)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_versions_json';
COMMENT ON FUNCTION strata.versions_json(text, "any", "any", text, boolean, boolean) IS 'the versions of a table''s rows, as JSON';

-- For each row of a table that stands where the session is: the commit that wrote it, its time and its transaction; null where
-- that is older than history. Reads the whole table. Arguments and errors as of versions().
CREATE FUNCTION strata.blame(
    rowtype anyelement,
    condition text DEFAULT NULL,
    OUT lsn pg_lsn,
    OUT "time" timestamp with time zone,
    OUT xid xid8,
    OUT "row" anyelement)
RETURNS SETOF record
LANGUAGE sql VOLATILE PARALLEL UNSAFE ROWS 1000
AS $$
    SELECT v.start_lsn, v.start_time, v.xid, v.row
    FROM strata.versions(rowtype, (SELECT h.lsn FROM strata.horizon() AS h), NULL, condition, unchanged => true) AS v
    WHERE v.end_lsn IS NULL AND (v.operation IS NULL OR v.operation OPERATOR(pg_catalog.<>) 'D')
$$;
COMMENT ON FUNCTION strata.blame(anyelement, text) IS 'when, and by which transaction, each row of a table was written';

-- How the rows of a table differ between two moments.
--   operation  I (there at to_moment only), D (there at from_moment only), U (there at both, with other values)
--   old, new   the row at either moment, with the columns of the session's moment
--   changed    U: the columns that differ, in order of their names
-- Rows are the same by the primary key of the session's moment, or else by the replica identity; without either a row that differs
-- is a deletion and an insertion. The cost goes with the pages that changed in between. Arguments and errors as of versions().
CREATE FUNCTION strata.diff(
    rowtype anyelement,
    from_moment "any",
    to_moment "any" DEFAULT NULL,
    OUT operation text,
    OUT old anyelement,
    OUT new anyelement,
    OUT changed text[])
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'strata_diff';
COMMENT ON FUNCTION strata.diff(anyelement, "any", "any") IS 'how the rows of a table differ between two moments';

-- The transactions that ended from one moment to another, in order of their ends. Those that wrote nothing are not among them, nor
-- those that a crash ended.
--   lsn        the end of the commit or abort record: strata.travel_lsn = lsn shows what it left, lsn - 1 what was before it
--   time       when it ended
--   xid        the top-level transaction
--   committed  false: it aborted
-- Errors: those of query_at() for its moments.
CREATE FUNCTION strata.transactions(
    from_moment "any",
    to_moment "any" DEFAULT NULL,
    OUT lsn pg_lsn,
    OUT "time" timestamp with time zone,
    OUT xid xid8,
    OUT committed boolean)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1000 AS 'MODULE_PATHNAME', 'strata_transactions';
COMMENT ON FUNCTION strata.transactions("any", "any") IS 'the transactions that ended from one moment to another';

-- When the rows of a query changed between two moments: the commit before which they were what they are at from_moment, and at
-- which they were not. Found by bisection, in one traveller: where they changed more than once, it is one of the changes. No row
-- where they are the same at both moments.
--   lsn_before, lsn  just before the commit, and its end
--   time, xid        when it committed, and the top-level transaction; xid is null where what changed belongs to no transaction
--   before, after    the rows as JSON: null where there are none
-- Errors: those of query_at().
CREATE FUNCTION strata.find_when(
    query text,
    from_moment "any",
    to_moment "any" DEFAULT NULL,
    OUT lsn_before pg_lsn,
    OUT lsn pg_lsn,
    OUT "time" timestamp with time zone,
    OUT xid xid8,
    OUT before jsonb,
    OUT after jsonb)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'strata_find_when';
COMMENT ON FUNCTION strata.find_when(text, "any", "any") IS 'the commit at which the rows of a query changed';

-- Gives history up and begins a new one: from then on no moment before the new baseline can be travelled to, for ever. Sessions that
-- stand in the old history get errors. Returns once the order is given; strata.status() shows the baseline's progress. For a history
-- that has stopped for good, or that holds what must not be kept. Errors: 42501 for who is no superuser; 55000 in a session that
-- travels, and where strata is off.
CREATE FUNCTION strata.begin_anew() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'strata_begin_anew';
REVOKE ALL ON FUNCTION strata.begin_anew() FROM PUBLIC;
COMMENT ON FUNCTION strata.begin_anew() IS 'gives history up and begins a new one';
