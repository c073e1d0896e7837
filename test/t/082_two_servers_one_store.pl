# Two servers that share one pg_strata: one of them writes it, the other is refused, says so, and takes over by itself.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $letters = 'SELECT letter, count(*) FROM t GROUP BY 1 ORDER BY 1';
my $taken = qr/"pg_strata" is in use by another server: process \d+, data directory "/;

my $first = new_node('first', 'strata.memtable_size' => "'4MB'");
$first->safe_psql('postgres', "CREATE EXTENSION strata; CREATE TABLE t AS SELECT i AS a, 'A' AS letter FROM generate_series(1, 1000) i");
$first->stop;
my $shared = PostgreSQL::Test::Utils::tempdir . '/shared';
my $store = $first->data_dir . '/pg_strata';
$first->backup_fs_cold('copy');
rename $store, $shared or die "$store: $!";
symlink $shared, $store or die "$store: $!";
my $second = PostgreSQL::Test::Cluster->new('second');
$second->init_from_backup($first, 'copy');
PostgreSQL::Test::Utils::system_or_bail('rm', '-rf', $second->data_dir . '/pg_strata');
symlink $shared, $second->data_dir . '/pg_strata' or die $!;

sub write_letter
{
	my ($node, $letter) = @_;
	$node->safe_psql('postgres', "INSERT INTO t SELECT i, '$letter' FROM generate_series(1, 50000) i");
	return;
}

# One test: the server has stopped history because another one has the store; its sessions see the present only.
sub is_refused
{
	my ($node, $log, $moment, $what) = @_;
	ok($node->wait_for_log(qr/WARNING: .*strata: history has stopped: $taken/, $log), "$what: the log says so");
	like(state_of($node, "state || ': ' || last_error || ' ' || hint"), qr/^stopped: $taken.*History goes on here when that server has stopped/s, "$what: status() says so");
	like(at_error($node, $moment, $letters), qr/ERROR:  55000: there is no history to travel in\n.*DETAIL:  $taken/s, "$what: travel is refused with the reason");
	write_letter($node, 'X');
	cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM t WHERE letter = 'X'"), '>=', 50000, "$what: the present works");
	return;
}

$first->start;
wait_for_history($first);
my $past = remember($first, 'postgres', 'history of the first server' => $letters);
write_letter($first, 'B');
$first->poll_query_until('postgres', 'SELECT count(*) > 0 FROM strata.layers() WHERE NOT image') or die 'nothing was flushed';

$second->start;
is_refused($second, 0, $past->{time}, 'the second server is refused');
still_holds($past);
write_letter($first, 'C');
is(at($first, now_in($first), $letters), "A|1000\nB|50000\nC|50000", 'the first one goes on');
my $pid = $first->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'strata ingest'");
my $log = -s $first->logfile;
$first->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
$first->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'strata ingest' AND pid <> $pid")
  or die 'ingest does not come back';
wait_for_history($first);
is(at($first, now_in($first), $letters), "A|1000\nB|50000\nC|50000", 'it keeps the store when its ingest worker is started anew');
is(state_of($second, 'state'), 'stopped', 'which gives the second one no opening');
no_mismatch($first, 'every page of the first server is right');

# The first one stops. What is there is not the history of the second: it does not touch it without an order.
$past = remember($first, 'postgres', 'history of the first server after the second has had the folder' => $letters);
$first->stop;
$second->poll_query_until('postgres', "SELECT last_error LIKE '%history of another data directory%' FROM strata.status()")
  or die 'the second server does not see that the first one has gone';
like(state_of($second, "state || ': ' || last_error || ' ' || hint"), qr/^stopped: "pg_strata" holds the history of another data directory: .*begin_anew/s, 'the second server does not drop what is not its own');
is($second->safe_psql('postgres', "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'strata'"), 0, 'and keeps no WAL meanwhile');
$first->start;
wait_for_history($first);
still_holds($past);
is(state_of($first, 'given_up IS NULL'), 't', 'history of the first server has gone on');
no_mismatch($first, 'with every page');

# The other way round, by order.
$second->stop;
$log = -s $second->logfile;
$second->start;
is_refused($second, $log, $past->{time}, 'again');
$first->stop('immediate');
$second->poll_query_until('postgres', "SELECT last_error LIKE '%history of another data directory%' FROM strata.status()")
  or die 'the second server does not see that the first one has crashed';
$second->safe_psql('postgres', 'SELECT strata.begin_anew()');
$second->poll_query_until('postgres', "SELECT state = 'running' FROM strata.status()") or die 'history does not begin anew';
is(at($second, now_in($second), $letters), $second->safe_psql('postgres', $letters), 'the second server begins anew by order');
no_mismatch($second, 'and has every page');
$log = -s $first->logfile;
$first->start;
is_refused($first, $log, $past->{time}, 'the first server is refused now');
$second->stop;
$first->poll_query_until('postgres', "SELECT last_error LIKE '%history of another data directory%' FROM strata.status()")
  or die 'the first server does not see that the second one has gone';
unlike(slurp_file($first->logfile, $log), qr/was given up/, 'and drops nothing either');
log_is_clean($_) for $first, $second;
$first->stop;
done_testing();
