# The visibility map of the past: bits go with the end of a table that VACUUM truncates, and index-only scans never trust
# one that was not set at the moment.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('map');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE EXTENSION pg_visibility;
CREATE TABLE t (a int, b text) WITH (fillfactor = 90);
CREATE INDEX t_a ON t (a);
SQL
my $index_only = 'SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_indexscan = off;';
my $sequential = 'SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off;';
my @moments;

# Everything is asked at an LSN, where no transaction has extended the table further.
sub remember_lsn
{
	my ($what) = @_;
	my %queries = (
		'an index-only scan' => "$index_only SELECT count(*), sum(a), min(a), max(a) FROM t WHERE a >= 0",
		'a sequential scan' => "$sequential SELECT count(*), sum(a), min(a), max(a) FROM t WHERE a >= 0",
		'the bits' => "SELECT count(*), coalesce(sum(all_visible::int), 0), coalesce(sum(all_frozen::int), 0), coalesce(sum(pd_all_visible::int), 0) FROM pg_visibility('t')",
		'which blocks' => "SELECT string_agg(blkno::text, ' ' ORDER BY blkno) FROM pg_visibility_map('t') WHERE all_visible",
		'nothing visible that is not' => "SELECT count(*) FROM pg_check_visible('t')",
		'nothing frozen that is not' => "SELECT count(*) FROM pg_check_frozen('t')",
		'the sizes' => "SELECT pg_relation_size('t') / 8192, pg_relation_size('t', 'vm') / 8192");
	push @moments, [ $what, lsn_in($node), map { [ $_, $queries{$_}, $node->safe_psql('postgres', $queries{$_}) ] } sort keys %queries ];
	return $moments[-1];
}

sub answer { my ($moment, $which) = @_; return (grep { ref && $_->[0] eq $which } @$moment)[0][2]; }

sub stage
{
	my ($what, @sql) = @_;
	$node->safe_psql('postgres', $_) for @sql;
	return remember_lsn($what);
}
stage('a table that was never vacuumed', 'INSERT INTO t SELECT i, repeat(\'x\', 100) FROM generate_series(1, 6000) i');
my $whole = stage('vacuumed', 'VACUUM t');
is(answer($whole, 'the bits') =~ /^(\d+)\|\1\|/ ? 'all' : answer($whole, 'the bits'), 'all', 'VACUUM sets every bit');
my ($blocks) = split /\|/, answer($whole, 'the sizes');
my $cut = stage('its end cut off', 'DELETE FROM t WHERE a > 2000', 'VACUUM (TRUNCATE) t');
my ($fewer) = split /\|/, answer($cut, 'the sizes');
cmp_ok($fewer, '<', $blocks / 2, 'VACUUM truncates the table');

# Blocks of the old numbers come back with rows that nobody may see.
my $session = $node->background_psql('postgres');
$session->query_safe("BEGIN; INSERT INTO t SELECT i, repeat('y', 100) FROM generate_series(10000, 14000) i");
my $uncommitted = remember_lsn('its end grown again by a transaction that runs');
is(answer($uncommitted, 'an index-only scan'), answer($cut, 'an index-only scan'), 'nothing of it is visible yet');
cmp_ok((split /\|/, answer($uncommitted, 'the sizes'))[0], '>=', $blocks - 1, 'but the table is as long as before');
$session->query_safe('ROLLBACK');
remember_lsn('rolled back');
stage('vacuumed after that', 'VACUUM (TRUNCATE off) t');
$session->query_safe("BEGIN; INSERT INTO t SELECT i, repeat('z', 100) FROM generate_series(20000, 24000) i");
remember_lsn('another one grows it');
$session->query_safe('COMMIT');
remember_lsn('which has committed');
$session->quit;

# Cut off at once, to nothing, in the transaction that made the file: the whole map goes. (VACUUM takes back the blocks by
# which COPY extended the file ahead of WAL.)
stage('made anew with bits', "BEGIN; TRUNCATE t; COPY t FROM PROGRAM 'seq -f \"%.0f\tcopied\" 1 3000' (FREEZE); COMMIT", 'VACUUM t');
stage('emptied in one transaction', "BEGIN; TRUNCATE t; COPY t FROM PROGRAM 'seq -f \"%.0f\tcopied\" 1 500' (FREEZE); TRUNCATE t; INSERT INTO t SELECT i, 'new' FROM generate_series(1, 900) i; COMMIT");
stage('vacuumed again', 'VACUUM (FREEZE) t');

# Bits that no record names: each way in which a row changes.
my $set = answer(stage('frozen', 'VACUUM (FREEZE) t'), 'the bits');
for my $change (
	[ 'an insert', "INSERT INTO t VALUES (5000, 'one')" ],
	[ 'an insert of many', "INSERT INTO t SELECT i, 'many' FROM generate_series(6000, 6010) i" ],
	[ 'a COPY', "COPY t FROM PROGRAM 'seq -f \"%.0f\tcopied\" 7000 7010'" ],
	[ 'an update on the same page', "UPDATE t SET b = 'hot' WHERE a = 10" ],
	[ 'an update to another page', "UPDATE t SET b = repeat('moved', 1000) WHERE a = 20" ],
	[ 'an update of the key', 'UPDATE t SET a = -a WHERE a = 30' ],
	[ 'a delete', 'DELETE FROM t WHERE a = 40' ],
	[ 'a delete that is rolled back', 'BEGIN; DELETE FROM t WHERE a = 50; ROLLBACK' ],
	[ 'a row lock', 'BEGIN; SELECT a FROM t WHERE a = 60 FOR UPDATE; COMMIT' ],
	[ 'a lock of an updated row', 'BEGIN; SELECT a FROM t WHERE a = 70 FOR KEY SHARE; SAVEPOINT s; UPDATE t SET b = \'k\' WHERE a = 70; ROLLBACK TO s; SELECT a FROM t WHERE a = 70 FOR SHARE; COMMIT' ],
	[ 'MERGE', "MERGE INTO t USING (VALUES (80), (90)) v(k) ON a = k WHEN MATCHED AND k = 80 THEN DELETE WHEN MATCHED THEN UPDATE SET b = 'merged'" ])
{
	my ($what, $sql) = @$change;
	my $changed = stage("after $what", $sql);
	isnt(answer($changed, 'the bits'), $set, "$what clears a bit");
	$set = answer(stage("vacuumed after $what", 'VACUUM (FREEZE, INDEX_CLEANUP on) t'), 'the bits');
}

sub every_moment_holds
{
	my ($suffix) = @_;
	for my $moment (@moments)
	{
		my ($what, $lsn, @answers) = @$moment;
		my $now = at_lsn($node, $lsn, join(";\n", map { $_->[1] } @answers));
		is($now, join("\n", map { $_->[2] } @answers), "$what: scans, bits and sizes $suffix");
	}
	return;
}
every_moment_holds('later');
like(at_lsn($node, $moments[1][1], "$index_only EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT count(*) FROM t WHERE a >= 0"),
	qr/Index Only Scan.*Heap Fetches: 0/s, 'an index-only scan of the past reads no row where all bits are set');
$node->safe_psql('postgres', 'VACUUM FULL t');
$node->restart;
every_moment_holds('after VACUUM FULL and a restart');

no_mismatch($node);
log_is_clean($node);
$node->stop;
done_testing();
