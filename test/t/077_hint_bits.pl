# Hint bits that readers set later never decide what a moment shows: with and without checksums, with wal_log_hints, also
# where images that hold them have been delta-encoded by compaction.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $rows = 'SELECT count(*), sum(a), coalesce(sum(b), 0) FROM t';
my $by_index = "SET enable_seqscan = off; $rows WHERE a > 0";
# Tuples that are marked as deleted by a transaction that is known to have committed.
my $deleted = q{SELECT count(*) > 0 FROM generate_series(0, pg_relation_size('t') / 8192 - 1) b, heap_page_items(get_raw_page('t', b::int)) WHERE t_infomask & 1024 > 0};

sub hints_decide_nothing
{
	my ($name, $init, %conf) = @_;
	# Layers are merged as often as may be.
	my $node = new_node($name, init => $init, autovacuum => 'off', 'strata.memtable_size' => "'4MB'", %conf);
	$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE EXTENSION pageinspect;
CREATE EXTENSION amcheck;
CREATE EXTENSION pg_walinspect;
CREATE TABLE t (a int PRIMARY KEY, b int);
INSERT INTO t SELECT i, 0 FROM generate_series(1, 1000) i;
SQL
	my @moments;
	my $moment = sub {
		my ($what) = @_;
		push @moments, [ $what, lsn_in($node), $node->safe_psql('postgres', $rows) ];
		return;
	};
	my $begin = lsn_in($node);
	my $session = $node->background_psql('postgres');
	for my $end ('COMMIT', 'ROLLBACK')
	{
		# Each round begins with images of all pages that are touched, without any hint about the transaction.
		$node->safe_psql('postgres', 'CHECKPOINT');
		$session->query_safe("BEGIN; UPDATE t SET b = b + 1 WHERE a % 3 = 0; DELETE FROM t WHERE a % 7 = 1 AND a < 500; INSERT INTO t SELECT max(a) + i, 5 FROM t, generate_series(1, 100) i GROUP BY i");
		$moment->("a transaction runs, before $end");
		$node->safe_psql('postgres', 'CHECKPOINT');
		$node->safe_psql('postgres', $rows);
		$moment->("it runs, and readers have looked, before $end");
		$session->query_safe($end);
		$moment->("right after $end");
		# Readers set hints, which are logged with an image where that is so.
		$node->safe_psql('postgres', $rows);
		$node->safe_psql('postgres', $by_index);
		$moment->("readers have seen $end");
		$node->safe_psql('postgres', 'CHECKPOINT');
		$node->safe_psql('postgres', 'UPDATE t SET b = b WHERE a = 3');
		$moment->("a change took an image after $end");
	}
	$session->quit;
	my $logged = $node->safe_psql('postgres', "SELECT count(*) > 0 FROM pg_get_wal_records_info('$begin', pg_current_wal_flush_lsn()) WHERE record_type = 'FPI_FOR_HINT'");
	my $expected = $node->safe_psql('postgres', "SELECT current_setting('data_checksums') = 'on' OR current_setting('wal_log_hints') = 'on'");
	is($logged, $expected, "$name: images for hint bits are in WAL, or not");
	my $all_right = sub {
		my ($suffix) = @_;
		is(at_lsn($node, $_->[1], "$rows; $by_index; SELECT count(*) FROM verify_heapam('t'); SELECT bt_index_check('t_pkey', true)"), "$_->[2]\n$_->[2]\n0\n", "$name: $_->[0] $suffix") for @moments;
		return;
	};
	# Pages of the past that nobody has read yet show hints of their time only.
	is(at_lsn($node, $moments[1][1], $deleted), 'f', "$name: no tuple is said to be deleted while the transaction runs");
	is($node->safe_psql('postgres', $deleted), 't', "$name: in the present some are");
	$all_right->('');

	# Much more of it, so that layers are merged and images become diffs.
	for my $round (1 .. 5)
	{
		$node->safe_psql('postgres', $_) for ('CHECKPOINT', "INSERT INTO t SELECT i, 0 FROM generate_series($round * 100000, $round * 100000 + 30000) i", $rows,
			'BEGIN; DELETE FROM t WHERE a > 100000; ROLLBACK', 'CHECKPOINT', $rows, 'DELETE FROM t WHERE a > 100000', 'CHECKPOINT', $rows, 'VACUUM t');
		$moment->("round $round");
	}
	$node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM strata.layers() WHERE level > 0') or diag("$name: no layers are merged");
	$node->restart;
	wait_for_history($node);
	$all_right->('after compaction and a restart');
	no_mismatch($node, "$name: every page rebuilt from history equals the page that PostgreSQL has");
	log_is_clean($node);
	$node->stop;
	return;
}
hints_decide_nothing('checksums', []);
hints_decide_nothing('hints', [ no_data_checksums => 1 ], wal_log_hints => 'on');
hints_decide_nothing('neither', [ no_data_checksums => 1 ], wal_log_hints => 'off');
done_testing();
