# PostgreSQL's extensions that read pages, files or other servers, in the past; and amcheck and pg_visibility, which find
# nothing wrong in any relation at any moment.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('contrib', shared_preload_libraries => "'pg_stat_statements'", wal_level => 'logical');
my @extensions = qw(amcheck pageinspect pg_visibility pgstattuple pg_prewarm pg_freespacemap pgrowlocks pg_buffercache pg_walinspect
  pg_logicalinspect dblink postgres_fdw file_fdw pg_stat_statements tablefunc pg_surgery tsm_system_rows tsm_system_time bloom);
$node->safe_psql('postgres', join('', map { "CREATE EXTENSION $_;" } @extensions));
my $connection = sprintf "host=%s port=%s dbname=postgres", $node->host, $node->port;
my $file = PostgreSQL::Test::Utils::tempdir . '/rows';
append_to_file($file, "a row of the file\n");
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE t (a int PRIMARY KEY, b text, c int[], d tsvector, p point);
INSERT INTO t SELECT i, repeat('x', i % 300), ARRAY[i % 7, i], to_tsvector('word' || i % 50), point(i, i) FROM generate_series(1, 3000) i;
CREATE INDEX t_hash ON t USING hash (a);
CREATE INDEX t_gin ON t USING gin (c);
CREATE INDEX t_gist ON t USING gist (p);
CREATE INDEX t_spgist ON t USING spgist (p);
CREATE INDEX t_brin ON t USING brin (a);
CREATE INDEX t_bloom ON t USING bloom (a);
CREATE TABLE parent (a int, p int);
INSERT INTO parent SELECT i, i / 2 FROM generate_series(1, 15) i;
DELETE FROM t WHERE a % 10 = 0;
VACUUM t;
DELETE FROM t WHERE a % 10 = 1;
BEGIN; SELECT a FROM t WHERE a = 2 FOR UPDATE; PREPARE TRANSACTION 'locker';
CREATE SERVER remote FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '${\ $node->host}', port '${\ $node->port}', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER remote;
CREATE FOREIGN TABLE remote_t (a int) SERVER remote OPTIONS (table_name 't');
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE rows (line text) SERVER files OPTIONS (filename '$file');
CREATE TABLE partitioned (a int) PARTITION BY RANGE (a);
CREATE TABLE near PARTITION OF partitioned FOR VALUES FROM (0) TO (10);
INSERT INTO near VALUES (1);
CREATE FOREIGN TABLE far PARTITION OF partitioned FOR VALUES FROM (10) TO (20) SERVER remote OPTIONS (table_name 't');
SQL

# Whoever reads a page may prune it, which no commit is needed for; it belongs to a time once a later commit lies before that.
my $wal_begin = lsn_in($node);
$node->safe_psql('postgres', "SELECT bt_index_check('t_pkey', true, true), count(*) FROM t");
commit_in($node);

# Whatever needs no change of the database is remembered as the present answers it.
my $past = remember(
	$node, 'postgres',
	'amcheck: bt_index_check' => "SELECT bt_index_check('t_pkey', true, true)",
	'amcheck: gin_index_check' => "SELECT gin_index_check('t_gin')",
	'amcheck: verify_heapam' => "SELECT * FROM verify_heapam('t')",
	'pageinspect: heap_page_items' => "SELECT lp, lp_flags, t_xmin, t_xmax, t_ctid FROM heap_page_items(get_raw_page('t', 3))",
	'pageinspect: page_header' => "SELECT lsn, lower, upper FROM page_header(get_raw_page('t', 3))",
	'pageinspect: bt_metap' => "SELECT * FROM bt_metap('t_pkey')",
	'pageinspect: bt_page_items' => "SELECT itemoffset, ctid, itemlen, data FROM bt_page_items('t_pkey', 1)",
	'pageinspect: brin_page_items' => "SELECT * FROM brin_page_items(get_raw_page('t_brin', 2), 't_brin')",
	'pageinspect: gin_metapage_info' => "SELECT * FROM gin_metapage_info(get_raw_page('t_gin', 0))",
	'pageinspect: hash_metapage_info' => "SELECT ntuples, maxbucket FROM hash_metapage_info(get_raw_page('t_hash', 0))",
	'pageinspect: get_raw_page of the visibility map' => "SELECT md5(substr(get_raw_page('t', 'vm', 0), 25))",
	'pg_visibility: pg_visibility' => "SELECT * FROM pg_visibility('t')",
	'pg_visibility: pg_visibility_map' => "SELECT * FROM pg_visibility_map('t')",
	'pg_visibility: pg_visibility_map_summary' => "SELECT * FROM pg_visibility_map_summary('t')",
	'pg_visibility: pg_check_visible' => "SELECT pg_check_visible('t')",
	'pg_visibility: pg_check_frozen' => "SELECT pg_check_frozen('t')",
	'pgstattuple: pgstattuple' => "SELECT * FROM pgstattuple('t')",
	'pgstattuple: pgstatindex' => "SELECT * FROM pgstatindex('t_pkey')",
	'pgstattuple: pgstatginindex' => "SELECT * FROM pgstatginindex('t_gin')",
	'pgstattuple: pgstathashindex' => "SELECT * FROM pgstathashindex('t_hash')",
	'pgstattuple: pg_relpages' => "SELECT pg_relpages('t')",
	'pgrowlocks: pgrowlocks' => "SELECT locked_row, locker, modes, pids FROM pgrowlocks('t')",
	'pg_prewarm: pg_prewarm' => "SELECT pg_prewarm('t', 'prefetch'), pg_prewarm('t', 'read'), pg_prewarm('t', 'buffer'), pg_prewarm('t', 'buffer', 'vm')",
	'tablefunc: connectby' => "SELECT count(*) FROM connectby('parent', 'a', 'p', '1', 0) AS x(a int, p int, level int)",
	'tsm_system_rows' => 'SELECT count(*) FROM t TABLESAMPLE system_rows(100)',
	'bloom' => 'SET enable_seqscan = off; SELECT count(*) FROM t WHERE a = 77',
	'EXPLAIN of a foreign table' => 'EXPLAIN (COSTS OFF) SELECT * FROM remote_t',
	'a foreign partition that is not read' => 'SELECT a FROM partitioned WHERE a < 10');
my $then = $past->{time};

$node->safe_psql('postgres', <<'SQL');
COMMIT PREPARED 'locker';
UPDATE t SET b = 'changed', c = ARRAY[9], p = point(0, 0);
DELETE FROM t WHERE a % 2 = 0;
INSERT INTO parent SELECT i, i / 2 FROM generate_series(16, 31) i;
SQL
$node->safe_psql('postgres', 'ALTER DATABASE template0 ALLOW_CONNECTIONS true');
$node->command_ok([ 'vacuumdb', '--all', '--freeze', '--quiet' ], 'the present freezes all it has');
$node->safe_psql('postgres', 'CHECKPOINT');
still_holds($past, '(of the past)');

sub refused
{
	my ($query, $name) = @_;
	my $error = at_error($node, $then, $query);
	ok( $error =~ /ERROR:  (55000|25006): .*travelling in time/ && $error =~ /as of \Q$then\E/ && $error =~ /RESET strata\.travel_time/,
		"refused: $name") or diag($error);
	return;
}
refused("SELECT bt_index_parent_check('t_pkey')", 'amcheck: bt_index_parent_check');
refused("SELECT pg_truncate_visibility_map('t')", 'pg_visibility: pg_truncate_visibility_map');
refused("SELECT pgstattuple_approx('t')", 'pgstattuple: pgstattuple_approx');
refused("SELECT pg_freespace('t')", 'pg_freespacemap: pg_freespace');
refused("SELECT heap_force_kill('t', ARRAY['(0,1)']::tid[])", 'pg_surgery: heap_force_kill');
refused("SELECT heap_force_freeze('t', ARRAY['(0,1)']::tid[])", 'pg_surgery: heap_force_freeze');
refused('SELECT * FROM remote_t', 'a foreign table');
refused('SELECT count(*) FROM remote_t', 'a foreign table whose server aggregates');
refused('SELECT count(*) FROM remote_t x JOIN remote_t y USING (a)', 'foreign tables that are joined by their server');
refused('SELECT * FROM rows', 'a file');
refused('SELECT * FROM partitioned', 'a foreign partition');
refused('EXPLAIN ANALYZE SELECT * FROM remote_t', 'EXPLAIN ANALYZE of a foreign table');
like(at_error($node, $then, "SELECT get_raw_page('t', 'fsm', 0)"), qr/58P01: .*has no fork "fsm" at LSN/, 'there is no page of the free space map');

# Of the server.
is(at($node, $then, "SELECT n FROM dblink('$connection', 'SELECT count(*) FROM parent') AS x(n int)"), 31, 'dblink is another session, in the present');
is(at($node, $then, "SELECT count(*) > 0 FROM pg_stat_statements"), 't', 'pg_stat_statements is of the server');
is(at($node, $then, "SELECT count(*) > 0, bool_or(reltablespace >= 3758096384) FROM pg_buffercache"), 't|t',
	'pg_buffercache shows the buffers of now, those of the past among them');
is(at($node, $then, 'SELECT buffers_used > 0 FROM pg_buffercache_summary()'), 't', 'pg_buffercache_summary is of the server');
is(at_error($node, $then, "SELECT pg_buffercache_evict_relation('t')"), '', 'pg_buffercache_evict_relation is of the server');
is(at_error($node, $then, 'SELECT autoprewarm_dump_now()'), '', 'autoprewarm_dump_now is of the server');
is(at_error($node, $then, "SELECT name, pg_get_logical_snapshot_meta(name) FROM pg_ls_logicalsnapdir()"), '', 'pg_logicalinspect is of the server');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), 1200, 'the present is what it was');

# WAL ends at the moment.
is(at($node, $then, "SELECT count(*) > 0, max(end_lsn) = pg_last_wal_replay_lsn() FROM pg_get_wal_records_info('$wal_begin', pg_last_wal_replay_lsn())"),
	't|t', 'pg_walinspect sees WAL up to the moment');
like(at_error($node, $then, "SELECT pg_get_wal_stats('" . lsn_in($node) . "', 'FFFFFFFF/FFFFFFFF')"), qr/22023: .*WAL start LSN must be less than current LSN/,
	'and none after it');

# Nothing is wrong anywhere, at several moments of a workload that makes what amcheck looks at: page splits, HOT chains,
# multixacts, aborted and prepared transactions, freezing, truncation.
$node->safe_psql('postgres', 'CREATE TABLE w (a int PRIMARY KEY, b text, c int); CREATE INDEX ON w (b); CREATE INDEX ON w (c)');
my @moments = ($then);
for my $round (1 .. 5)
{
	$node->safe_psql('postgres', <<"SQL");
INSERT INTO w SELECT i, md5(i::text), i % 100 FROM generate_series($round * 10000, $round * 10000 + 4000) i;
UPDATE w SET b = md5(b) WHERE c = $round;
UPDATE w SET c = c + 1 WHERE a % 5 = $round % 5;
BEGIN; DELETE FROM w WHERE a % 3 = 0; ROLLBACK;
BEGIN; DELETE FROM w WHERE a % 11 = $round; SAVEPOINT s; UPDATE w SET b = 'gone' WHERE a % 13 = 2; ROLLBACK TO s; COMMIT;
BEGIN; SELECT count(*) FROM (SELECT a FROM w WHERE a % 50 = $round FOR KEY SHARE) x; PREPARE TRANSACTION 'p$round';
BEGIN; SELECT count(*) FROM (SELECT a FROM w WHERE a % 50 = $round FOR NO KEY UPDATE) x; UPDATE w SET c = 0 WHERE a % 50 = $round; COMMIT;
SQL
	push @moments, now_in($node);
	$node->safe_psql('postgres', "COMMIT PREPARED 'p$round'");
	$node->safe_psql('postgres', $round % 2 ? 'VACUUM w' : 'VACUUM FREEZE w');
	$node->safe_psql('postgres', 'DELETE FROM w WHERE a > 30000; VACUUM w') if $round == 4;
	commit_in($node);
	push @moments, now_in($node);
}
$node->command_ok([ 'vacuumdb', '--all', '--freeze', '--quiet' ], 'the present freezes again');
$node->safe_psql('postgres', 'CHECKPOINT');
my $everything = q{
SELECT count(*) > 100, string_agg(bt_index_check(c.oid, amname = 'btree')::text, '') FROM pg_class c JOIN pg_index i ON indexrelid = c.oid
  JOIN pg_am am ON am.oid = relam WHERE amname = 'btree' AND indisvalid;
SELECT string_agg(format('%s: %s', c.oid::regclass, v), ';') FROM pg_class c, verify_heapam(c.oid, check_toast => true) v WHERE relkind IN ('r', 't', 'm');
SELECT string_agg(format('%s: %s', c.oid::regclass, v), ';') FROM pg_class c, pg_check_visible(c.oid) v WHERE relkind IN ('r', 't', 'm');
SELECT string_agg(format('%s: %s', c.oid::regclass, v), ';') FROM pg_class c, pg_check_frozen(c.oid) v WHERE relkind IN ('r', 't', 'm');
};
for my $i (0 .. $#moments)
{
	is(at($node, $moments[$i], $everything), "t|\n\n\n", "amcheck and pg_visibility find nothing wrong in any relation at moment $i");
}
is($node->safe_psql('postgres', $everything), "t|\n\n\n", 'nor in the present');

log_is_clean($node);
$node->stop;
done_testing();
