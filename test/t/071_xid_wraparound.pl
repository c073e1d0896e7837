# Moments before and after transaction IDs begin anew at 2^32, and before PostgreSQL has removed the commit log of that time,
# are judged by the commit log of their time.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataCounters;
use Test::More;

# A segment of pg_xact holds 32 pages of 32768 transactions: the counter starts with the last one before 2^32.
my $node = new_node_near_xid('wraparound', 2**32 - 2**20, track_commit_timestamp => 'on');
add_consume_xids($node);
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE EXTENSION amcheck; CREATE EXTENSION pg_visibility');
is($node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint >> 20'), 2**12 - 1, 'transaction IDs are in the last segment before 2^32');

$node->safe_psql('postgres', 'CREATE TABLE t (a int PRIMARY KEY, b text)');
my @moments;
my $all = q{SELECT string_agg(format('%s:%s', a, b), ',' ORDER BY a) FROM t};

# Commits, aborts, locks and open transactions, and what is there then.
my $round = 0;
my $next_xid = 'SELECT pg_snapshot_xmax(pg_current_snapshot())';
my @counters;

sub change
{
	my ($what) = @_;
	my $n = 10 * ++$round;
	$node->safe_psql('postgres', <<"SQL");
INSERT INTO t SELECT i, 'new' FROM generate_series($n, $n + 3) i;
BEGIN; INSERT INTO t VALUES ($n + 4, 'aborted'); ROLLBACK;
BEGIN; UPDATE t SET b = 'aborted' WHERE a % 10 = 1; ROLLBACK;
BEGIN; UPDATE t SET b = 'round $round' WHERE a % 10 = 2; SAVEPOINT s; DELETE FROM t WHERE a % 10 = 3; ROLLBACK TO s; DELETE FROM t WHERE a = $n; COMMIT;
BEGIN; DELETE FROM t WHERE a % 10 = 3; PREPARE TRANSACTION 'open'
SQL
	remember_moment("$what, a transaction is prepared");
	$node->safe_psql('postgres', ($round % 2 ? 'COMMIT' : 'ROLLBACK') . " PREPARED 'open'");
	remember_moment($what);
	push @counters, [ $what, lsn_in($node), $node->safe_psql('postgres', $next_xid) ];
	return;
}

sub remember_moment
{
	my ($what) = @_;
	push @moments, remember(
		$node, 'postgres',
		"$what: rows" => $all,
		"$what: ages" => 'SELECT max(age(xmin)) < 2000000, min(age(xmin)) >= 0 FROM t',
		"$what: amcheck" => "SELECT * FROM verify_heapam('t'); SELECT bt_index_check('t_pkey', true)",
		"$what: pg_visibility" => "SELECT pg_check_visible('t'), pg_check_frozen('t')");
	return;
}

sub consume_to
{
	my ($xid) = @_;
	$node->safe_psql('postgres', "SELECT consume_xids($xid - pg_snapshot_xmax(pg_current_snapshot())::text::bigint)");
	return;
}

change('in the last segment');
consume_to(2**32 - 4);
change('across 2^32');
is($node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint >> 32'), 1, 'transaction IDs have begun anew');
change('right after 2^32');
$node->safe_psql('postgres', 'VACUUM t');
consume_to(2**32 + 40000);
change('on the next page of the commit log');
consume_to(2**32 + 2**20 + 5);
change('in the second segment after 2^32');
still_holds($_) for @moments;
is(at_lsn($node, $_->[1], $next_xid), $_->[2], "$_->[0]: the next transaction ID") for @counters;

# Frozen: the present needs none of it any more.
my @before = slru_segments($node, 'pg_xact');
freeze_everything($node);
my @after = slru_segments($node, 'pg_xact');
cmp_ok(scalar(@after), '<', scalar(@before), 'PostgreSQL removes commit log after VACUUM FREEZE');
is(join(' ', @after), '0001', 'that of both sides of 2^32');
$node->safe_psql('postgres', "UPDATE t SET b = 'late'; DELETE FROM t WHERE a < 30");
freeze_everything($node);
still_holds($_, '(frozen since)') for @moments;
$node->stop('immediate');
$node->start;
wait_for_history($node);
still_holds($_, '(frozen since, after a crash)') for @moments;

no_mismatch($node);
log_is_clean($node);
$node->stop;
done_testing();
