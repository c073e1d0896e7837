# What is visible at a moment is what had committed by then, exactly.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('visibility', track_commit_timestamp => 'on');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE t (a int PRIMARY KEY, b int);
INSERT INTO t SELECT i, 0 FROM generate_series(1, 1000) i;
CREATE TABLE events (n int);
SQL
$node->safe_psql('postgres', 'VACUUM t');

# Index-only scans: visibility-map bits are cleared by update, delete and row locks.
my $index_only = 'SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_indexscan = off;';
my @stages;

sub stage
{
	my ($what, @sql) = @_;
	try_sql($node, $_) for @sql;
	# VACUUM ends without a commit of its own: its visibility map is to be the one of this moment.
	commit_in($node);
	push @stages, [ $what, remember($node, 'postgres',
		'an index-only scan' => "$index_only SELECT count(*), sum(a), min(a), max(a) FROM t WHERE a >= 0",
		'a sequential scan' => 'SET enable_indexscan = off; SET enable_indexonlyscan = off; SELECT count(*), sum(a), sum(b) FROM t') ];
	return;
}
stage('after VACUUM set the visibility map');
stage('after UPDATE', 'UPDATE t SET b = 1 WHERE a % 50 = 0');
stage('after UPDATE of the key', 'UPDATE t SET a = a + 5000 WHERE a % 100 = 1');
stage('after DELETE', 'DELETE FROM t WHERE a BETWEEN 300 AND 400');
stage('after VACUUM again', 'VACUUM t');
stage('after row locks', 'BEGIN; SELECT * FROM t WHERE a < 100 FOR UPDATE; COMMIT');
stage('after a rolled back DELETE', 'BEGIN; DELETE FROM t; ROLLBACK');
stage('after VACUUM FREEZE', 'VACUUM FREEZE t');
stage('after COPY FREEZE-like growth', 'INSERT INTO t SELECT i, 9 FROM generate_series(20000, 21000) i');
stage('after ON CONFLICT', 'INSERT INTO t VALUES (2, 2) ON CONFLICT (a) DO UPDATE SET b = 77');
$node->safe_psql('postgres', 'DELETE FROM t WHERE a > 10; UPDATE t SET b = -1');
$node->safe_psql('postgres', 'VACUUM FREEZE t');
still_holds($_->[1], $_->[0]) for @stages;
like(at($node, $stages[1][1]{time}, "$index_only EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT count(*) FROM t WHERE a >= 0"),
	qr/Index Only Scan/, 'the plan in the past is an index-only scan');

# Two lockers make multixacts; one of them updates.
my ($one, $two) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
$node->safe_psql('postgres', 'CREATE TABLE shared AS SELECT i AS a, 0 AS b FROM generate_series(1, 10) i; ALTER TABLE shared ADD PRIMARY KEY (a)');
$one->query_safe('BEGIN; SELECT count(*) FROM (SELECT * FROM shared FOR KEY SHARE) s');
$two->query_safe('BEGIN; SELECT count(*) FROM (SELECT * FROM shared WHERE a <= 5 FOR KEY SHARE) s; UPDATE shared SET b = 1 WHERE a IN (1, 2)');
my $sum = 'SELECT count(*), sum(b) FROM shared';
my $locked = now_in($node);
$two->query_safe('COMMIT');
my $half = now_in($node);
$one->query_safe('UPDATE shared SET b = b + 10 WHERE a IN (2, 3); ROLLBACK');
my $rolled_back = now_in($node);
$node->safe_psql('postgres', 'UPDATE shared SET b = 1000');
$node->safe_psql('postgres', 'VACUUM FREEZE shared');
is(at($node, $locked, $sum), '10|0', 'rows locked by two transactions, one of which updated some, are visible as before');
is(at($node, $half, $sum), '10|2', 'an update within a multixact is visible after its commit');
is(at($node, $rolled_back, $sum), '10|2', 'an update within a multixact that was rolled back never is');
is(at($node, $half, 'SELECT count(*) FROM shared WHERE xmax::text::bigint > 0'), 10, 'their xmax can be read');

# Savepoints and many subtransactions.
my $sub = $node->background_psql('postgres', on_error_stop => 0);
$node->safe_psql('postgres', 'CREATE TABLE nested (n int)');
$sub->query_safe('BEGIN');
$sub->query_safe(join(' ', map { "SAVEPOINT s$_; INSERT INTO nested VALUES ($_);" . ($_ % 3 == 0 ? " ROLLBACK TO s$_;" : '') } 1 .. 150));
my $inside = now_in($node);
my $inside_lsn = lsn_in($node);
$sub->query_safe('COMMIT');
my $outside = now_in($node);
$sub->quit;
is(at($node, $inside, 'SELECT count(*) FROM nested'), 0, 'nothing of a running transaction with 150 subtransactions is visible');
is(at_lsn($node, $inside_lsn, 'SELECT count(*) FROM nested'), 0, 'nor at an LSN between its records and its commit');
is(at($node, $outside, 'SELECT count(*), sum(n) FROM nested'), '100|7500', 'after its commit what was not rolled back is visible');

# Aborted, prepared, and long transactions.
$one->query_safe('BEGIN; INSERT INTO events VALUES (1)');
my $running = now_in($node);
$two->query_safe('BEGIN; INSERT INTO events VALUES (2); COMMIT');
my $overtaken = now_in($node);
$one->query_safe('COMMIT');
my $both = now_in($node);
$node->safe_psql('postgres', 'BEGIN; INSERT INTO events VALUES (3); ROLLBACK');
$node->safe_psql('postgres', "BEGIN; INSERT INTO events VALUES (4); SAVEPOINT s; INSERT INTO events VALUES (5); PREPARE TRANSACTION 'p4'");
$node->safe_psql('postgres', "BEGIN; INSERT INTO events VALUES (6); CREATE TABLE never (a int); PREPARE TRANSACTION 'p6'");
my $prepared = now_in($node);
$node->safe_psql('postgres', "ROLLBACK PREPARED 'p6'");
my $one_gone = now_in($node);
$node->safe_psql('postgres', "COMMIT PREPARED 'p4'");
my $committed = now_in($node);
my $list = "SELECT string_agg(n::text, ',' ORDER BY n) FROM events";
is(at($node, $running, $list), '', 'a running transaction is not visible');
is(at($node, $overtaken, $list), '2', 'one that began later and committed earlier is');
is(at($node, $both, $list), '1,2', 'each is visible from its commit on');
is(at($node, $prepared, $list), '1,2', 'neither an aborted nor a prepared transaction is visible');
is(at($node, $one_gone, $list), '1,2', 'ROLLBACK PREPARED makes nothing visible');
is(at($node, $one_gone, "SELECT count(*) FROM pg_class WHERE relname = 'never'"), 0, 'nor a table that was created in it');
is(at($node, $committed, $list), '1,2,4,5', 'COMMIT PREPARED makes its subtransactions visible too');
$_->quit for $one, $two;

# The commit log and the next transaction id.
my $status_of = $node->background_psql('postgres', on_error_stop => 0);
$status_of->query_safe('BEGIN; INSERT INTO events VALUES (50)');
my $status_xid = $status_of->query_safe('SELECT pg_current_xact_id()');
my $in_progress = now_in($node);
my $next_xid = $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
$status_of->query_safe('COMMIT');
$status_of->quit;
my $done = now_in($node);
$node->safe_psql('postgres', 'SELECT pg_current_xact_id()') for 1 .. 5;
is(at($node, $in_progress, "SELECT xmin FROM events WHERE n = 50"), '', 'the commit log of a moment does not know what was running as committed');
is(at($node, $done, "SELECT xmin FROM events WHERE n = 50"), $status_xid, 'the commit log after its commit does');
is(at($node, $done, 'SELECT pg_snapshot_xmax(pg_current_snapshot())'), $status_xid + 1, 'the next transaction id is that of the moment');
cmp_ok($next_xid, '<=', $status_xid + 1, 'as the present had it');

# The exact edge of a commit.
my $xid = $node->safe_psql('postgres', 'BEGIN; INSERT INTO events VALUES (100); SELECT pg_current_xact_id(); COMMIT');
my $stamp = $node->safe_psql('postgres', "SELECT pg_xact_commit_timestamp('$xid'::xid)");
my $after_xid = $node->safe_psql('postgres', 'BEGIN; SELECT pg_current_xact_id(); INSERT INTO events VALUES (101); ROLLBACK');
my $count = 'SELECT count(*) FROM events WHERE n = 100';
now_in($node);
my ($just_before, $just_after) = split /\|/, $node->safe_psql('postgres', "SELECT timestamptz '$stamp' - interval '1 us', timestamptz '$stamp' + interval '1 us'");
is(at($node, $just_before, $count), 0, 'a microsecond before its commit timestamp a transaction is not visible');
is(at($node, $stamp, $count), 1, 'at its commit timestamp it is, as with recovery_target_time');
is(at($node, $just_after, $count), 1, 'a microsecond after it, too');
is($node->safe_psql('postgres', "SELECT strata.lsn_at('$just_before') < strata.lsn_at('$stamp'), strata.time_at(strata.lsn_at('$just_after')) = '$stamp'"),
	't|t', 'strata.lsn_at and strata.time_at know the same edge');

# Every commit of a quick series, by its timestamp.
$node->safe_psql('postgres', 'CREATE TABLE series (n int); ' . join(' ', map { "INSERT INTO series VALUES ($_);" } 1 .. 30));
my @stamps = split /\n/, $node->safe_psql('postgres', 'SELECT n, pg_xact_commit_timestamp(xmin), pg_xact_commit_timestamp(xmin) - interval \'1 us\' FROM series ORDER BY n');
my ($out, $error) = try_sql($node, join('', map { my ($n, $at, $before) = split /\|/; "SET strata.travel_time = '$at'; SELECT coalesce(max(n), 0) - $n FROM series; SET strata.travel_time = '$before'; SELECT coalesce(max(n), 0) - $n FROM series;\n" } @stamps[ 1 .. 29 ]));
is($out, join("\n", ("0\n-1") x 29), 'each commit of a quick series begins at its own microsecond') or diag($error);

no_mismatch($node);
log_is_clean($node);
$node->stop;
done_testing();
