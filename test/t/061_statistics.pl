# pg_stat_strata counts how history is read, by kind.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('statistics', 'strata.memtable_size' => "'4MB'", shared_buffers => '4MB');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE ROLE reader LOGIN;
GRANT USAGE ON SCHEMA strata TO reader;
CREATE TABLE pages (id int, t text);
INSERT INTO pages SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i;
UPDATE pages SET t = repeat('y', 100) WHERE id % 2 = 0;
SELECT strata.wait_for(pg_current_wal_flush_lsn());
SQL
my $then = lsn_in($node);

sub stat_of
{
	my ($kind, $column) = @_;
	return $node->safe_psql('postgres', "SELECT $column FROM strata.pg_stat_strata WHERE kind = '$kind'");
}

$node->safe_psql('postgres', 'SELECT strata.stat_reset()');
is($node->safe_psql('postgres', 'SELECT sum(requests + pages_rebuilt + redo_calls + layer_lookups + blocks_read + bytes_read) + sum(total_time) FROM strata.pg_stat_strata'),
	0, 'after a reset everything is zero');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pages'), 20000, 'reading the present');
is($node->safe_psql('postgres', 'SELECT sum(requests) FROM strata.pg_stat_strata'), 0, 'counts nothing');

is(at_lsn($node, $then, 'SELECT count(*) FROM pages'), 20000, 'reading the past');
my $blocks = $node->safe_psql('postgres', "SELECT pg_relation_size('pages') / 8192");
my ($pages, $calls, $lookups, $read, $bytes, $time) = split /\|/,
  stat_of('page', 'pages_rebuilt, redo_calls, layer_lookups, blocks_read, bytes_read, total_time');
cmp_ok($pages, '>=', $blocks, 'counts each page');
cmp_ok($calls, '>=', 20000, 'and each call of a redo routine');
cmp_ok($lookups, '>', 0, 'lookups in layers');
cmp_ok($read, '>', 0, 'blocks of them');
cmp_ok($bytes, '>', 10 * $read, 'with their bytes');
cmp_ok($time, '>', 0, 'and time');
is($node->safe_psql('postgres', q{SELECT string_agg(kind, ',' ORDER BY kind) FROM strata.pg_stat_strata WHERE requests > 0 AND kind IN ('commit log', 'relation map', 'relation size', 'next xid', 'checkpoint')}),
	'checkpoint,commit log,next xid,relation map,relation size', 'everything else that a session asks for is counted under its kind');
is(stat_of('commit log', 'pages_rebuilt > 0 AND redo_calls = 0'), 't', 'pages of the commit log take no redo routine');
cmp_ok(at_lsn($node, $then, q{SELECT pages_rebuilt FROM strata.pg_stat_strata WHERE kind = 'page'}), '>=', $pages,
	'a travelling session sees the statistics of the server');

# Parallel workers.
$node->safe_psql('postgres', 'UPDATE pages SET id = id WHERE id = 7; SELECT strata.stat_reset()');
at_lsn($node, lsn_in($node),
	'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET debug_parallel_query = on; SELECT count(*) FROM pages');
ok($node->poll_query_until('postgres', "SELECT pages_rebuilt >= $blocks FROM strata.pg_stat_strata WHERE kind = 'page'"), 'what parallel workers read counts');

# Over a restart, a crash, and a start without strata.
my $before = stat_of('page', 'pages_rebuilt');
my $since = stat_of('page', 'stats_reset');
my $scans = $node->safe_psql('postgres', q{SELECT pg_stat_force_next_flush(); SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'pages'});
$scans =~ s/\n//;
$node->restart;
wait_for_history($node);
cmp_ok(stat_of('page', 'pages_rebuilt'), '>=', $before, 'they survive a clean restart');
is(stat_of('page', 'stats_reset'), $since, 'and so does the time of the reset');
$node->stop;
$node->adjust_conf('postgresql.conf', 'strata_enabled', 'off');
$node->start;
cmp_ok($node->safe_psql('postgres', q{SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'pages'}), '>=', $scans,
	"a start with strata off keeps PostgreSQL's own statistics");
$node->restart;
$node->adjust_conf('postgresql.conf', 'strata_enabled', 'on');
$node->restart;
wait_for_history($node);
cmp_ok(stat_of('page', 'pages_rebuilt'), '>=', $before, 'and those of history wait for their time');
$node->stop('immediate');
$node->start;
wait_for_history($node);
isnt(stat_of('page', 'stats_reset'), $since, 'after a crash they begin anew');

# Rights.
my ($out, $error) = try_sql($node, 'SELECT count(*) > 5 FROM strata.pg_stat_strata; SELECT strata.stat_reset()', user => 'reader');
is($out, 't', 'everybody with USAGE of the schema sees them');
like($error, qr/42501.*permission denied for function stat_reset/, 'but does not reset them');
like(at_lsn($node, lsn_in($node), 'SELECT strata.stat_reset()'), qr/25006.*cannot execute strata.stat_reset\(\) while travelling/,
	'and nobody does while travelling');

log_is_clean($node);
$node->stop;
done_testing();
