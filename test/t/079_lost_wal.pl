# Where WAL was lost, reset or left for another timeline, history does not go on over the gap: it says so, and begins anew
# by itself.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

# A server with history that has been flushed into layer files, and a moment in it.
sub node_with_history
{
	my ($name, %conf) = @_;
	my $node = new_node($name, %conf);
	$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE TABLE t AS SELECT 1 AS n');
	my $moment = now_in($node);
	$node->safe_psql('postgres', 'UPDATE t SET n = 2');
	return ($node, $moment);
}

# Tests: the old history is given up for a reason, and a new one runs that has every page; the lost moment is refused.
sub has_begun_anew
{
	my ($node, $log, $moment, $reason, $what) = @_;
	ok($node->wait_for_log(qr/WARNING: .*strata: history was given up: $reason/, $log), "$what: the log says why the old history ends");
	wait_for_history($node);
	is(state_of($node, 'state, last_error'), 'running|', "$what: a new one begins by itself");
	like(at_error($node, $moment, 'SELECT n FROM t'), qr/ERROR:  22023: .*history does not reach back that far/, "$what: what was before is refused");
	my $past = remember($node, 'postgres', "$what: history runs" => 'SELECT n FROM t');
	$node->safe_psql('postgres', 'UPDATE t SET n = n + 100');
	still_holds($past);
	no_mismatch($node, "$what: and has every page");
	$log = -s $node->logfile;
	$node->restart;
	still_holds($past, 'after a restart, too');
	unlike(slurp_file($node->logfile, $log), qr/given up|has stopped/, "$what: and is not given up again");
	log_is_clean($node);
	$node->stop;
	return;
}

# pg_resetwal: counters jump, and WAL begins in a new segment.
{
	my ($node, $moment) = node_with_history('reset');
	$node->stop;
	$node->command_ok([ 'pg_resetwal', '-o', 200000, '--pgdata', $node->data_dir ], 'pg_resetwal runs');
	my $log = -s $node->logfile;
	$node->start;
	has_begun_anew($node, $log, $moment, qr/WAL at .* is gone|.* has lost its WAL/, 'pg_resetwal');
}

# WAL is gone as a whole and is made anew with pg_resetwal: LSNs of history are given once more.
{
	my ($node, $moment) = node_with_history('again', "strata.memtable_size" => "'4MB'");
	# So much that history is in layer files far beyond the last checkpoint.
	$node->safe_psql('postgres', 'CHECKPOINT');
	$node->safe_psql('postgres', 'CREATE TABLE filler (a int); INSERT INTO filler SELECT generate_series(1, 600000)');
	my $end = lsn_in($node);
	$node->safe_psql('postgres', "SELECT strata.wait_for('$end')");
	my $checkpoint = $node->safe_psql('postgres', 'SELECT redo_lsn FROM pg_control_checkpoint()');
	my $ahead = $node->safe_psql('postgres', "SELECT max(lsn_end) - '$checkpoint' > 20000000 FROM strata.layers()");
	is($ahead, 't', 'layer files reach beyond the last checkpoint');
	$node->stop('immediate');
	unlink(glob($node->data_dir . '/pg_wal/0*'));
	$node->command_ok([ 'pg_resetwal', '--force', '--pgdata', $node->data_dir ], 'pg_resetwal runs without WAL');
	my $log = -s $node->logfile;
	$node->start;
	has_begun_anew($node, $log, $moment, qr/WAL was lost or reset: history goes up to .* but WAL ends at/, 'WAL is gone');
}

# A copy that was recovered and promoted is on a timeline of its own.
{
	my ($node, $moment) = node_with_history('primary', init => [ has_archiving => 1, allows_streaming => 1 ]);
	$node->backup('base');
	$node->safe_psql('postgres', 'UPDATE t SET n = 3');
	$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
	$node->stop;
	my $copy = PostgreSQL::Test::Cluster->new('promoted');
	$copy->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
	$copy->append_conf('postgresql.conf', "archive_mode = off\nrecovery_target_action = promote");
	$copy->start;
	$copy->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'the copy is not promoted';
	is($copy->safe_psql('postgres', 'SELECT n FROM t'), 3, 'a copy recovers to the end of WAL');
	has_begun_anew($copy, 0, $moment, qr/.*history of timeline 1, the cluster is on timeline 2/, 'a promoted copy');
}
done_testing();
