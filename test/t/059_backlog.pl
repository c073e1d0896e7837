# A backlog is ingested without its images, which stay in WAL: its moments can be travelled to before a flush and after
# it, and a flush takes the images over.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('backlog', init => [ extra => [ '--wal-segsize', '1' ] ], log_statement => 'none', 'strata.compaction' => 'off',
	'strata.memtable_size' => "'48MB'", max_wal_size => "'2GB'", checkpoint_timeout => "'1h'");
prepare_churn($node);
churn($node, 1);
$node->safe_psql('postgres', "SELECT strata.wait_for('" . lsn_in($node) . "')");

sub pid_of { return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'strata $_[0]'"); }

my $queries = {
	'rows of many' => 'SELECT count(*), sum(n), md5(string_agg(t, NULL ORDER BY id)) FROM many',
	'by an index' => "SET enable_seqscan = off; SELECT sum(n) FROM many WHERE id > 3000",
	'rows of cut' => 'SELECT count(*), sum(a) FROM cut' };
my @past;
# LSNs that nobody has travelled to yet, so that no page as of them is in shared buffers, and what the rows were.
my @unseen;
sub load
{
	my ($what, @conf) = @_;
	my $ingest = pid_of('ingest');
	kill 'STOP', $ingest;
	for my $round (1 .. 2)
	{
		churn($node, 1);
		push @past, remember($node, 'postgres', map { ("$what, round $round: $_" => $queries->{$_}) } sort keys %$queries);
		$node->safe_psql('postgres', 'UPDATE many SET n = n + 1 WHERE id % 5 = 0');
		push @unseen, [ lsn_in($node), $node->safe_psql('postgres', $queries->{'rows of many'}) ];
	}
	kill 'CONT', $ingest;
	return reached_lsn($node);
}
sub every_moment_is_right { my ($when) = @_; still_holds($_, $when) for @past; return; }

# More load until what came before is in layers.
sub is_flushed_to
{
	my ($lsn) = @_;
	for (1 .. 200)
	{
		return 1 if $node->safe_psql('postgres', "SELECT restart_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = 'strata'") eq 't';
		churn($node, 1);
		reached_lsn($node);
	}
	return 0;
}

# Nothing is flushed while one looks.
my $flusher = pid_of('flush');
kill 'STOP', $flusher;
my $begin = lsn_in($node);
my $end = load('images as they are');
every_moment_is_right('while the images are in WAL');
my @digests = map { digest_of_all_pages($node, $_) } ($end);

# What is read is WAL.
my $wal = $node->data_dir . '/pg_wal';
my $moved = $node->data_dir . '/moved';
mkdir $moved or die "$moved: $!";
my @segments = split /\n/, $node->safe_psql('postgres', "SELECT DISTINCT pg_walfile_name('$begin'::pg_lsn + n * 1048576) FROM generate_series(0, ('$end'::pg_lsn - '$begin') / 1048576 - 1) n");
rename "$wal/$_", "$moved/$_" or die "$_: $!" for @segments;
like(at_lsn($node, $unseen[0][0], $queries->{'rows of many'}), qr/ERROR:  58\S*: .*could not open "pg_wal/, 'where WAL is gone the error says so');
rename "$moved/$_", "$wal/$_" or die "$_: $!" for @segments;
is(at_lsn($node, $unseen[0][0], $queries->{'rows of many'}), $unseen[0][1], 'and all is well when it is back');

kill 'CONT', $flusher;
ok(is_flushed_to($end), 'the images are flushed');
every_moment_is_right('in layers');
is(digest_of_all_pages($node, $end), $digests[0], 'every page is as it was');
$node->safe_psql('postgres', 'CHECKPOINT');
every_moment_is_right('and WAL may go');

for my $method ('pglz', 'lz4', 'zstd')
{
	next if $node->safe_psql('postgres', "SELECT count(*) FROM pg_settings WHERE name = 'wal_compression' AND '$method' = ANY (enumvals)") eq '0';
	$node->append_conf('postgresql.conf', "wal_compression = $method");
	$node->reload;
	$flusher = pid_of('flush');
	kill 'STOP', $flusher;
	$end = load("images compressed with $method");
	my $digest = digest_of_all_pages($node, $end);
	every_moment_is_right('in WAL');
	kill 'CONT', $flusher;
	ok(is_flushed_to($end), "a backlog with images compressed with $method is flushed");
	is(digest_of_all_pages($node, $end), $digest, "$method: every page is as it was");
}

# The server is ended while images are in WAL only; what comes anew reads WAL again.
$flusher = pid_of('flush');
kill 'STOP', $flusher;
load('before a crash');
kill_and_wait($node, $flusher);
wait_for_history($node);
every_moment_is_right('after a crash');

no_mismatch($node, 'and every page');
is(state_of($node, "state || coalesce(last_error, '-')"), 'running-', 'history runs, with no error');
log_is_clean($node, 'was terminated by signal 9');
$node->stop;
done_testing();
