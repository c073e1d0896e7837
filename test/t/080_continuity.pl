# History goes on only over WAL that is proven to be the WAL that it was made of: positions that match are no proof.
use strict;
use warnings;

use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $rows = 130000;
# So much WAL is kept that every verdict here is about what WAL holds, and none about a segment that is gone.
my $node = new_node('lives', 'strata.memtable_size' => "'4MB'", log_statement => 'none', wal_keep_size => "'1GB'");
my $data = $node->data_dir;
my $folder = PostgreSQL::Test::Utils::tempdir;
my ($fork, $first_life, $history) = map { "$folder/$_" } qw(fork first_life pg_strata);
my $other_life = qr/WAL at [0-9A-F\/]+ is not what history was made of/;
my $lost_wal = qr/WAL was lost or reset: history goes up to/;

# The same statements in both lives, so that their WAL is as long.
sub load_rows
{
	my ($letter, $times) = @_;
	$node->safe_psql('postgres', "INSERT INTO lives SELECT i, '$letter' FROM generate_series(1, $rows) i") for 1 .. $times;
	return;
}

sub copy_folder
{
	my ($from, $to) = @_;
	PostgreSQL::Test::RecursiveCopy::copypath($from, $to, filterfn => sub { $_[0] !~ /^pg_strata/ });
	chmod 0700, $to or die "$to: $!";
	return;
}

# The data directory as it was before the first life, beside the history of that.
sub fork_beside_history
{
	rmtree($data);
	copy_folder($fork, $data);
	copy_folder($history, "$data/pg_strata");
	return;
}

my $letters = 'SELECT letter, count(*) FROM lives GROUP BY 1 ORDER BY 1';

# Tests: the server has begun a new history for the reason, in which the other life is not to be seen.
sub has_begun_anew
{
	my ($reason, $log, $then, $letters_now, $what) = @_;
	ok($node->wait_for_log(qr/WARNING: .*strata: history was given up: $reason/, $log), "$what: the log says so");
	wait_for_history($node);
	is(state_of($node, 'state, last_error'), 'running|', "$what: a new history runs");
	like(at_error($node, $then, $letters), qr/ERROR:  22023: .*history does not reach back that far/, "$what: the old one is gone");
	is(at($node, now_in($node), $letters), $letters_now, "$what: now is what it is");
	no_mismatch($node, "$what: and every page is");
	is($node->safe_psql('postgres', "SELECT active FROM pg_replication_slots WHERE slot_name = 'strata'"), 't', "$what: the slot is in use");
	return;
}

$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE TABLE lives (n int, letter text)');
$node->stop;
copy_folder($data, $fork);
$node->start;
wait_for_history($node);
load_rows('A', 1);
my $end = lsn_in($node);
$node->safe_psql('postgres', "SELECT strata.wait_for('$end')");
my $then = now_in($node);
is(at($node, $then, $letters), "A|$rows", 'a restart in between changes nothing');
$node->stop;
copy_folder($data, $first_life);
copy_folder("$data/pg_strata", $history);

# WAL passes the end of history while strata is off.
fork_beside_history();
$node->append_conf('postgresql.conf', 'strata_enabled = off');
$node->start;
load_rows('B', 2);
$node->stop;
$node->append_conf('postgresql.conf', 'strata_enabled = on');
my $log = -s $node->logfile;
$node->start;
has_begun_anew($other_life, $log, $then, 'B|' . 2 * $rows, 'WAL of another life passed the end of history');
my $new = now_in($node);
load_rows('B', 1);
$log = -s $node->logfile;
$node->restart;
is(at($node, $new, $letters), 'B|' . 2 * $rows, 'the new history goes on after a restart');
unlike(slurp_file($node->logfile, $log), qr/given up/, 'and is not given up');
$node->stop;

# WAL passes the end of the old history once the new one runs.
fork_beside_history();
$log = -s $node->logfile;
$node->start;
has_begun_anew($lost_wal, $log, $then, '', 'history is ahead of WAL');
load_rows('B', 2);
cmp_ok($node->safe_psql('postgres', "SELECT pg_current_wal_lsn() - '$end'"), '>', 0, 'WAL passes the end of the old history');
$node->restart;
is(at($node, now_in($node), $letters), 'B|' . 2 * $rows, 'then it holds what came since');
no_mismatch($node, 'and every page');
$node->stop;

# A history that is put back where it belongs goes on.
rmtree($data);
copy_folder($first_life, $data);
copy_folder($history, "$data/pg_strata");
$node->start;
wait_for_history($node);
load_rows('C', 1);
is(at($node, $then, $letters), "A|$rows", 'beside its own data directory, history goes on');
is(at($node, now_in($node), $letters), "A|$rows\nC|$rows", 'and has what came since');
no_mismatch($node, 'and has every page');
log_is_clean($node);
$node->stop;
done_testing();
