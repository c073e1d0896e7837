# Ingest goes on where it was after a restart and after crashes: no version is lost, none is there twice.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('crash', fsync => 'on', log_statement => 'none', "strata.memtable_size" => "'4MB'");
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE steps (n int PRIMARY KEY, filler text);
CREATE TABLE spread (a int, b text);
CREATE FUNCTION step() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO steps SELECT coalesce(max(n), 0) + 1, repeat('f', 500) FROM steps;
  INSERT INTO spread SELECT i, md5(i::text) FROM generate_series(1, 200) i;
  UPDATE spread SET b = 'updated' WHERE a % 10 = 0 AND b <> 'updated';
END $$;
SQL

# Pairs of a moment and the number of steps that had been taken by then.
my @moments;

sub take_steps
{
	my ($count) = @_;
	my $sql = 'SELECT step() \g /dev/null' . "\nSELECT clock_timestamp(), (SELECT count(*) FROM steps);\n" . 'SELECT pg_sleep(0.001) \g /dev/null' . "\n";
	push @moments, map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', $sql x $count);
	return;
}

# One test: each moment shows as many steps as had been taken.
sub every_moment_is_right
{
	my ($name) = @_;
	my $sql = join('', map { "SET strata.travel_time = '$_->[0]'; SELECT count(*), max(n), (SELECT count(*) / 200 FROM spread) FROM steps;\n" } @moments);
	my ($out, $error) = try_sql($node, $sql);
	is($out, join("\n", map { "$_->[1]|$_->[1]|$_->[1]" } @moments), $name) or diag($error);
	return;
}

sub ingest_pid
{
	return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type ~ 'strata' AND backend_type ~ 'ingest'");
}

take_steps(10);
$node->safe_psql('postgres', "BEGIN; INSERT INTO steps VALUES (1000000, 'prepared'); PREPARE TRANSACTION 'waits'");
take_steps(5);
$node->safe_psql('postgres', 'CHECKPOINT');
take_steps(5);
every_moment_is_right('moments before and after a checkpoint are right');
$node->restart;
every_moment_is_right('after a restart every moment before it is right');
take_steps(10);
$node->stop('immediate');
$node->start;
every_moment_is_right('after pg_ctl stop -m immediate every moment before it is right');
take_steps(10);

# A server that dies by itself when ingest is killed, and comes back.
for my $round (1, 2)
{
	my $pid = ingest_pid();
	like($pid, qr/^\d+$/, 'there is one ingest worker');
	my $log = -s $node->logfile;
	kill 'KILL', $pid;
	wait_for_restart($node, $log);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type ~ 'strata.*ingest' AND pid <> $pid")
	  or die 'the server did not come back';
	every_moment_is_right("after kill -9 of the ingest worker every moment before it is right ($round)");
	take_steps(10);
	every_moment_is_right("after kill -9 of the ingest worker every moment after it is right ($round)");
}

# Killed in the middle of a stream of changes.
my $stream = $node->background_psql('postgres', on_error_stop => 0);
$stream->{stdin} .= "DO 'BEGIN FOR i IN 1 .. 3000 LOOP INSERT INTO spread SELECT j, md5(j::text) FROM generate_series(1, 40) j; COMMIT; END LOOP; END';\n";
$stream->{run}->pump_nb;
$node->poll_query_until('postgres', 'SELECT count(*) > 15000 FROM spread');
$node->stop('immediate');
eval { $stream->{run}->finish };
$node->start;
every_moment_is_right('a crash in the middle of a stream of changes leaves every moment before it right');
$node->safe_psql('postgres', 'DELETE FROM spread WHERE b <> \'x\'; INSERT INTO spread SELECT 1, md5(i::text) FROM generate_series(1, 200) i, generate_series(1, (SELECT count(*)::int FROM steps))');
take_steps(3);
every_moment_is_right('and every moment after it');

is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), 1, 'the prepared transaction is still there');
my $before_commit = now_in($node);
$node->safe_psql('postgres', "COMMIT PREPARED 'waits'");
my $after_commit = now_in($node);
$node->restart;
is(at($node, $before_commit, 'SELECT count(*) FROM steps WHERE n = 1000000'), 0, 'a transaction that was prepared before the crashes is not visible before its COMMIT PREPARED');
is(at($node, $before_commit, "SELECT count(*) FROM pg_class WHERE relname = 'steps'"), 1, 'the catalogs at that moment are there');
is(at($node, $after_commit, 'SELECT filler FROM steps WHERE n = 1000000'), 'prepared', 'it is visible after its COMMIT PREPARED');

my $layers = $node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT name) FROM strata.layers()');
like($layers, qr/^(\d+)\|\1$/, 'the layer files are there once each');
is( $node->safe_psql('postgres', q{
	SELECT count(*) FROM (SELECT lsn_begin, lag(lsn_end) OVER (ORDER BY lsn_begin) AS before
	                      FROM strata.layers() WHERE NOT image AND level = 0) l WHERE lsn_begin < before}),
	0, 'no two level-0 layers hold the same LSNs: nothing is ingested twice');
is( $node->safe_psql('postgres', "SELECT count(*) FROM pg_replication_slots WHERE slot_name ~ 'strata' AND slot_type = 'physical' AND restart_lsn IS NOT NULL"),
	1, 'one physical replication slot keeps the WAL that ingest needs');
is($node->safe_psql('postgres', 'SELECT last_error IS NULL, state FROM strata.status()'), 't|running', 'history runs, with no error');
no_mismatch($node, 'after all crashes every page rebuilt from history equals the present');
log_is_clean($node, 'strata.*was terminated by signal 9|terminated by signal 3');
$node->stop;
done_testing();
