# A transaction that a crash ended has no record of its end. From then on a moment does not take it for a running one, as it
# does one that was prepared; and reading rows marks neither in a way that others would see.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('crashed');
$node->safe_psql('postgres', 'CREATE EXTENSION pgstattuple; CREATE EXTENSION pgrowlocks; CREATE EXTENSION amcheck; CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 9)');

my %xids;
my @sessions;

# A transaction that runs, with a subtransaction, until a crash.
sub begin_to_be_lost
{
	my ($name) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_safe("BEGIN; INSERT INTO t SELECT generate_series(1, 50); SAVEPOINT s; DELETE FROM t WHERE a = " . (3 + @sessions));
	$xids{$name} = $session->query_safe('SELECT pg_current_xact_id()');
	$xids{"child $name"} = $xids{$name} + 1;
	push @sessions, $session;
	return;
}
begin_to_be_lost('lost in the first crash');

# Prepared transactions with and without subtransactions, more than PostgreSQL lists among them, that end in all ways.
for my $case ([ 'committed_later', 0 ], [ 'rolled_back_later', 3 ], [ 'prepared_ever_since', 3 ], [ 'with_many_children', 70 ])
{
	my ($name, $children) = @$case;
	my $sub = join(' ', map { "SAVEPOINT s; INSERT INTO t VALUES ($_); RELEASE s;" } 1 .. $children);
	$xids{$name} = $node->safe_psql('postgres', "BEGIN; INSERT INTO t VALUES (100); $sub SELECT pg_current_xact_id(); PREPARE TRANSACTION '$name'");
	$xids{"child of $name"} = $xids{$name} + $children if $children;
}
my @moments;

sub remember_lsn
{
	my ($what) = @_;
	my $queries = join('; ', map { "SELECT '$_: ' || pg_xact_status('$xids{$_}')" } sort keys %xids) . "; SELECT tuple_count, dead_tuple_count FROM pgstattuple('t'); SELECT locked_row, modes FROM pgrowlocks('t'); SELECT count(*) FROM t; SELECT * FROM verify_heapam('t'); SELECT tuple_count, dead_tuple_count FROM pgstattuple('t'); SELECT locked_row, modes FROM pgrowlocks('t')";
	push @moments, [ $what, lsn_in($node), $queries, $node->safe_psql('postgres', $queries) ];
	return;
}

sub crash
{
	$node->safe_psql('postgres', 'CREATE TABLE flush_' . @moments . ' (a int)');
	$node->stop('immediate');
	for my $session (@sessions) { eval { $session->quit }; }
	@sessions = ();
	$node->start;
	wait_for_history($node);
	return;
}
remember_lsn('before the crash');
crash();
remember_lsn('right after the crash');
like($moments[-1][3], qr/lost in the first crash: aborted/, 'PostgreSQL says that it was aborted');
like($moments[-1][3], qr/^prepared_ever_since: in progress/m, 'and that a prepared one is in progress');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'rolled_back_later'");
remember_lsn('one is rolled back');
$node->safe_psql('postgres', 'CHECKPOINT');
remember_lsn('after a checkpoint');
$node->safe_psql('postgres', "COMMIT PREPARED 'with_many_children'");
begin_to_be_lost('lost in the second crash');
remember_lsn('another one runs');
crash();
remember_lsn('right after the second crash');
$node->safe_psql('postgres', "COMMIT PREPARED 'committed_later'");
remember_lsn('one is committed');

sub every_moment_is_right
{
	my ($suffix) = @_;
	is(at_lsn($node, $_->[1], $_->[2]), $_->[3], "$_->[0]: who runs, who has ended and whose rows are dead, $suffix") for @moments;
	return;
}
every_moment_is_right('seen before the next checkpoint');
$node->safe_psql('postgres', 'CHECKPOINT');
every_moment_is_right('seen after it');
$node->safe_psql('postgres', 'VACUUM FREEZE t');
$node->restart;
wait_for_history($node);
every_moment_is_right('seen after a restart');

log_is_clean($node);
$node->stop;
done_testing();
