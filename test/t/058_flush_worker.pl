# A worker of its own writes full memtables to layers: ingest goes on meanwhile, whatever becomes of that worker, and no
# page of level 0 is long to rebuild.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('flush', log_statement => 'none', 'strata.compaction' => 'off', 'strata.memtable_size' => "'8MB'",
	max_wal_size => "'2GB'", checkpoint_timeout => "'1h'", log_min_messages => 'debug1');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE hot (n int);
INSERT INTO hot VALUES (0);
CREATE TABLE many (id int PRIMARY KEY, filler text);
INSERT INTO many SELECT i, repeat('f', 400) FROM generate_series(1, 4000) i;
CREATE PROCEDURE count_up(times int) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. times LOOP
    UPDATE hot SET n = n + 1;
    COMMIT;
  END LOOP;
END $$;
SQL

sub pid_of { return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'strata $_[0]'"); }

# Some MB of history.
my $letter = 'a';
sub load
{
	$node->safe_psql('postgres', "UPDATE many SET filler = '$letter ' || repeat('$letter', 400); VACUUM many");
	$letter = $letter eq 'z' ? 'a' : chr(1 + ord $letter);
	return;
}

sub layers { return $node->safe_psql('postgres', 'SELECT count(*) FROM strata.layers() WHERE level = 0 AND NOT image'); }

# Moments, with what the present shows there.
my @moments;
sub remember_moment
{
	my $seen = $node->safe_psql('postgres', 'SELECT (SELECT n FROM hot), (SELECT left(max(filler), 1) FROM many)');
	push @moments, { lsn => lsn_in($node), seen => $seen };
	# WAL up to here survives a crash.
	$node->safe_psql('postgres', q{SELECT pg_logical_emit_message(true, 'test', 'a commit')});
	return;
}

sub every_moment_is_right
{
	my ($what) = @_;
	my $wrong = join ' ', grep { at_lsn($node, $_->{lsn}, 'SELECT (SELECT n FROM hot), (SELECT left(max(filler), 1) FROM many)') ne $_->{seen} }
	  @moments;
	is($wrong, '', $what);
	return;
}

my $no_leftover = q{SELECT count(*) = (SELECT count(*) FROM strata.layers()) FROM pg_ls_dir('pg_strata') f WHERE f ~ 'layer$'};

ok(waits_for($node, 'strata flush', 'StrataFlushIdle'), 'pg_stat_activity shows the worker, which has nothing to do');

# One row that is updated thousands of times within one memtable.
for (1 .. 5)
{
	$node->safe_psql('postgres', 'SET synchronous_commit = off; CALL count_up(1000)');
	remember_moment();
}
$node->safe_psql('postgres', "SELECT strata.wait_for('" . lsn_in($node) . "')");
my $before = layers();
my $cost = q{SELECT max(c.redo_calls) FROM generate_series(0, pg_relation_size('hot') / 8192 - 1) b, strata.rebuild_cost('hot', b::int, '%s') c};
# One memtable may be on its way.
load() until layers() > $before + 1;
for my $moment (@moments)
{
	cmp_ok($node->safe_psql('postgres', sprintf $cost, $moment->{lsn}), '<=', 192, "in a layer it is bounded, at $moment->{lsn}");
}
like(slurp_file($node->logfile), qr/strata: flushed a memtable to \d+ bytes in \d+ ms: [1-9]\d* images put in, 0 pages not rebuilt/,
	'the worker has put images in');
every_moment_is_right('and every moment is right');

# Ended again and again while history grows.
for (1 .. 4)
{
	my $pid = pid_of('flush');
	load();
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	load();
	remember_moment();
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'strata flush' AND pid <> $pid")
	  or die 'the worker does not come back';
}
every_moment_is_right('after the end of the worker every moment is right');
is(state_of($node, "state || coalesce(last_error, '-')"), 'running-', 'history runs, with no error');

# A worker that hangs in the middle of a flush.
my $stopped = pid_of('flush');
kill 'STOP', $stopped;
my $ingest = pid_of('ingest');
my $asks = "SELECT count(*) > 0 FROM pg_stat_activity WHERE pid = $ingest AND wait_event = 'StrataIngestFlush'";
for (1 .. 30)
{
	load();
	last if $node->safe_psql('postgres', $asks) eq 't';
}
ok(waits_for($node, 'strata ingest', 'StrataIngestFlush'), 'with both memtables in use ingest waits, and the present does not');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($ingest)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'strata ingest' AND pid <> $ingest"),
	'ingest can be ended there');
ok(waits_for($node, 'strata ingest', 'StrataIngestFlush'), 'the next one comes as far');
kill 'CONT', $stopped;
remember_moment();
every_moment_is_right('and when the worker goes on, every moment is right');
kill 'STOP', $stopped;
load() for 1 .. 4;
remember_moment();
kill_and_wait($node, $stopped);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'strata flush' AND pid <> $stopped")
  or die 'the server did not come back';
wait_for_history($node);
every_moment_is_right('so it is after kill -9 of the worker');

$node->restart;
wait_for_history($node);
every_moment_is_right('and after a restart');
no_mismatch($node, 'and every page');
ok($node->poll_query_until('postgres', $no_leftover), 'no file is left over');
is(state_of($node, "state || coalesce(last_error, '-')"), 'running-', 'history runs, with no error');
log_is_clean($node, 'was terminated by signal 9');
$node->stop;
done_testing();
